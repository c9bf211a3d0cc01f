"""The one outgoing request that verifiers make: fetching a sender's public keys, bounded in time and size."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from tidegate.core.errors import UnavailableError

MAX_BYTES = 64 * 1024
TIMEOUT_SECONDS = 4.0
"""Less than the ingress waits for keys, so that a failure is known as one."""

Download: TypeAlias = Callable[[str], Awaitable[bytes]]
"""Fetches a document; raises whatever says that it could not."""


async def download(url: str) -> bytes:
    """GET without credentials and without following redirects. Raises UnavailableError for anything but a 200
    of at most MAX_BYTES.
    """
    import aiohttp  # it takes its time, and few senders have public keys

    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise UnavailableError(f"{url} answered {response.status}")
            document = bytearray()
            async for chunk in response.content.iter_chunked(MAX_BYTES):
                document += chunk
                if len(document) > MAX_BYTES:
                    raise UnavailableError(f"{url} sent more than {MAX_BYTES} bytes")
            return bytes(document)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise UnavailableError(f"{url} cannot be fetched: {type(error).__name__}") from error
