"""Time, and the third parties that processors ask."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from tidegate.core.events import Json


class Clock(Protocol):
    """Time, injected: tests advance it by hand."""

    def now(self) -> datetime:
        """The time of day, in UTC, with a time zone."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow; for durations and deadlines."""
        ...


class HttpResponse(Protocol):
    """A 2xx answer of a third party, read whole. Header names are in lower case."""

    @property
    def status(self) -> int: ...

    @property
    def url(self) -> str: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def body(self) -> bytes: ...

    def json(self) -> Json:
        """The body parsed as JSON. Raises a RetryableError if it is not."""
        ...


class HttpApi(Protocol):
    """One third party's API: credentials given for it go nowhere else. Paths are below its base URL."""

    async def get_json(
        self, path: str, *, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Json:
        """GET a JSON document."""
        ...

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Json = None,
    ) -> HttpResponse:
        """Make one request."""
        ...


class HttpClient(Protocol):
    """The client through which processors ask third parties. `tidegate.fetch` has the one that is used."""

    def api(self, base_url: str, *, headers: Mapping[str, str] | None = None) -> HttpApi:
        """One third party's API, with the headers that go there and nowhere else."""
        ...

    async def get_json(
        self, url: str, *, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Json:
        """GET a JSON document."""
        ...

    async def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Json = None,
    ) -> HttpResponse:
        """Make one request. Raises RetryableError for what may pass, and FetchStatusError for other 4xx."""
        ...
