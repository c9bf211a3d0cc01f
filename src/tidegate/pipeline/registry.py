"""Which processors and resource configs there are: looked up by what the engine stored."""

from collections.abc import Sequence

from tidegate.authoring import AbstractWebhookProcessor, Integration, Registration
from tidegate.core.events import StoredEvent, WebhookEvent
from tidegate.core.resources import ResourceConfig


class Registry:
    """The integration's registrations by path, and the mapping's resource configs by id and kind."""

    def __init__(self, integration: Integration, configs: Sequence[ResourceConfig]) -> None:
        self._integration = integration
        self._by_path: dict[str, list[Registration]] = {}
        self._by_name: dict[tuple[str, str], Registration] = {}
        for registration in integration.registrations:
            self._by_path.setdefault(registration.path, []).append(registration)
            self._by_name.setdefault((registration.path, registration.name), registration)
        self._configs = {config.id: config for config in configs}
        self._by_kind: dict[str, list[ResourceConfig]] = {}
        for config in configs:
            self._by_kind.setdefault(config.kind, []).append(config)

    @property
    def paths(self) -> list[str]:
        return list(self._by_path)

    def registrations(self, path: str) -> Sequence[Registration]:
        return self._by_path.get(path, ())

    def find(self, path: str, name: str) -> Registration | None:
        """The registration that a stored run means, or None if the code has none such any more."""
        return self._by_name.get((path, name))

    def config(self, config_id: str) -> ResourceConfig | None:
        return self._configs.get(config_id)

    def configs_of(self, kinds: Sequence[str]) -> list[ResourceConfig]:
        """The resource configs of the kinds, each once, in the order of the kinds."""
        return [config for kind in dict.fromkeys(kinds) for config in self._by_kind.get(kind, ())]

    def create(self, registration: Registration, event: StoredEvent) -> AbstractWebhookProcessor:
        return self._integration.create_processor(registration, WebhookEvent.from_stored(event))
