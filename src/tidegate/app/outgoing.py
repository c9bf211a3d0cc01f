"""Builds the client through which processors ask third parties, from the settings."""

from tidegate.config import Settings
from tidegate.core.ports import Clock
from tidegate.fetch import FetchClient, FetchLimits, FetchPolicy, HostBreakers


def fetch_client(settings: Settings, hosts: HostBreakers, clock: Clock) -> FetchClient:
    """It trusts the URLs among the integration's own values."""
    fetch = settings.fetch
    limits = FetchLimits(
        total_seconds=fetch.timeout_seconds,
        connect_seconds=fetch.connect_timeout_seconds,
        max_response_bytes=fetch.max_response_bytes,
        max_connections=fetch.max_connections,
    )
    policy = FetchPolicy.of(settings.integration.config, allow_private=fetch.allow_private_networks)
    return FetchClient(hosts, clock, limits, policy)
