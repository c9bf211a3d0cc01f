"""The class that integration authors write: one instance for each event and processor."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

from tidegate.authoring.transient import is_transient
from tidegate.core.errors import RetryableError
from tidegate.core.events import EventHeaders, EventPayload, Json, WebhookEvent
from tidegate.core.ports import HttpClient
from tidegate.core.resources import RawItem, ResourceConfig, WebhookEventRawResults
from tidegate.core.retry import RetryPolicy


class IntegrationServices(Protocol):
    """What a processor reaches as `self.integration`."""

    @property
    def config(self) -> Mapping[str, Any]:
        """The integration's own settings (TIDEGATE__INTEGRATION__CONFIG__…), names in lower case."""
        ...

    @property
    def http(self) -> HttpClient:
        """The pooled client for the third party's API."""
        ...


class AbstractWebhookProcessor(ABC):
    """Turns one live event into raw results. Subclass it, and register the class with the integration.

    What `should_process_event` sets on `self` is still there in `handle_event`. After a restart, and for a
    coalesced run, a fresh instance for the run's newest event is asked `should_process_event` first.
    """

    max_retries: int = 3
    initial_retry_delay_seconds: float = 1.0
    max_retry_delay_seconds: float = 30.0
    exponential_base_seconds: float = 2.0

    integration: IntegrationServices
    """Bound before the first method is called."""

    def __init__(self, event: WebhookEvent) -> None:
        self.event = event
        self.retry_count = 0

    @abstractmethod
    async def should_process_event(self, event: WebhookEvent) -> bool:
        """Whether this processor wants the event."""

    @abstractmethod
    async def get_matching_kinds(self, event: WebhookEvent) -> list[str]:
        """The kinds that the event concerns; each resource config of these kinds gets a run."""

    @abstractmethod
    async def authenticate(self, payload: EventPayload, headers: EventHeaders) -> bool:
        """Whether the event comes from whom it says. False ends it as rejected, for good."""

    @abstractmethod
    async def validate_payload(self, payload: EventPayload) -> bool:
        """Whether the payload can be used; truthiness decides. False ends the event as rejected."""

    @abstractmethod
    async def handle_event(
        self, payload: EventPayload, resource_config: ResourceConfig
    ) -> WebhookEventRawResults:
        """Fetch the current data and say what is to be upserted and what is gone."""

    def resource_key(self, event: WebhookEvent) -> str | None:
        """Which third-party resource the event is about.

        With a key, queued events of one resource become one run, runs of one resource never overlap, and
        the results replace all that the resource produced before: what is not among them is deleted. None
        (the default): every event by itself.
        """
        return None

    def event_version(self, payload: EventPayload) -> Json:
        """The version or time of the resource that the event announces, a number or a string that sorts by
        time; None if it says nothing.

        With a version, a fetch that finds nothing, or items whose `item_version` is lower, is tried again
        before anything is written or deleted. Of coalesced events the highest version counts. Return None for
        events that announce a deletion.
        """
        return None

    def item_version(self, item: RawItem) -> Json:
        """The version or time of a fetched item, comparable with `event_version`; None if unknown."""
        return None

    def fetched_version(self, results: WebhookEventRawResults) -> Json:
        """The version or time of what was fetched: the lowest `item_version` of the updated items.

        Override it if a resource that is there may come to no items at all: None says that nothing was found.
        """
        versions = [self.item_version(item) for item in results.updated_raw_results]
        known: list[Any] = [version for version in versions if version is not None]
        return min(known, default=None)

    async def before_processing(self) -> None:
        """Runs before each attempt."""

    async def after_processing(self) -> None:
        """Runs after each attempt that succeeded."""

    async def on_error(self, error: Exception) -> None:
        """Runs after each attempt that failed, before it is decided whether there is another."""

    async def cancel(self) -> None:
        """Runs when the attempt is stopped from outside: time limit, lost lease, shutdown."""

    def should_retry(self, error: Exception) -> bool:
        """Whether the error may pass: RetryableError, or a transport error, time-out, 429 or 5xx of a known
        HTTP client.
        """
        return isinstance(error, RetryableError) or is_transient(error)

    def calculate_retry_delay(self) -> float:
        """Seconds until the next attempt, before jitter; `self.retry_count` failed attempts lie behind."""
        return self.retry_policy().nominal_delay_seconds(self.retry_count)

    @classmethod
    def retry_policy(cls) -> RetryPolicy:
        """The class's four retry attributes as one value."""
        return RetryPolicy(
            max_retries=cls.max_retries,
            initial_delay_seconds=cls.initial_retry_delay_seconds,
            max_delay_seconds=cls.max_retry_delay_seconds,
            exponential_base=cls.exponential_base_seconds,
        )
