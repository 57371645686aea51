"""The schema registry: its settings, and what they are for its client."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from config.credentials import Secret, ca_mistakes, pair_mistakes, read_secret, secret_mistakes, text_of
from config.errors import SettingsError
from config.spec import Spec


@dataclass(frozen=True, kw_only=True)
class Registry:
    """Where the schemas are that framed records name."""

    url: Annotated[str | None, Spec("place")]
    """Base of the registry's API, `https://host:port`; several, separated by commas, are tried in turn. "" for none."""
    username: Annotated[str | None, Spec("place")]
    """For HTTP basic authentication."""
    password_file: Annotated[Path | None, Spec("place")]
    """File with the password; a newline at its end does not count."""
    ca_file: Annotated[Path | None, Spec("place")]
    """PEM file of the authorities that the registry's certificate must be signed by; the system's if not given."""
    certificate_file: Annotated[Path | None, Spec("place")]
    """PEM file of the client's own certificate."""
    key_file: Annotated[Path | None, Spec("place")]
    """PEM file of the certificate's private key, not encrypted."""
    timeout: Annotated[timedelta, Spec("place", timedelta(milliseconds=100), timedelta(minutes=1))]
    """Wall time after which an answer is not waited for, and asked for again."""
    unknown_after: Annotated[timedelta, Spec("place", timedelta(0), timedelta(days=1))]
    """Wall time for which a schema that the registry does not know is asked for again, before it counts as unknown."""


def registry_config(registry: Registry) -> dict[str, Any]:
    """Return the configuration of the registry's client.

    Raises:
        SettingsError: the settings, or files that they name, are at fault; names all of their mistakes.
    """
    mistakes = [f"registry.{mistake}" for mistake in _mistakes(registry)]
    if mistakes:
        raise SettingsError(
            "; ".join(mistakes) + ".",
            remedy="Correct [registry]; of passwords and keys it holds the names of files.",
        )
    config = {
        "url": registry.url,
        "ssl.ca.location": text_of(registry.ca_file),
        "ssl.certificate.location": text_of(registry.certificate_file),
        "ssl.key.location": text_of(registry.key_file),
        "timeout": registry.timeout.total_seconds(),
        "max.retries": 0,
    }
    if registry.username is not None and registry.password_file is not None:
        config["basic.auth.user.info"] = Secret(f"{registry.username}:{read_secret(registry.password_file)}")
    return {name: value for name, value in config.items() if value is not None}


def _mistakes(registry: Registry) -> Iterator[str]:
    if registry.url is None:
        yield "url is not set"
        return
    for url in registry.url.split(","):
        parts = urlsplit(url.strip())
        if parts.username is not None or parts.password is not None:
            yield "url holds a name or a password, which do not belong there"
        elif parts.scheme not in ("http", "https") or not parts.hostname:
            yield f"url: {url.strip()!r} is no http:// or https:// address"
    if (registry.username is None) != (registry.password_file is None):
        yield "username and password_file belong together, one of them is not set"
    if registry.username is not None and ":" in registry.username:
        yield "username holds a colon"
    yield from secret_mistakes("password_file", registry.password_file)
    if registry.ca_file is not None:
        yield from ca_mistakes(registry.ca_file)
    if (registry.certificate_file is None) != (registry.key_file is None):
        yield "certificate_file and key_file belong together, one of them is not set"
    elif registry.certificate_file is not None and registry.key_file is not None:
        yield from pair_mistakes(registry.certificate_file, registry.key_file, None)
