"""Reading parts of a contract document as the structs that say what may stand in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from config.contracts.document import CustomProperty
from config.errors import ContractError

T = TypeVar("T")

_REMEDIES = {
    "team": "Give the contract an owner: `team: {name: …}`.",
    "support": "Give an escalation path: `support: [{channel: …}]`.",
    "entityKey": "Name the field of the entity key in customProperties.",
    "logicalType": "Use one of string, integer, number, boolean, timestamp, date, object, array.",
}


class Reader:
    """Reads the parts of one file, which it names in errors."""

    def __init__(self, file: str) -> None:
        self.file = file

    def convert(self, content: Any, shape: type[T], where: str) -> T:
        """Return built-in values as `shape`; `where` is their place in the document.

        Raises:
            ContractError: they have another shape.
        """
        try:
            return msgspec.convert(content, shape, strict=True)
        except msgspec.ValidationError as error:
            problem = str(error)
            problem = problem.replace("`$", f"`{where}", 1) if "`$" in problem else f"{problem} - at `{where}`"
            hits = (text for name, text in _REMEDIES.items() if f"`{name}`" in problem or f".{name}`" in problem)
            raise self.error(problem, next(hits, "See docs/contracts.md for what a contract may say.")) from error

    def extras(self, block: Iterable[CustomProperty], shape: type[T], where: str) -> T:
        """Return a `customProperties` block as `shape`."""
        where = f"{where}.customProperties"
        values: dict[str, Any] = {}
        for item in block:
            if item.property in values:
                raise self.error(f"{item.property} is named twice - at `{where}`", "Keep one of them.")
            values[item.property] = item.value
        return self.convert(values, shape, where)

    def error(self, problem: str, remedy: str) -> ContractError:
        """Return the error that names the file."""
        return ContractError(f"{self.file}: {problem}", remedy=remedy)
