"""Where the outgoing client may go, and what it may take there.

To origins that the integration's own values name, it goes wherever they are and takes credentials along. Any other URL
may come from a payload, so from anybody: no credentials, and no address inside our own networks.
"""

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from tidegate.core.events import Json
from tidegate.core.masking import is_secret_field, is_secret_header
from tidegate.core.verification import MASKED
from tidegate.fetch.errors import FetchRefusedError
from tidegate.fetch.origins import Origin, origins_in

_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_IPV4_COMPATIBLE = ip_network("::/96")


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """`configured` origins are trusted. `allow_private` lets every URL lead into our own networks, for development."""

    configured: frozenset[Origin] = frozenset()
    allow_private: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Json], *, allow_private: bool = False) -> "FetchPolicy":
        """Trust the URLs among an integration's own values."""
        return cls(frozenset(origins_in(config)), allow_private)

    def check_credentials(self, origin: Origin, headers: Iterable[str], parameters: Iterable[str]) -> None:
        """Raises FetchRefusedError if a request to an origin that nobody configured would carry a credential."""
        if origin in self.configured:
            return
        named = [name for name in headers if is_secret_header(name)]
        named += [name for name in parameters if is_secret_field(name)]
        if named:
            raise FetchRefusedError(
                f"{', '.join(named)} would go to {origin.host}, which is not configured: put its URL among the "
                "integration's own values, or use integration.http.api(URL, headers=…)"
            )


def without_credentials(text: str, headers: Mapping[str, str], parameters: Mapping[str, str]) -> str:
    """A third party's words without the credentials that were sent to it, which some quote in their errors."""
    sent = [value for name, value in headers.items() if is_secret_header(name)]
    sent += [value.partition(" ")[2] for value in sent]  # "Bearer …", quoted without its first word
    sent += [value for name, value in parameters.items() if is_secret_field(name)]
    for value in sent:
        if value:
            text = text.replace(value, MASKED)
    return text


def is_public(address: str) -> bool:
    """True for an address of the open internet, whatever IPv6 form an IPv4 address is wrapped in."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _unwrapped(parsed)
    return inner.is_global and not (inner.is_multicast or inner.is_reserved or inner.is_unspecified)


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64 or address in _IPV4_COMPATIBLE:
        return IPv4Address(address.packed[-4:])
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo or address


def public_socket(address_info: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
    """Makes the socket for an address that a name led to, right before it is connected to.

    Nothing is resolved between the check and the connection, so a name cannot change its mind (DNS rebinding).
    Raises FetchRefusedError.
    """
    family, kind, protocol, _, (host, *_rest) = address_info
    if not is_public(host):
        raise FetchRefusedError(
            f"the URL leads to {host}, which is no public address: put its URL among the integration's own values, "
            "or set TIDEGATE__FETCH__ALLOW_PRIVATE_NETWORKS=true for development"
        )
    return socket.socket(family, kind, protocol)
