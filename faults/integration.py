"""The integration under fault: a processor that fetches the issue, keyed or not."""

MAIN = """
import asyncio
import itertools
import os
from pathlib import Path
from tidegate import AbstractWebhookProcessor, FetchStatusError, Integration, WebhookEventRawResults

integration = Integration(Path(__file__).parent, identifier="faults")


class IssueProcessor(AbstractWebhookProcessor):
    max_retries = 20
    initial_retry_delay_seconds = 0.1
    max_retry_delay_seconds = 1.0

    async def should_process_event(self, event):
        return True

    async def get_matching_kinds(self, event):
        return ["issue"]

    async def authenticate(self, payload, headers):
        return True

    async def validate_payload(self, payload):
        return True

    def resource_key(self, event):
        return str(event.payload["id"]) if self.integration.config["keyed"] == "yes" else None

    async def handle_event(self, payload, resource_config):
        url = f"{self.integration.config['source']}/issues/{payload['id']}"
        try:
            issue = await self.integration.http.get_json(url)
        except FetchStatusError as error:
            if error.status != 404:
                raise
            return WebhookEventRawResults([], [payload])
        return WebhookEventRawResults([issue], [])


class Poison(IssueProcessor):
    # Does what takes a worker down, or holds it up.

    max_retries = 0

    async def handle_event(self, payload, resource_config):
        match payload["poison"]:
            case "raise":
                raise KeyError("poison")
            case "compute":
                while True:
                    pass
            case "hold":
                any(itertools.repeat(False))
            case "exit":
                os._exit(1)
            case "hang":
                await asyncio.Event().wait()


integration.add_webhook_processor("/webhook", IssueProcessor)
integration.add_webhook_processor("/poison", Poison)
"""
