"""The integration of the simulation, in each style that an author may choose."""

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.simulation.processes import Process
from tests.simulation.sender import PATH
from tests.simulation.source import Source
from tests.simulation.weather import Style, Weather
from tidegate import (
    AbstractWebhookProcessor,
    EventHeaders,
    EventPayload,
    Integration,
    ResourceConfig,
    WebhookEvent,
    WebhookEventRawResults,
)

MAPPING = """
resources:
  - kind: issue
    selector: {query: .selected}
    port:
      entity:
        mappings: {identifier: .name, blueprint: '"issue"', properties: {id: .id, version: .version}}
  - kind: team
    selector: {query: "true"}
    port:
      entity:
        mappings: {identifier: .team, blueprint: '"team"', properties: {id: .id, version: .version}}
"""


class Api:
    """The third party as one process reaches it."""

    def __init__(self, source: Source, process: Process, weather: Weather, rng: Random) -> None:
        self.source, self.process, self.weather, self.rng = source, process, weather, rng

    async def fetch(self, resource_id: int) -> dict[str, Any] | None:
        await self.process.gate()
        found = await self.source.fetch(resource_id)
        await self.process.gate()
        if not self.source.calm and self.rng.random() < self.weather.poison:
            raise ValueError("this cannot be processed")
        return found


@dataclass
class Found(WebhookEventRawResults):
    """Results that know the version of the item which they come from."""

    version: int | None = None


class Simulated(AbstractWebhookProcessor):
    """What all styles share. `deletes`: names what is gone; `upserts`: names what is there."""

    max_retries = 10
    initial_retry_delay_seconds = 0.5
    max_retry_delay_seconds = 4.0
    upserts = True
    deletes = False
    kinds = ("issue",)

    async def should_process_event(self, event: WebhookEvent) -> bool:
        return True

    async def get_matching_kinds(self, event: WebhookEvent) -> list[str]:
        return list(self.kinds)

    async def authenticate(self, payload: EventPayload, headers: EventHeaders) -> bool:
        return "forged" not in payload

    async def validate_payload(self, payload: EventPayload) -> bool:
        return True

    def event_version(self, payload: EventPayload) -> int | None:
        return payload["item"]["version"]

    def item_version(self, item: EventPayload) -> int:
        return item["version"]

    def fetched_version(self, results: WebhookEventRawResults) -> int | None:
        """An item may come to no results, and is there all the same. And what is to be gone is found gone."""
        assert isinstance(results, Found)
        return results.version

    async def found(self, payload: EventPayload) -> dict[str, Any] | None:
        api: Api = self.integration.config["api"]
        return await api.fetch(payload["item"]["id"])

    async def handle_event(
        self, payload: EventPayload, resource_config: ResourceConfig
    ) -> WebhookEventRawResults:
        item = await self.found(payload)
        if item is None:
            gone = payload["item"]["version"] if payload["action"] == "deleted" else None
            return Found([], [payload["item"]] if self.deletes else [], gone)
        items = [item] if self.upserts else []
        if resource_config.kind == "team":
            items = [{**item, "team": team} for team in item["teams"]] if self.upserts else []
        return Found(items, [], item["version"])


class Keyed(Simulated):
    """With a resource key: what a resource does not produce any more is deleted for it."""

    kinds = ("issue", "team")

    def resource_key(self, event: WebhookEvent) -> str | None:
        return str(event.payload["item"]["id"])


class Keyless(Simulated):
    """Without a key: it has to say itself what is gone."""

    deletes = True


class KeyedUpserting(Keyed):
    """One of two."""


class KeyedDeleting(Keyed):
    """The other of two."""

    kinds = ("issue",)
    upserts, deletes = False, True


class Upserting(Simulated):
    """One of two."""


class Deleting(Simulated):
    """The other of two."""

    upserts, deletes = False, True


class Payload(Keyed):
    """Takes the payload for the truth, and so has nothing to wait for."""

    def event_version(self, payload: EventPayload) -> None:
        return None

    async def found(self, payload: EventPayload) -> dict[str, Any] | None:
        await super().found(payload)  # it takes time, and may fail
        return None if payload["action"] == "deleted" else payload["item"]


PROCESSORS: dict[Style, tuple[type[Simulated], ...]] = {
    Style.KEYED: (Keyed,),
    Style.KEYLESS: (Keyless,),
    Style.PAIR: (KeyedUpserting, KeyedDeleting),
    Style.KEYLESS_PAIR: (Upserting, Deleting),
    Style.PAYLOAD: (Payload,),
}


def make_integration(style: Style, api: Api, http: Any) -> Integration:
    """An integration that is ready to run."""
    integration = Integration(directory=Path())
    for processor in PROCESSORS[style]:
        integration.add_webhook_processor(PATH, processor)
    integration.bind({"api": api}, http)
    return integration
