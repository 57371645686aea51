"""What a saga asks of targets: the calls themselves, and how long it waits before it asks again."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from config.actions import Value
from config.clock import MINUTE, SECOND
from config.effects import Call, Verb, effect_key, undo_key
from config.errors import ExpressionError
from config.expressions import Bound
from config.playbooks.model import Inverse, Parameter, Retry, Step
from operators.act import Act
from operators.saga_state import Effect, Saga

ASK_TIMEOUT = 5 * SECOND
"""How long to wait for the answer to a question."""
ASK_AGAIN = Retry(1, SECOND, 5 * MINUTE, 0.3)
"""How long to wait before a question is asked again, however often."""
DOUBLINGS_MAX = 30


def new_effect(saga: Saga, step: Step, bound: Bound) -> Effect:
    """Return the effect of a step, its parameters evaluated: under one key goes one request, however often.

    Raises:
        ExpressionError: a parameter cannot be evaluated, or there is nobody to do it to.
    """
    entity = step.entity.value(bound)
    if not isinstance(entity, str) or not entity:
        raise ExpressionError(f"{step.entity.source!r} names nobody")
    key = effect_key(saga.action_id, step.id)
    return Effect(step.id, step.target, step.operation, key, entity, evaluated(step.parameters, bound), Act(), Act())


def do_call(saga: Saga, effect: Effect, step: Step, now: int) -> Call:
    """Note in `saga` that an effect is asked for, and return the call."""
    effect.do.send(now)
    return _call(saga, "do", effect, now, step.timeout, parameters=effect.parameters)


def undo_call(saga: Saga, effect: Effect, step: Step, inverse: Inverse, bound: Bound, now: int) -> Call:
    """Note in `saga` that an effect is to be taken back, and return the call.

    Raises:
        ExpressionError: a parameter cannot be evaluated.
    """
    parameters = evaluated(inverse.parameters, bound)
    effect.undo.send(now)
    key = undo_key(saga.action_id, effect.step)
    return _call(saga, "undo", effect, now, step.timeout, key, inverse.operation, parameters, undoes=effect.key)


def query_call(saga: Saga, effect: Effect, now: int, *, back: bool) -> Call:
    """Note in `saga` that it is asked what became of an effect, or of taking it back, and return the call."""
    key = undo_key(saga.action_id, effect.step) if back else effect.key
    call = _call(saga, "query", effect, now, ASK_TIMEOUT, key)
    saga.back = back
    return call


def measure_call(saga: Saga, target: str, entity: str, now: int) -> Call:
    """Note in `saga` that the state of an entity is asked for, and return the call."""
    saga.turn, saga.asked, saga.about, saga.back = saga.turn + 1, "measure", -1, False
    expires = whole_seconds(now + ASK_TIMEOUT)
    return Call(saga.action_id, saga.turn, "measure", target, "measure", "", entity, now, ASK_TIMEOUT, expires)


def evaluated(parameters: Mapping[str, Parameter], bound: Bound) -> dict[str, Value]:
    """Return the values of parameters.

    Raises:
        ExpressionError: one cannot be evaluated.
    """
    return {name: parameter.of(bound) for name, parameter in parameters.items()}


def backoff(saga: Saga, retry: Retry, attempt: int) -> int:
    """Return how long to wait after so many attempts, microseconds: drawn by action and turn, the same again."""
    span = min(retry.first << min(max(attempt - 1, 0), DOUBLINGS_MAX), retry.most)
    chance = Random(f"{saga.action_id}|{saga.turn}|{attempt}")
    return round(span * (1 + chance.uniform(-retry.jitter, retry.jitter)))


def whole_seconds(instant: int) -> int:
    """Return the next whole second: a signature expires at one."""
    return -(-instant // SECOND) * SECOND


def _call(
    saga: Saga,
    verb: Verb,
    effect: Effect,
    now: int,
    timeout: int,
    key: str = "",
    operation: str = "",
    parameters: Mapping[str, Value] | None = None,
    *,
    undoes: str = "",
) -> Call:
    saga.turn, saga.asked, saga.back = saga.turn + 1, verb, verb == "undo"
    saga.about = next(position for position, one in enumerate(saga.effects) if one is effect)
    return Call(
        saga.action_id,
        saga.turn,
        verb,
        effect.target,
        operation or effect.operation,
        key or effect.key,
        effect.entity,
        now,
        timeout,
        whole_seconds(now + timeout),
        dict(parameters or {}),
        undoes,
    )
