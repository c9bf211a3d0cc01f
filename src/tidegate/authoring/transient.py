"""Which errors of the HTTP clients that authors may use by themselves are worth another attempt.

The clients are recognised by the shape of their errors, so that none of them has to be installed.
"""

from collections.abc import Mapping

_TRANSPORT_ERROR_NAMES = frozenset(
    {
        "httpx.TransportError",
        "httpcore.NetworkError",
        "aiohttp.client_exceptions.ClientConnectionError",
        "aiohttp.client_exceptions.ClientPayloadError",
        "requests.exceptions.ConnectionError",
        "requests.exceptions.Timeout",
        "urllib3.exceptions.HTTPError",
    }
)


def is_transient(error: BaseException) -> bool:
    """True for transport errors, time-outs, 429 and 5xx, of the standard library or a known HTTP client."""
    if isinstance(error, (TimeoutError, ConnectionError)):
        return True
    status = error_status(error)
    if status is not None:
        return status == 429 or status >= 500
    return any(_qualified(kind) in _TRANSPORT_ERROR_NAMES for kind in type(error).__mro__)


def error_status(error: BaseException) -> int | None:
    """The HTTP status that an error of aiohttp (`status`), httpx or requests (`response`) carries."""
    for holder in (error, getattr(error, "response", None)):
        for attribute in ("status", "status_code"):
            status = getattr(holder, attribute, None)
            if isinstance(status, int):
                return status
    return None


def error_headers(error: BaseException) -> Mapping[str, str]:
    """The answer's headers, in lower case, as far as the error carries them."""
    for holder in (error, getattr(error, "response", None)):
        headers = getattr(holder, "headers", None)
        if isinstance(headers, Mapping):
            return {str(name).lower(): str(value) for name, value in headers.items()}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return {}


def _qualified(kind: type) -> str:
    module = kind.__module__
    return f"httpx.{kind.__name__}" if module.startswith("httpx") else f"{module}.{kind.__name__}"
