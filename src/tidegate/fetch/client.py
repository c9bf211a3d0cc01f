"""The outgoing HTTP client: pooled, bounded, polite to hosts that ask us to wait.

It does not retry by itself: a failure goes back to the run, which waits without holding a claim.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import urljoin

from msgspec import structs

from tidegate.core.events import Json
from tidegate.core.ports import Clock
from tidegate.fetch.calls import Call, FetchLimits, FetchResponse, NotAnsweredError, Transport, encoded
from tidegate.fetch.errors import FetchFailedError, FetchRefusedError, FetchStatusError, HostPausedError
from tidegate.fetch.hosts import HostBreakers
from tidegate.fetch.origins import Origin, Place, shown
from tidegate.fetch.policy import FetchPolicy, without_credentials
from tidegate.fetch.quick import QuickTransport
from tidegate.fetch.retry_after import is_throttled, rest_seconds, retry_after_seconds

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5
READ_BYTES, QUOTED_CHARACTERS = 65_536, 500


class FetchClient:
    """Reads the third party's current data. Used inside one event loop; close it when done.

    All methods raise FetchStatusError (4xx), FetchFailedError (transport, time-out, 429, 5xx), HostPausedError (the
    host is left alone for now) or FetchRefusedError (the request may not be made, or the answer not be taken).
    """

    def __init__(
        self,
        breakers: HostBreakers,
        clock: Clock,
        limits: FetchLimits | None = None,
        policy: FetchPolicy | None = None,
    ) -> None:
        self._breakers = breakers
        self._clock = clock
        self._limits = limits or FetchLimits()
        self._policy = policy or FetchPolicy()
        self._transports: dict[bool, Transport] = {}

    def api(self, base_url: str, *, headers: Mapping[str, str] | None = None) -> "FetchApi":
        """One third party's API. The headers, credentials among them, go there and nowhere else.

        Build `base_url` from your own settings, never from a payload. Raises FetchRefusedError if it is no URL.
        """
        return FetchApi(self, base_url.rstrip("/"), Place.of(base_url), dict(headers or {}))

    async def get_json(
        self, url: str, *, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Json:
        """GET a JSON document."""
        return (await self.request("GET", url, params=params, headers=headers)).json()

    async def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Json = None,
    ) -> FetchResponse:
        """Make one request and read the answer whole.

        A URL whose origin is not among the integration's own values may lead to public addresses only, and
        carries no credentials. A request is sent once more if the open connection that it took turns out to be
        closed, so what you POST has to bear a repetition.
        """
        place = Place.of(url)
        trusted = place.origin in self._policy.configured
        if not trusted:
            self._policy.check_credentials(place.origin, headers or (), params or ())
        return await self.send(
            Call(method, url, params, headers or {}, encoded(json)), place, trusted=trusted
        )

    async def send(self, call: Call, place: Place, *, trusted: bool) -> FetchResponse:
        """Make a request whose credentials have been looked at.

        `trusted`: the place was configured, so it may be anywhere, and carry credentials.
        """
        host = place.authority
        transport = self._transport(trusted=trusted)
        if not self._breakers.admit(host):
            raise self._paused(host, f"{host} is paused")
        probing = self._breakers.is_paused(host)
        try:
            response = await _follow(transport, call, place.origin)
        except NotAnsweredError as error:
            message = f"{call.method} {shown(call.url)} failed: {error}"
            self._breakers.failed(host, message)
            if probing:
                raise self._paused(host, message) from error
            raise FetchFailedError(message, host=host) from error
        except BaseException:
            self._breakers.abandoned(host)
            raise
        return self._judge(call, host, response, probing=probing)

    def _paused(self, host: str, message: str) -> HostPausedError:
        return HostPausedError(message, retry_after_seconds=self._breakers.wait_seconds(host), host=host)

    def _judge(self, call: Call, host: str, response: FetchResponse, *, probing: bool) -> FetchResponse:
        status = response.status
        if 200 <= status < 300:
            self._breakers.succeeded(host, probing=probing)
            self._keep_to_quota(host, response)
            return response
        request = f"{call.method} {shown(response.url)}"
        if status >= 500 or is_throttled(status, response.headers):
            wait = retry_after_seconds(status, response.headers, self._clock.now())
            self._breakers.failed(host, f"{request} answered {status}", wait)
            if probing:
                raise self._paused(host, f"{request} answered {status}")
            raise FetchFailedError(
                f"{request} answered {status}", host=host, status=status, retry_after_seconds=wait
            )
        self._breakers.succeeded(host, probing=probing)  # a 404 says that the host is well
        self._keep_to_quota(host, response)
        said = response.body[:READ_BYTES].decode(errors="replace")
        said = without_credentials(said, call.headers, call.params or {})
        raise FetchStatusError(status, request, said[:QUOTED_CHARACTERS])

    def _keep_to_quota(self, host: str, response: FetchResponse) -> None:
        """Stop before the third party has to say so, if this answer was the last one that it allows for now."""
        rest = rest_seconds(response.headers, self._clock.now())
        if rest:
            self._breakers.rest(host, rest, f"{host} allows no more requests for {rest:.0f} s")

    def _transport(self, *, trusted: bool) -> Transport:
        """Origins that are trusted, and all others, share no connection."""
        anywhere = trusted or self._policy.allow_private
        transport = self._transports.get(anywhere)
        if transport is None:
            transport = QuickTransport(self._limits) if anywhere else _guarded(self._limits)
            self._transports[anywhere] = transport
        return transport

    async def close(self) -> None:
        """Close the pools. Idempotent."""
        while self._transports:
            _, transport = self._transports.popitem()
            await transport.close()

    async def __aenter__(self) -> "FetchClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


@dataclass(frozen=True, slots=True)
class FetchApi:
    """One third party's API, made by FetchClient.api. Its headers leave for this origin alone."""

    client: FetchClient
    base_url: str
    place: Place
    headers: Mapping[str, str] = field(repr=False)

    async def get_json(
        self, path: str, *, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Json:
        """GET a JSON document."""
        return (await self.request("GET", path, params=params, headers=headers)).json()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Json = None,
    ) -> FetchResponse:
        """As FetchClient.request, with a path below the base URL.

        `path` may be a whole URL, as answers name their next page; raises FetchRefusedError if it leads elsewhere.
        """
        if not path.startswith(("http://", "https://")):
            url = f"{self.base_url}/{path.lstrip('/')}" if path else self.base_url
        elif Origin.of(path) == self.place.origin:
            url = path
        else:
            raise FetchRefusedError(f"{shown(path)} is not of {self.base_url}: its credentials stay at home")
        sent = {**self.headers, **headers} if headers else self.headers
        call = Call(method, url, params, sent, encoded(json))
        return await self.client.send(call, self.place, trusted=True)


async def _follow(transport: Transport, call: Call, home: Origin) -> FetchResponse:
    """Send, and follow redirects of safe requests within the same scheme, host and port.

    The headers may carry the integration's credentials, which are nobody else's business.
    """
    first = call
    for _ in range(MAX_REDIRECTS):
        response = await transport.send(call)
        location = response.headers.get("location")
        if response.status not in REDIRECTS or location is None or call.method not in ("GET", "HEAD"):
            return response
        target = urljoin(response.url, location)
        if Origin.of(target) != home:
            raise FetchRefusedError(f"{shown(first.url)} redirects to another host, {shown(target)}")
        call = structs.replace(call, url=target, params=None)
    raise FetchRefusedError(f"{shown(first.url)} redirects more than {MAX_REDIRECTS} times")


def _guarded(limits: FetchLimits) -> Transport:
    from tidegate.fetch.guarded import GuardedTransport  # aiohttp takes its time, and most need it never

    return GuardedTransport(limits)
