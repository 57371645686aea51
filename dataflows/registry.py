"""The schema registry, asked for a schema by id: each question once, and no answer taken for another.

A schema never changes under its id, so what was told once counts for ever. That there is no such schema is an answer
too; that the registry is away, refuses us, or is something else than a registry, is none.
"""

from __future__ import annotations

from typing import Any

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from config.errors import RegistryError
from config.registry import Registry, registry_config
from operators.wire import Schema

_NO_SUCH_SCHEMA = (40403, 40401, 40402)
"""The registry's own codes for no such schema, subject or version; any other 404 comes from something else."""
REFERENCES_MAX = 100


class RegistryClient:
    """Asks a registry.

    Args:
        settings: How to reach it.

    Raises:
        SettingsError: The settings are at fault.
    """

    def __init__(self, settings: Registry) -> None:
        self._url = settings.url
        self._client = SchemaRegistryClient(registry_config(settings))

    def schema(self, identity: str) -> Schema:
        """Return the schema of an id, number or GUID; one without type if the registry knows none.

        Raises:
            RegistryError: It cannot be told now.
        """
        try:
            if identity.isdecimal():
                found = self._client.get_schema(int(identity))
            else:
                found = self._client.get_schema_by_guid(identity)
            references: dict[str, str] = {}
            self._gather(found, references)
        except SchemaRegistryError as error:
            if error.http_status_code == 404 and error.error_code in _NO_SUCH_SCHEMA:
                return Schema(identity)
            raise self._fault(f"HTTP status {error.http_status_code}, {error.error_message}") from None
        except Exception as error:  # of the HTTP client, which comes under several names
            raise self._fault(f"{type(error).__name__}: {error}") from None
        return Schema(identity, found.schema_type or "AVRO", found.schema_str or "", tuple(references.values()))

    def check(self) -> None:
        """See that the registry answers.

        Raises:
            RegistryError: It does not.
        """
        try:
            self._client.get_subjects()
        except SchemaRegistryError as error:
            raise self._fault(f"HTTP status {error.http_status_code}, {error.error_message}") from None
        except Exception as error:  # as above
            raise self._fault(f"{type(error).__name__}: {error}") from None

    def close(self) -> None:
        """Let go of its connections."""
        self._client.close()

    def _gather(self, schema: Any, found: dict[str, str]) -> None:
        """Add the texts of what `schema` refers to, each after what it refers to itself."""
        for reference in schema.references or []:
            key = f"{reference.subject}/{reference.version}"
            if key in found:
                continue
            if len(found) >= REFERENCES_MAX:
                raise ValueError(f"more than {REFERENCES_MAX} references")
            version = self._client.get_version(reference.subject, reference.version)
            self._gather(version.schema, found)
            found[key] = version.schema.schema_str or ""

    def _fault(self, why: str) -> RegistryError:
        return RegistryError(
            f"schema registry {self._url}: {' '.join(why.split())[:300]}.",
            remedy="Start it, or correct [registry]: url with the path of its API, username, password_file, ca_file.",
        )
