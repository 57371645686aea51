"""Every kind of limit, held against a naive reckoning of all that was done: nothing too much, and nothing in vain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from config.clock import HOUR, to_text
from config.events import Event
from config.policies.guardrails import Guardrails
from config.policies.versions import Versions
from operators.guard import GuardLogic, proposed
from operators.guardrails import Act, judge
from tests.support.examples import examples
from tests.support.findings import Stage
from tests.support.policies import bundle_of, rule

REMEDIES = ("credit", "notify", "ticket")
HOURS = st.integers(0, 12)
"""Instants and spans of few values: windows end just when something happens, and many things happen at once."""


@dataclass(frozen=True)
class Wish:
    """Something that is to be done."""

    at: int
    id: str
    remedy: str
    money: int
    customer: str
    causes: tuple[str, ...]


def wishes() -> st.SearchStrategy[list[Wish]]:
    each = st.tuples(
        HOURS,
        st.sampled_from(REMEDIES),
        st.integers(0, 3),
        st.sampled_from("xyz"),
        st.lists(st.sampled_from("ab"), unique=True, max_size=2),
    )
    return st.lists(each, max_size=14).map(
        lambda drawn: [
            Wish(at * HOUR, f"{number:02d}", remedy, money * 1_000_000, customer, tuple(causes))
            for number, (at, remedy, money, customer, causes) in enumerate(drawn)
        ]
    )


def limits(per: tuple[str, ...], *counts: str) -> st.SearchStrategy[dict[str, Any]]:
    each = st.fixed_dictionaries(
        {
            "description": st.just("d"),
            "per": st.sampled_from(per),
            "most": st.integers(0, 4),
            "within": st.integers(1, 6).map(lambda hours: f"{hours}h"),
            "counts": st.sampled_from(("actions", "money", *counts)),
            "of": st.lists(st.sampled_from(REMEDIES), unique=True).map(lambda names: {"remedies": names}),
        }
    )
    return st.dictionaries(st.sampled_from(("one", "two", "three")), each, min_size=1)


def guardrails_of(**sections: Any) -> Guardrails:
    return policy_of(**sections).first.guardrails


def policy_of(**sections: Any) -> Versions:
    return versions_of(sections)


CHANGE = 6 * HOUR
"""When the second version of a policy takes effect."""


def versions_of(*sections: dict[str, Any]) -> Versions:
    """Return a policy in versions, each with its guardrails."""
    made = []
    for number, each in enumerate(sections):
        dated = {"version": f"{number}.0.0", "effective_from": to_text(number * CHANGE)}
        with TemporaryDirectory() as folder:
            made.append(bundle_of(Path(folder), rule("any", "linked"), guardrails=each, **dated))
    return Versions(tuple(made))


def changed(limits: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw limits of the same names, of the same actions, that allow and count something else."""
    return st.fixed_dictionaries({name: _changed(limit) for name, limit in limits.items()})


def _changed(limit: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    counts = ("customers",) if limit["counts"] == "customers" else ("actions", "money")
    given = {
        "most": st.integers(0, 4),
        "within": st.integers(1, 6).map(lambda hours: f"{hours}h"),
        "counts": st.sampled_from(counts),
    }
    return st.fixed_dictionaries({name: st.just(value) for name, value in limit.items()} | given)


def may(sections: dict[str, Any], wish: Wish, done: list[Wish]) -> bool:
    """Return whether all limits bear `wish` after what was `done`, as one would reckon it by hand."""
    for limit in sections.values():
        names = limit["of"]["remedies"] or REMEDIES
        span = int(limit["within"].removesuffix("h")) * HOUR
        for cause in wish.causes if limit["per"] == "cause" else ("",):
            counted = [
                each
                for each in (*done, wish)
                if each.remedy in names and wish.at - each.at < span and (not cause or cause in each.causes)
            ]
            took = {
                "money": sum(each.money / 1e6 for each in counted),
                "actions": len(counted),
                "customers": len({each.customer for each in counted}),
            }[limit["counts"]]
            if wish.remedy in names and took > limit["most"]:
                return False
    return True


@given(
    limits(("all", "cause"), "customers").flatmap(lambda first: st.tuples(st.just(first), changed(first))),
    wishes(),
    st.sets(st.integers(0, 13)),
)
@examples(100)
def test_the_guard_lets_pass_what_a_naive_reckoning_does(
    versions: tuple[dict[str, Any], dict[str, Any]], wished: list[Wish], stops: set[int]
) -> None:
    stage = Stage(GuardLogic(versions_of(*({"limits": each} for each in versions))))
    passed: list[str] = []
    for hour in range(14):
        events = [
            proposed(
                Event(
                    each.at, each.id, "c", "action", {"remedy": each.remedy, "case_id": "", "customer": each.customer}
                ),
                each.causes,
                each.money,
            )
            for each in reversed(wished)
            if each.at == hour * HOUR
        ]
        made = stage.feed(events, hour * HOUR + 1)
        passed += [event.id for _, event in made if event.type == "action"]
        if hour in stops:
            stage.restart()
    done: list[Wish] = []
    for each in sorted(wished, key=lambda each: (each.at, each.id)):
        if may(versions[each.at >= CHANGE], each, done):
            done.append(each)
    assert passed == [each.id for each in done]


@given(limits(("customer",)), wishes())
@examples(60)
def test_a_customer_gets_what_a_naive_reckoning_allows_and_it_is_free_when_it_says(
    sections: dict[str, Any], wished: list[Wish]
) -> None:
    guardrails, done, acts = guardrails_of(limits=sections), list[Wish](), list[Act]()
    for each in sorted(wished, key=lambda each: (each.at, each.id)):
        held = judge(guardrails, each.remedy, each.money, acts, each.at)
        assert bool(held) != may(sections, each, done)
        for one in held:
            if one.free_at is not None:
                later = {held.guardrail for held in judge(guardrails, each.remedy, each.money, acts, one.free_at)}
                before = {held.guardrail for held in judge(guardrails, each.remedy, each.money, acts, one.free_at - 1)}
                assert one.guardrail in before - later
            else:
                assert one.asked > one.limit
        if not held:
            done.append(each)
            acts.append(Act(each.at, each.id, each.remedy, each.money))
