"""What can be set, with its default, its bounds and one line of help. `tidegate config` and the docs show this."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

ENV_PREFIX = "TIDEGATE__"

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400 * 365)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A group of settings: frozen, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EngineSettings(Section):
    """Where events and runs are kept."""

    url: str = Field(
        default="sqlite:///./.tidegate/tidegate.db",
        description="The engine: sqlite:///relative/path or sqlite:////absolute/path.",
        pattern=r"^sqlite:///.+",
    )
    lease_seconds: Seconds = Field(
        default=30.0, description="How long a claimed run is lent before others may take it."
    )
    max_backlog: Count = Field(
        default=1_000_000, description="Unfinished work above which the ingress answers 503."
    )
    retention_hours: Annotated[float, Field(gt=0)] = Field(
        default=72.0, description="How long finished events are kept to be looked at. Dead letters stay."
    )


class PortSettings(Section):
    """Port's REST API, for TIDEGATE__TARGET=port."""

    base_url: str = Field(
        default="https://api.port.io",
        description="Port's API, without a trailing path.",
        pattern=r"^https?://[^\s]+$",
    )
    client_id: str = Field(default="", description="Port's client id.")
    client_secret: SecretStr = Field(default=SecretStr(""), description="Port's client secret.")
    timeout_seconds: Seconds = Field(default=30.0, description="How long one request to Port may take.")


class CatalogSettings(Section):
    """The embedded catalog, for TIDEGATE__TARGET=catalog."""

    path: str = Field(default="", description="Its file; empty: catalog.db beside the engine's file.")


class IntegrationSettings(Section):
    """The integration's name and its own values."""

    identifier: str = Field(
        default="", description="Names this installation; empty: the integration's directory."
    )
    type: str = Field(default="", description="What it integrates; empty: the integration's directory.")
    config: dict[str, Any] = Field(
        default_factory=dict, repr=False, description="The integration's own values (integration.config)."
    )


class FetchSettings(Section):
    """How processors ask third parties (integration.http)."""

    timeout_seconds: Seconds = Field(default=30.0, description="How long one request may take.")
    connect_timeout_seconds: Seconds = Field(default=10.0, description="How long a connection may take.")
    max_response_bytes: Count = Field(default=64 * 1024 * 1024, description="Larger answers are not taken.")
    max_connections: Count = Field(default=100, description="Open connections in all.")
    allow_private_networks: bool = Field(
        default=False,
        description="Lets URLs that are not among integration.config lead to private addresses; for development.",
    )


class IngressSettings(Section):
    """The listener that faces the internet."""

    host: str = Field(default="127.0.0.1", description="The address to listen on.")
    port: Port = Field(default=8000, description="The port to listen on; 0 chooses a free one.")
    public_url: str = Field(
        default="",
        description="What senders call, as https://hooks.example.org, for schemes that sign the URL (Twilio).",
        pattern=r"^(https?://[^\s]+)?$",
    )
    max_body_bytes: Count = Field(default=25 * 1024 * 1024, description="Larger bodies are refused with 413.")
    body_timeout_seconds: Seconds = Field(default=30.0, description="Slower bodies are refused with 408.")
    header_timeout_seconds: Seconds = Field(
        default=10.0, description="Connections with slower headers are closed."
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(), description="Networks (CIDR) whose X-Forwarded-For and X-Forwarded-Proto are believed."
    )
    rate_per_second: Annotated[float, Field(ge=0)] = Field(
        default=0.0,
        description="Requests a second and sender address, above which 429 is answered; 0: no limit.",
    )
    max_connections: Count = Field(default=2_000, description="Open connections in all.")
    max_connections_per_address: Count = Field(
        default=200, description="Open connections of one sender address."
    )


class AdminSettings(Section):
    """The listener for operators: catalog, operations API, metrics."""

    host: str = Field(
        default="127.0.0.1", description="The address to listen on. Other than loopback needs a token."
    )
    port: Port = Field(default=8001, description="The port to listen on; 0 chooses a free one.")
    token: SecretStr = Field(
        default=SecretStr(""), description="The bearer token that requests must carry; empty: loopback only."
    )


class MappingSettings(Section):
    """Bounds of the JQ evaluation."""

    item_timeout_seconds: Seconds = Field(
        default=2.0, description="How long the mapping of one item may take."
    )
    memory_bytes: Annotated[int, Field(ge=64 * 1024 * 1024)] = Field(
        default=512 * 1024 * 1024, description="The memory that the JQ worker process may use."
    )


class LogSettings(Section):
    """Log lines on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least level shown."
    )
    format: Literal["text", "json"] = Field(
        default="text", description="Lines for people, or JSON for programs."
    )


class Settings(BaseSettings):
    """All settings. Names in the environment: TIDEGATE__<NAME>, or TIDEGATE__<SECTION>__<NAME>."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        case_sensitive=False,
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    event_workers_count: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=16, description="How many runs are processed at once."
    )
    target: Literal["catalog", "port"] = Field(default="catalog", description="Where entities go.")
    run_timeout_seconds: Seconds = Field(default=120.0, description="How long one attempt of a run may take.")
    drain_seconds: Seconds = Field(default=25.0, description="How long a shutdown waits for what is in hand.")
    engine: EngineSettings = EngineSettings()
    port: PortSettings = PortSettings()
    catalog: CatalogSettings = CatalogSettings()
    integration: IntegrationSettings = IntegrationSettings()
    fetch: FetchSettings = FetchSettings()
    ingress: IngressSettings = IngressSettings()
    admin: AdminSettings = AdminSettings()
    mapping: MappingSettings = MappingSettings()
    log: LogSettings = LogSettings()
