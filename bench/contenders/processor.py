"""The integration as an author of Tidegate writes it: the text of its main.py."""

SOURCE = """
from pathlib import Path

from tidegate import AbstractWebhookProcessor, Integration, WebhookEventRawResults

integration = Integration(Path(__file__).parent, identifier="bench")


class IssueProcessor(AbstractWebhookProcessor):
    async def should_process_event(self, event):
        return True

    async def get_matching_kinds(self, event):
        return ["issue"]

    async def authenticate(self, payload, headers):
        return True

    async def validate_payload(self, payload):
        return True

    def resource_key(self, event):
        return str(event.payload["id"])

    async def handle_event(self, payload, resource_config):
        url = f"{self.integration.config['source']}/issues/{payload['id']}"
        return WebhookEventRawResults([await self.integration.http.get_json(url)], [])


integration.add_webhook_processor("/webhook", IssueProcessor)
"""
