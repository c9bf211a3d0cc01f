"""Who sends: the peer's address, or the one a trusted proxy speaks for; and the URL as the sender addressed it."""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TypeAlias

import msgspec

from tidegate.core.networks import Network
from tidegate.ingress.limits import ProxyTrust

Address: TypeAlias = IPv4Address | IPv6Address

_IPV6_SITE_PREFIX = 64


@lru_cache(maxsize=4_096)
def parse_address(text: str) -> Address | None:
    """The address in a text; None if it is none. IPv4 mapped into IPv6 becomes IPv4, zone ids are dropped."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(maxsize=4_096)
def address_key(text: str) -> str:
    """What limits per sender count by: the IPv4 address, or the /64 that an IPv6 site has to itself."""
    address = parse_address(text)
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _IPV6_SITE_PREFIX), strict=False))
    return text if address is None else str(address)


def is_within(address: Address | None, networks: tuple[Network, ...]) -> bool:
    """True if one of the networks holds the address."""
    return address is not None and any(
        address.version == network.version and address in network for network in networks
    )


class Sender(msgspec.Struct, frozen=True):
    """`address` is empty if the peer has none (a Unix socket). `proxied`: a trusted proxy spoke for it."""

    address: str
    proxied: bool = False


def sender_of(peer: str, headers: Mapping[str, str], trust: ProxyTrust) -> Sender:
    """The sender behind trusted proxies: from the right, the first hop that is not one of them.

    A hop that is no address (`unknown`, an obfuscated name) ends the walk at the proxy that reported it.
    """
    if not trust.networks or not is_within(parse_address(peer), trust.networks):
        return Sender(peer)
    nearest = peer
    for hop in reversed(_hops(headers.get(trust.header, ""), trust.header)):
        address = parse_address(hop)
        if address is None:
            break
        nearest = str(address)
        if not is_within(address, trust.networks):
            break
    return Sender(nearest, proxied=True)


def _hops(value: str, header: str) -> list[str]:
    """The addresses that the header lists, the sender's first, ports and brackets taken off."""
    elements = [element.strip() for element in value.split(",")]
    if header == "forwarded":
        elements = [_forwarded_for(element) for element in elements]
    return [_without_port(element) for element in elements if element]


def _forwarded_for(element: str) -> str:
    """`for` of one element of Forwarded (RFC 7239 §4); "unknown" if it has none."""
    for pair in element.split(";"):
        name, _, value = pair.partition("=")
        if name.strip().lower() == "for":
            return value.strip().strip('"')
    return "unknown"


def _without_port(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def addressed_url(
    public_url: str, raw_path: str, query: str, headers: Mapping[str, str], proxied: bool
) -> str:
    """The URL as the sender wrote it, which some schemes sign.

    From the configured public URL if there is one; else from Host, or what a trusted proxy says it was.
    """
    base = public_url.rstrip("/")
    if not base:
        scheme, host = "http", headers.get("host", "")
        if proxied:
            scheme = headers.get("x-forwarded-proto", scheme).rpartition(",")[2].strip()
            host = headers.get("x-forwarded-host", host).rpartition(",")[2].strip()
        base = f"{scheme}://{host}"
    return f"{base}{raw_path}?{query}" if query else f"{base}{raw_path}"
