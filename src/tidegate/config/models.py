"""What can be set, with its default, its bounds and one line of help. `tidegate config` and the docs show this."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

ENV_PREFIX = "TIDEGATE__"

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400 * 365)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Rate = Annotated[float, Field(ge=0)]

MIB = 1024 * 1024


class Section(BaseModel):
    """A group of settings: frozen, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EngineSettings(Section):
    """Where events and runs are kept."""

    url: str = Field(
        default="sqlite:///./.tidegate/tidegate.db",
        repr=False,  # it may hold a password
        description="The engine: sqlite:///relative/path, sqlite:////absolute/path, or"
        " postgresql://user:password@host:port/database.",
        pattern=r"^(sqlite:///.+|postgres(ql)?://.+)",
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
    postgres_schema: str = Field(
        default="tidegate",
        description="PostgreSQL: the schema of the tables; one for each integration that shares a database.",
        pattern=r"^[a-z_][a-z0-9_]{0,39}$",
    )
    postgres_connections: Annotated[int, Field(ge=1, le=100)] = Field(
        default=6,
        description="PostgreSQL: connections of one process for its work; looking and listening take up to three more.",
    )
    postgres_pooler: bool = Field(
        default=False,
        description="PostgreSQL: true behind a pooler that hands out connections by transaction (PgBouncer).",
    )
    postgres_listen_url: str = Field(
        default="",
        repr=False,  # it may hold a password
        description="PostgreSQL: the way past such a pooler, for the one connection of a process that listens for new"
        " work; empty: waiting processes look once a second.",
        pattern=r"^(postgres(ql)?://.+)?$",
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
    """The catalog of Tidegate's own, for TIDEGATE__TARGET=catalog."""

    path: str = Field(
        default="",
        description="Its file, for one machine; empty: catalog.db beside the engine's file, or with PostgreSQL the"
        " engine's database.",
    )


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
    max_response_bytes: Count = Field(default=64 * MIB, description="Larger answers are not taken.")
    max_connections: Count = Field(default=100, description="Open connections in all.")
    allow_private_networks: bool = Field(
        default=False,
        description="Lets URLs that are not among integration.config lead to private addresses; for development.",
    )


class PathSettings(Section):
    """What holds for one path alone."""

    allowed_networks: tuple[str, ...] | None = None
    rate_per_second: Rate | None = None
    rate_burst: Rate | None = None
    max_body_bytes: Count | None = None


class IngressSettings(Section):
    """The listener that faces the internet. What each bound means stands in [HTTP](http.md#limits)."""

    host: str = Field(default="127.0.0.1", description="The address to listen on.")
    port: Port = Field(default=8000, description="The port to listen on; 0 chooses a free one.")
    processes: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1, description="How many processes take webhooks in."
    )
    public_url: str = Field(
        default="",
        description="What senders call, as https://hooks.example.org, for schemes that sign the URL (Twilio).",
        pattern=r"^(https?://[^\s]+)?$",
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(), description="Networks (CIDR) whose word on the sender's address is taken."
    )
    proxy_header: Literal["x-forwarded-for", "forwarded"] = Field(
        default="x-forwarded-for", description="The header in which they give it."
    )
    paths: dict[str, PathSettings] = Field(
        default_factory=dict,
        description="By path: `allowed_networks`, `rate_per_second`, `rate_burst`, `max_body_bytes`.",
    )
    max_body_bytes: Count = Field(default=25 * MIB, description="Larger bodies are refused with 413.")
    max_decoded_bytes: Count = Field(default=25 * MIB, description="What a compressed body may unfold to.")
    max_compression_ratio: Positive = Field(
        default=200.0, description="Unfolded to sent, once more than 1 MiB came out."
    )
    max_json_depth: Count = Field(default=200, description="How deep JSON may be nested.")
    max_json_values: Count = Field(default=1_000_000, description="How many values JSON may have.")
    max_form_fields: Count = Field(default=1_000, description="How many fields a form may have.")
    body_grace_seconds: Seconds = Field(
        default=10.0, description="The time in which a small body must come …"
    )
    min_body_bytes_per_second: Positive = Field(
        default=1_024.0, description="… plus a second for every so many bytes that came …"
    )
    body_timeout_seconds: Seconds = Field(default=30.0, description="… and no longer than this.")
    max_buffered_bytes: Count = Field(default=256 * MIB, description="All bodies in memory together.")
    keys_timeout_seconds: Seconds = Field(default=5.0, description="To fetch a sender's public keys.")
    retry_after_seconds: Count = Field(default=5, description="What senders are told with a 503.")
    sender_rate_per_second: Rate = Field(
        default=0.0, description="Requests of one address, above which 429 is answered; 0: no limit."
    )
    sender_rate_burst: Rate = Field(default=0.0, description="How many at once; 0: twice the rate.")
    path_rate_per_second: Rate = Field(
        default=0.0, description="Requests to one path, above which 429 is answered; 0: no limit."
    )
    path_rate_burst: Rate = Field(default=0.0, description="How many at once; 0: twice the rate.")
    max_connections: Count = Field(default=2_000, description="Open connections in all.")
    max_connections_per_address: Count = Field(default=200, description="Open connections of one address.")
    header_timeout_seconds: Seconds = Field(default=10.0, description="Slower headers are refused with 408.")
    max_header_bytes: Count = Field(default=32 * 1024, description="Larger headers are refused with 431.")
    max_header_count: Count = Field(default=100, description="More headers are refused with 431.")
    max_url_bytes: Count = Field(default=8 * 1024, description="Longer URLs are refused with 414.")
    max_pipelined: Count = Field(default=16, description="Requests that wait behind an unanswered one.")
    keep_alive_seconds: Seconds = Field(default=75.0, description="How long an idle connection is kept.")
    linger_seconds: Seconds = Field(default=2.0, description="How long more is read after an early answer.")
    write_timeout_seconds: Seconds = Field(default=30.0, description="For a client to read its answer.")
    accept_backlog: Count = Field(default=1_024, description="Connections that wait to be accepted.")


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


class TelemetrySettings(Section):
    """What leaves Tidegate of what it does. Metrics are on the admin listener."""

    traces: Literal["off", "otlp"] = Field(
        default="off",
        description="otlp: sent to a collector. Where to stands in OTEL_EXPORTER_OTLP_ENDPOINT.",
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
        default=32, description="How many runs of each worker process ask a third party at once."
    )
    role: Literal["all", "ingress", "worker"] = Field(
        default="all", description="What runs here: the ingress, workers, or both."
    )
    processes: Annotated[int, Field(ge=0, le=64)] = Field(
        default=1,
        description="How many worker processes, beside one for the ingress and one for the admin listener; "
        "0: everything in one process.",
    )
    target: Literal["catalog", "port"] = Field(default="catalog", description="Where entities go.")
    run_timeout_seconds: Seconds = Field(default=120.0, description="How long one attempt of a run may take.")
    stall_seconds: Seconds = Field(
        default=5.0,
        description="How long a processor may compute or block without awaiting before its attempt is stopped. "
        "A worker process that stands still three times as long is killed and started again.",
    )
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
    telemetry: TelemetrySettings = TelemetrySettings()
