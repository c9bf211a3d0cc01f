"""MLflow's model registry in the catalog: registered models and model versions, true to every webhook.

A webhook says only that something changed, so each run reads what is true now. README.md tells which changes
MLflow announces, which it does not, and why the runs read what they read.
"""

import base64
import hmac
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

from tidegate import (
    AbstractWebhookProcessor,
    ConfigurationError,
    EventHeaders,
    EventPayload,
    FetchStatusError,
    Integration,
    RawItem,
    ResourceConfig,
    WebhookEvent,
    WebhookEventRawResults,
)

EVENTS = frozenset(
    {
        "registered_model.created",
        "model_version.created",
        "model_version_tag.set",
        "model_version_tag.deleted",
        "model_version_alias.created",
        "model_version_alias.deleted",
    }
)
"""What MLflow announces of its model registry (prompts and budgets have events of their own)."""

PAGE = "1000"

integration = Integration(Path(__file__).parent, identifier="mlflow", integration_type="mlflow")


class RegistryEventProcessor(AbstractWebhookProcessor):
    """What both processors share: which events, whose signature, and how to read MLflow's API."""

    # A version may come before its model, which another run brings at this very moment: try soon, and often.
    max_retries = 10
    initial_retry_delay_seconds = 0.05

    async def should_process_event(self, event: WebhookEvent) -> bool:
        return f"{event.payload.get('entity')}.{event.payload.get('action')}" in EVENTS

    async def authenticate(self, payload: EventPayload, headers: EventHeaders) -> bool:
        """HMAC-SHA256 over `id.timestamp.body`, base64, with the secret that the webhook was created with.

        The timestamp's age does not matter: an old delivery sent again causes one more read, nothing else.
        """
        secret = str(self.integration.config["webhook_secret"])
        sent = headers.get("X-MLflow-Signature", "")
        stamp = f"{headers.get('X-MLflow-Delivery-Id')}.{headers.get('X-MLflow-Timestamp')}."
        digest = hmac.digest(secret.encode(), stamp.encode() + self.event.body, "sha256")
        return hmac.compare_digest(sent.encode(), b"v1," + base64.b64encode(digest))

    async def validate_payload(self, payload: EventPayload) -> bool:
        return _model_name(payload) is not None

    async def pages(self, path: str, listing: str, query: dict[str, str]) -> AsyncIterator[list[RawItem]]:
        """Every page of a search."""
        token = ""
        while True:
            page = await self.get(path, {**query, "max_results": PAGE, "page_token": token})
            yield page.get(listing, [])
            token = page.get("next_page_token", "")
            if not token:
                return

    async def get(self, path: str, query: dict[str, str]) -> RawItem:
        token = self.integration.config.get("mlflow_token")
        headers = {"Authorization": f"Bearer {token}"} if token else None
        url = f"{self._server}/api/2.0/mlflow/{path}"
        return await self.integration.http.get_json(url, params=query, headers=headers)

    def link(self, name: str, version: str | None = None) -> str:
        """The page in MLflow's user interface."""
        page = f"{self._server}/#/models/{quote(name, safe='')}"
        return f"{page}/versions/{version}" if version else page

    @property
    def _server(self) -> str:
        return str(self.integration.config["mlflow_url"]).rstrip("/")


class RegisteredModelProcessor(RegistryEventProcessor):
    """Lists the registry's models whenever anything in it changed.

    All events have one resource key, so that a burst costs one listing, and whatever the listing does not
    name any more leaves the catalog: renamed and deleted models, of which MLflow says nothing.
    """

    async def get_matching_kinds(self, event: WebhookEvent) -> list[str]:
        return ["registered-model"]

    def resource_key(self, event: WebhookEvent) -> str | None:
        return "registry"

    async def handle_event(
        self, payload: EventPayload, resource_config: ResourceConfig
    ) -> WebhookEventRawResults:
        results = WebhookEventRawResults()
        async for models in self.pages("registered-models/search", "registered_models", {}):
            results.updated_raw_results += [{**model, "link": self.link(model["name"])} for model in models]
        return results


class ModelVersionProcessor(RegistryEventProcessor):
    """Reads all versions of the model that the event is about, with the aliases that point at them."""

    async def get_matching_kinds(self, event: WebhookEvent) -> list[str]:
        return ["model-version"]

    def resource_key(self, event: WebhookEvent) -> str | None:
        return _model_name(event.payload)

    async def handle_event(
        self, payload: EventPayload, resource_config: ResourceConfig
    ) -> WebhookEventRawResults:
        name = payload["data"]["name"]
        results = WebhookEventRawResults()
        try:
            model = (await self.get("registered-models/get", {"name": name}))["registered_model"]
        except FetchStatusError as error:
            if error.status == 404:  # renamed or deleted since: none of its versions is left under this name
                return results
            raise
        aliases: dict[str, list[str]] = {}
        for alias in model.get("aliases", []):
            aliases.setdefault(alias["version"], []).append(alias["alias"])
        async for versions in self.pages("model-versions/search", "model_versions", _named(name)):
            results.updated_raw_results += [
                {
                    **version,
                    "aliases": sorted(aliases.get(version["version"], [])),
                    "link": self.link(name, version["version"]),
                }
                for version in versions
                if version["name"] == name
            ]
        return results


def _model_name(payload: EventPayload) -> str | None:
    match payload:
        case {"data": {"name": str(name)}} if name:
            return name
        case _:
            return None


def _named(name: str) -> dict[str, str]:
    """The search for one model's versions. MLflow's filters cannot escape quotes: with both kinds, read all."""
    quotes = [quote_mark for quote_mark in "'\"" if quote_mark not in name]
    return {"filter": f"name={quotes[0]}{name}{quotes[0]}"} if quotes else {}


@integration.on_start()
async def check_settings() -> None:
    """Refuse to start with settings that no event could be processed with."""
    for name in ("mlflow_url", "webhook_secret"):
        if not integration.config.get(name):
            raise ConfigurationError(f"set TIDEGATE__INTEGRATION__CONFIG__{name.upper()}")


integration.add_webhook_processor("/webhook", RegisteredModelProcessor)
integration.add_webhook_processor("/webhook", ModelVersionProcessor)
