"""The service map: a YAML file that names, by service, those it calls; read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from config.yaml_text import read_file

BUILT_IN = Path(__file__).parent / "map.yaml"


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    owner: str
    calls: dict[str, list[str]]


class ServiceMap:
    """Who calls whom.

    Args:
        calls: By service: the services it calls.
    """

    def __init__(self, calls: Mapping[str, list[str]]) -> None:
        self._callees = {service: tuple(sorted(set(of) - {service})) for service, of in calls.items()}
        callers: dict[str, set[str]] = {}
        for service, of in self._callees.items():
            for callee in of:
                callers.setdefault(callee, set()).add(service)
        self._callers = {service: tuple(sorted(of)) for service, of in callers.items()}

    def callees(self, service: str) -> tuple[str, ...]:
        """Return the services that `service` calls itself, by name."""
        return self._callees.get(service, ())

    def callers(self, service: str) -> tuple[str, ...]:
        """Return the services that call `service` themselves, by name."""
        return self._callers.get(service, ())

    def depends(self, service: str, on: str) -> bool:
        """Tell whether `service` calls `on`, itself or through others."""
        seen, ahead = {service}, [service]
        while ahead:
            for callee in self.callees(ahead.pop()):
                if callee == on:
                    return True
                if callee not in seen:
                    seen.add(callee)
                    ahead.append(callee)
        return False


def load_service_map(path: Path = BUILT_IN) -> ServiceMap:
    """Read and check a service map.

    Raises:
        SettingsError: the file is missing, is not YAML, has no owner, or is not of the form
            `calls: {service: [service, …]}`.
    """
    remedy = "Write `owner:`, and below `calls:` a list of services by service."
    document = read_file(path, _Document, "a service map", remedy)
    return ServiceMap(document.calls)
