"""Data contracts: what each record type looks like, who owns it, and what the job does with it."""

from config.contracts.load import BUILT_IN, OUTPUTS, load_contract, load_contracts, parse_contract, read_folder
from config.contracts.model import Contract, ContractSet, Field

__all__ = [
    "BUILT_IN",
    "OUTPUTS",
    "Contract",
    "ContractSet",
    "Field",
    "load_contract",
    "load_contracts",
    "parse_contract",
    "read_folder",
]
