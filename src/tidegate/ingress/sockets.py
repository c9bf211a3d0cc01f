"""Binds the sockets that listeners take, and says what to do if that cannot be done."""

import socket

from tidegate.core.errors import ConfigurationError


def bind(host: str, port: int, setting: str = "port") -> socket.socket:
    """A bound socket that does not listen yet. A name that has several addresses is bound to the first.

    `port` 0 lets the system choose; `setting` names the setting that holds the port. Raises
    ConfigurationError if the address is in use, not ours, or may not be used.
    """
    where = f"{host}:{port}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {where}: {error}. Set host to an address") from None
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and host == "::":
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.setblocking(False)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise ConfigurationError(
            f"cannot listen on {where}: {error.strerror}. "
            f"Stop what uses it, or choose another with {setting} (0 takes any free port)"
        ) from None
    return bound


def address_of(bound: socket.socket) -> str:
    """The bound address as "host:port", fit for a URL."""
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
