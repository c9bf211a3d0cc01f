"""The integration as port-ocean's authors would write it. Runs in port-ocean's own environment (`ocean sail`)."""

from port_ocean.context.ocean import ocean
from port_ocean.core.handlers.port_app_config.models import ResourceConfig
from port_ocean.core.handlers.webhook.abstract_webhook_processor import AbstractWebhookProcessor
from port_ocean.core.handlers.webhook.webhook_event import (
    EventHeaders,
    EventPayload,
    WebhookEvent,
    WebhookEventRawResults,
)
from port_ocean.utils import http_async_client


class IssueProcessor(AbstractWebhookProcessor):
    async def should_process_event(self, event: WebhookEvent) -> bool:
        return True

    async def get_matching_kinds(self, event: WebhookEvent) -> list[str]:
        return ["issue"]

    async def authenticate(self, payload: EventPayload, headers: EventHeaders) -> bool:
        return True

    async def validate_payload(self, payload: EventPayload) -> bool:
        return True

    async def handle_event(
        self, payload: EventPayload, resource_config: ResourceConfig
    ) -> WebhookEventRawResults:
        source = ocean.integration_config["source"]
        response = await http_async_client.get(f"{source}/issues/{payload['id']}")
        response.raise_for_status()
        return WebhookEventRawResults(updated_raw_results=[response.json()], deleted_raw_results=[])


ocean.add_webhook_processor("/webhook", IssueProcessor)
