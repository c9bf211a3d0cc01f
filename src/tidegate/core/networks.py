"""Networks in CIDR notation, as settings and authors write them."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeAlias

from tidegate.core.errors import ConfigurationError

Network: TypeAlias = IPv4Network | IPv6Network


def parse_networks(texts: Iterable[str], where: str) -> tuple[Network, ...]:
    """Read networks in CIDR notation; a bare address is a network of one.

    Raises ConfigurationError that names `where` and the text that is wrong.
    """
    networks: list[Network] = []
    for text in texts:
        try:
            networks.append(ip_network(text.strip()))
        except ValueError as error:
            raise ConfigurationError(
                f"{where}: {text!r} is no network: {error}. Write it as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7"
            ) from None
    return tuple(networks)


def common_networks(one: Iterable[Network], other: Iterable[Network]) -> tuple[Network, ...]:
    """The addresses that both lists have. Of two networks that meet, one lies within the other."""
    other = tuple(other)
    return tuple(dict.fromkeys(within for each in one for mine in other if (within := _inner(each, mine))))


def _inner(one: Network, other: Network) -> Network | None:
    if one.version != other.version or not one.overlaps(other):
        return None
    return one if one.prefixlen >= other.prefixlen else other
