"""Contract documents, read strictly: a document that is not wholly understood is refused, naming file and field."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from pathlib import Path as FilePath
from typing import Any

import orjson
import yaml

from config.contracts.build import build_contract
from config.contracts.document import Document
from config.contracts.model import Contract, ContractSet
from config.contracts.reader import Reader
from config.errors import ContractError
from config.yaml_text import read_yaml, syntax_fault

BUILT_IN = FilePath(__file__).parent
"""The folder of the contracts that come with Forestall."""
OUTPUTS = BUILT_IN / "outputs"
"""Contracts of what the job puts out, for whoever reads it; none of them makes the job read such a record."""

RUNNING = frozenset({"active", "deprecated"})
"""The statuses under which records are decoded; documents of another status are checked, but not used."""

BYTES_MAX = 1 << 20


def load_contracts(*folders: FilePath) -> ContractSet:
    """Return the contracts of all `*.yaml` files in `folders`; a later folder replaces types of an earlier one.

    Raises:
        ContractError: a folder does not exist or holds no contract, a document is at fault, or one folder has two
            documents of one type.
    """
    found: dict[str, Contract] = {}
    for folder in folders:
        found |= read_folder(folder)
    return ContractSet({name: contract for name, contract in found.items() if contract.status in RUNNING})


def read_folder(folder: FilePath) -> dict[str, Contract]:
    """Return the contracts of all `*.yaml` files in `folder` by type, whatever their status.

    Raises:
        ContractError: there is none, a document is at fault, or two are of one type.
    """
    found: dict[str, Contract] = {}
    for contract in map(load_contract, sorted(folder.glob("*.yaml"))):
        if contract.type in found:
            raise ContractError(
                f"{contract.file}: type {contract.type} has another contract in {found[contract.type].file}",
                remedy="Keep one document for each type; older versions belong in a folder of their own.",
            )
        found[contract.type] = contract
    if not found:
        raise ContractError(f"{folder} holds no contract", remedy="Name a folder with *.yaml contracts.")
    return found


def load_contract(file: FilePath) -> Contract:
    """Return the contract in `file`.

    Raises:
        ContractError: the file cannot be read, or the document is at fault.
    """
    try:
        body = file.read_bytes()
    except OSError as error:
        raise ContractError(
            f"{file}: cannot be read: {error.strerror}", remedy="Check the path and its permissions."
        ) from error
    return parse_contract(body, str(file))


@lru_cache(maxsize=128)
def parse_contract(body: bytes, file: str) -> Contract:
    """Return the contract in the YAML text `body`; `file` names it in errors.

    A start reads the same contracts several times; what was made of a text is kept.

    Raises:
        ContractError: the document is at fault.
    """
    if len(body) > BYTES_MAX:
        raise ContractError(f"{file}: {len(body)} bytes are too many for a contract", remedy="Split it by type.")
    try:
        content = read_yaml(body, UniqueKeyLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ContractError(syntax_fault(file, error), remedy="Correct the syntax at that line.") from error
    reader = Reader(file)
    document = reader.convert(content, Document, "$")
    digest = blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
    return build_contract(document, reader, digest)


class UniqueKeyLoader(yaml.CSafeLoader):
    """Refuses a mapping that names a key twice, of which YAML would keep the last in silence.

    Instants and dates stay text: contracts hold none that YAML should understand.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping, its keys checked."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, "a key is repeated or is no plain text", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


UniqueKeyLoader.add_constructor(
    "tag:yaml.org,2002:timestamp",
    lambda loader, node: loader.construct_scalar(node),  # type: ignore[arg-type]
)
