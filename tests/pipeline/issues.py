"""Issues, mapped natively: the integration that the pipeline's tests vary."""

from collections.abc import Callable

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
        mappings:
          identifier: .key
          blueprint: '"issue"'
          title: .title
          properties: {state: .state}
"""


class IssueProcessor(AbstractWebhookProcessor):
    """Takes the payload's `issue` as the third party's current state."""

    initial_retry_delay_seconds = 0.01
    max_retry_delay_seconds = 0.02

    async def should_process_event(self, event: WebhookEvent) -> bool:
        return "issue" in event.payload

    async def get_matching_kinds(self, event: WebhookEvent) -> list[str]:
        return ["issue"]

    async def authenticate(self, payload: EventPayload, headers: EventHeaders) -> bool:
        return True

    async def validate_payload(self, payload: EventPayload) -> bool:
        return True

    async def handle_event(
        self, payload: EventPayload, resource_config: ResourceConfig
    ) -> WebhookEventRawResults:
        return WebhookEventRawResults([payload["issue"]], [])


class KeyedIssueProcessor(IssueProcessor):
    """The same, with a resource key."""

    def resource_key(self, event: WebhookEvent) -> str | None:
        return str(event.payload["issue"]["id"])


MakeIntegration = Callable[..., Integration]


def issue(number: int = 1, key: str = "A", state: str = "open", *, selected: bool = True) -> EventPayload:
    return {
        "issue": {"id": number, "key": key, "title": f"Issue {key}", "state": state, "selected": selected}
    }
