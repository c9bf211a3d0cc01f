"""What the listeners allow, as frozen values: how big, how many, how slow. Every bound of the edge is in this file."""

from dataclasses import dataclass, field, fields
from typing import Literal

from tidegate.core.errors import ConfigurationError
from tidegate.core.networks import Network

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A token bucket: `per_second` requests in the long run, `burst` at once."""

    per_second: float
    burst: float

    def __post_init__(self) -> None:
        _check_positive(self)


@dataclass(frozen=True, slots=True)
class ProxyTrust:
    """Which peers may say on whose behalf they send, and in which header.

    Only one header is read, because a proxy that sets one passes the other on as the client wrote it.
    X-Forwarded-Proto and X-Forwarded-Host are believed from the same peers.
    """

    networks: tuple[Network, ...] = ()
    header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    """Bounds of one listener's connections, before any application sees a request.

    `header_timeout_seconds` runs from the first byte of a request (or from the connection's opening) until
    its headers are complete. `linger_seconds` is how long what a client still sends is read and dropped
    after a refusal, so that it finds the answer before the connection ends. Connections from
    `shared_networks` (trusted proxies) count towards the total only. `max_pipelined` requests may wait
    behind one that is not answered yet.
    """

    max_connections: int = 2_000
    max_connections_per_address: int = 200
    header_timeout_seconds: float = 10.0
    max_header_bytes: int = 32 * 1024
    max_header_count: int = 100
    max_url_bytes: int = 8 * 1024
    max_pipelined: int = 16
    keep_alive_seconds: float = 75.0
    linger_seconds: float = 2.0
    write_timeout_seconds: float = 30.0
    accept_backlog: int = 1_024
    shared_networks: tuple[Network, ...] = ()

    def __post_init__(self) -> None:
        _check_positive(self)


@dataclass(frozen=True, slots=True)
class IngressLimits:
    """Bounds of one webhook request.

    A body must arrive within `body_grace_seconds`, plus a second for every `min_body_bytes_per_second` that
    came, and within `body_timeout_seconds` in any case. `max_decoded_bytes` and `max_compression_ratio` bound
    what a compressed body may unfold to. `max_json_values` bounds commas and opening brackets, those inside
    strings included. `max_buffered_bytes` bounds all bodies in memory together, the first 64 KiB of each not
    counted. The rates are off by default, because a 429 loses the events of senders that never retry.
    """

    max_body_bytes: int = 25 * MIB
    max_decoded_bytes: int = 25 * MIB
    max_compression_ratio: float = 200.0
    max_json_depth: int = 200
    max_json_values: int = 1_000_000
    max_form_fields: int = 1_000
    body_grace_seconds: float = 10.0
    min_body_bytes_per_second: float = 1_024.0
    body_timeout_seconds: float = 30.0
    max_buffered_bytes: int = 256 * MIB
    keys_timeout_seconds: float = 5.0
    retry_after_seconds: int = 5
    path_rate: RateLimit | None = None
    sender_rate: RateLimit | None = None
    proxies: ProxyTrust = field(default_factory=ProxyTrust)

    def __post_init__(self) -> None:
        _check_positive(self)


def _check_positive(limits: RateLimit | ListenerLimits | IngressLimits) -> None:
    for each in fields(limits):
        value = getattr(limits, each.name)
        if isinstance(value, int | float) and not value > 0:
            raise ConfigurationError(
                f"{type(limits).__name__}.{each.name} is {value}: it must be greater than 0"
            )
