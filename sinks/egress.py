"""Where requests may go: names are resolved here, once, and only to addresses that are allowed.

A name that resolves to an address of our own network would let whoever controls it reach what is not meant for him
(server-side request forgery). The address that was looked at is the one that is connected to, so that a name which
resolves to another address a moment later (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

from config.targets import Network

Resolve = Callable[[str, int], Iterable[str]]


class NotAllowed(Exception):
    """A name resolves to nothing that may be reached; says to what, and how to allow it."""


def resolved(host: str, port: int) -> list[str]:
    """Return the addresses of a host, as the system resolves it.

    Raises:
        OSError: it cannot be resolved.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def allowed_address(host: str, port: int, networks: Iterable[Network], resolve: Resolve = resolved) -> str:
    """Return an address of `host` that may be reached.

    Args:
        host: A name or an address.
        port: The port.
        networks: What may be reached beside public addresses.
        resolve: Resolves names.

    Raises:
        NotAllowed: one of its addresses may not be reached: then none is, for who could choose?
        OSError: it cannot be resolved.
    """
    networks = list(networks)
    addresses = list(resolve(host, port))
    if not addresses:
        raise OSError(f"{host} has no address")
    for text in addresses:
        address = ip_address(text.partition("%")[0])
        inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        if not _is_allowed(inner or address, networks):
            raise NotAllowed(f"{host} resolves to {text}, which is not public; its target may list it under networks")
    return addresses[0]


def _is_allowed(address: IPv4Address | IPv6Address, networks: list[Network]) -> bool:
    if any(address.version == network.version and address in network for network in networks):
        return True
    return address.is_global and not address.is_multicast
