"""What went wrong in code that Bytewax calls.

With several processes Bytewax loses the error of a worker: what comes out of it is a panic of its network threads.
So the methods that it calls note their errors here, and whoever runs the dataflow asks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_noted: list[Exception] = []


def noted(method: Callable[P, R]) -> Callable[P, R]:
    """Decorate a method that Bytewax calls, so that its error is known though Bytewax may lose it."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except StopIteration:
            raise  # the end of a source
        except Exception as error:
            _noted.append(error)
            raise

    return call


def first_noted() -> Exception | None:
    """Return the first error in this process, if any; those after it follow from it."""
    return _noted[0] if _noted else None
