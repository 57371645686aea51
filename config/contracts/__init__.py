"""Data contracts: what each record type looks like, who owns it, and what the job does with it."""

from config.contracts.load import BUILT_IN, load_contract, load_contracts, parse_contract, read_folder
from config.contracts.model import Contract, ContractSet, Field

__all__ = [
    "BUILT_IN",
    "Contract",
    "ContractSet",
    "Field",
    "load_contract",
    "load_contracts",
    "parse_contract",
    "read_folder",
]
