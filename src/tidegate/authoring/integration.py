"""The Integration: an explicit object that an author's module builds and `tidegate run` serves."""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from tidegate.authoring.processor import AbstractWebhookProcessor
from tidegate.core.errors import ConfigurationError
from tidegate.core.events import WebhookEvent
from tidegate.core.networks import Network, parse_networks
from tidegate.core.ports import HttpClient
from tidegate.core.verification import Verifier

StartHook: TypeAlias = Callable[[], Awaitable[None]]

MAPPING_FILE = Path(".port") / "resources" / "port-app-config.yml"
BLUEPRINTS_FILE = Path(".port") / "resources" / "blueprints.json"


@dataclass(frozen=True, slots=True)
class Registration:
    """One processor class under one path."""

    path: str
    processor: type[AbstractWebhookProcessor]
    verify: Verifier | None = None
    delivery_id_header: str | None = None
    delivery_id_path: str | None = None
    allowed_networks: tuple[Network, ...] = ()

    @property
    def name(self) -> str:
        """What runs of this processor are stored under. It must not change while runs are pending."""
        return self.processor.__name__


@dataclass(eq=False)
class Integration:
    """What an integration consists of.

    `directory` holds `.port/resources/port-app-config.yml` (the mapping) and
    `.port/resources/blueprints.json`. `identifier` names this installation towards the target, and
    `integration_type` says what it is; both default to the directory's name and can be set from outside
    (TIDEGATE__INTEGRATION__IDENTIFIER).
    """

    directory: Path | str
    identifier: str = ""
    integration_type: str = ""
    registrations: list[Registration] = field(default_factory=list[Registration], init=False)
    start_hooks: list[StartHook] = field(default_factory=list[StartHook], init=False)
    _config: Mapping[str, Any] | None = field(default=None, init=False, repr=False)
    _http: HttpClient | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.directory = Path(self.directory).resolve()
        self.identifier = self.identifier or self.directory.name
        self.integration_type = self.integration_type or self.directory.name

    def add_webhook_processor(
        self,
        path: str,
        processor: type[AbstractWebhookProcessor],
        *,
        verify: Verifier | None = None,
        delivery_id_header: str | None = None,
        delivery_id_path: str | None = None,
        allowed_networks: Sequence[str] = (),
    ) -> None:
        """Register a processor class under /integration/<path>; several may share a path.

        `verify` (see tidegate.verify) checks every request to the path before it is stored.
        `delivery_id_header` and `delivery_id_path` (as "event.id", into the payload) say where the sender puts
        the id by which a delivery that comes twice is known; without them, the headers of well-known senders
        are looked at. `allowed_networks` (as "192.0.2.0/24") lists who may send here; empty: everybody. Raises
        ConfigurationError if one of these cannot be used.
        """
        normal = "/" + path.strip("/")
        if not path.strip("/") or any(character in path for character in "?#% \\"):
            raise ConfigurationError(
                f"the webhook path {path!r} cannot be used: write it as '/webhook', "
                "of letters, digits, '-', '_', '.' and '/'"
            )
        if not (isinstance(processor, type) and issubclass(processor, AbstractWebhookProcessor)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"{processor!r} is not a processor: pass the class, derived from AbstractWebhookProcessor"
            )
        missing = sorted(getattr(processor, "__abstractmethods__", ()))
        if missing:
            raise ConfigurationError(f"{processor.__name__} does not define {', '.join(missing)}")
        networks = parse_networks(allowed_networks, f"{normal}: allowed_networks")
        registration = Registration(normal, processor, verify, delivery_id_header, delivery_id_path, networks)
        if any(known.name == registration.name and known.path == normal for known in self.registrations):
            raise ConfigurationError(
                f"a processor named {registration.name} is registered under {normal} already"
            )
        self.registrations.append(registration)

    def on_start(self) -> Callable[[StartHook], StartHook]:
        """Decorate a coroutine function that runs once before the first event is processed."""

        def register(function: StartHook) -> StartHook:
            if not inspect.iscoroutinefunction(function):
                raise ConfigurationError(
                    f"on_start needs a coroutine function: write `async def {_name(function)}`"
                )
            self.start_hooks.append(function)
            return function

        return register

    @property
    def config(self) -> Mapping[str, Any]:
        """The integration's own settings, names in lower case. Readable once the service starts."""
        if self._config is None:
            raise ConfigurationError(
                "integration.config is read before the service started: "
                "read it inside a processor or an on_start hook, not at import"
            )
        return self._config

    @property
    def http(self) -> HttpClient:
        """The pooled HTTP client. Usable once the service starts."""
        if self._http is None:
            raise ConfigurationError(
                "integration.http is used before the service started: "
                "use it inside a processor or an on_start hook, not at import"
            )
        return self._http

    def bind(self, config: Mapping[str, Any], http: HttpClient) -> None:
        """Give the integration its settings and client; the composition root and the test kit call this."""
        self._config = config
        self._http = http

    @property
    def mapping_file(self) -> Path:
        return Path(self.directory) / MAPPING_FILE

    @property
    def blueprints_file(self) -> Path:
        return Path(self.directory) / BLUEPRINTS_FILE

    def create_processor(self, registration: Registration, event: WebhookEvent) -> AbstractWebhookProcessor:
        """A fresh instance for one event. Whatever the author's constructor raises comes through."""
        processor = registration.processor(event)
        processor.event = event
        processor.integration = self
        return processor


def _name(function: object) -> str:
    return getattr(function, "__name__", "start")
