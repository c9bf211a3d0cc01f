"""What holds at the edge: the bounds that the settings give, and a policy for each registered path."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from tidegate.authoring import Integration, Registration
from tidegate.config import Settings
from tidegate.config.models import PathSettings
from tidegate.core.errors import ConfigurationError
from tidegate.core.networks import Network, common_networks, parse_networks
from tidegate.core.verification import Verifier
from tidegate.ingress import (
    DeliveryIdRule,
    IngressLimits,
    ListenerLimits,
    PathPolicy,
    ProxyTrust,
    RateLimit,
)


def path_policies(integration: Integration, settings: Settings) -> dict[str, PathPolicy]:
    """One policy for each registered path: what its processors ask for, and what the settings say of it.

    Raises ConfigurationError for a path that is not registered, and for networks that cannot be used.
    """
    by_path: dict[str, list[Registration]] = {}
    for registration in integration.registrations:
        by_path.setdefault(registration.path, []).append(registration)
    said = {"/" + path.strip("/"): each for path, each in settings.ingress.paths.items()}
    unknown = sorted(said.keys() - by_path)
    if unknown:
        raise ConfigurationError(
            f"ingress.paths has {', '.join(unknown)}, where no processor is registered; "
            f"there are: {', '.join(by_path)}"
        )
    return {
        path: _policy(path, registrations, said.get(path, PathSettings()))
        for path, registrations in by_path.items()
    }


def ingress_limits(settings: Settings) -> IngressLimits:
    """The bounds of one request."""
    ingress = settings.ingress
    return IngressLimits(
        **_same_names(IngressLimits, settings),
        path_rate=_rate(ingress.path_rate_per_second, ingress.path_rate_burst),
        sender_rate=_rate(ingress.sender_rate_per_second, ingress.sender_rate_burst),
        proxies=ProxyTrust(_trusted(settings), ingress.proxy_header),
    )


def listener_limits(settings: Settings) -> ListenerLimits:
    """The bounds of the webhook listener's connections."""
    return ListenerLimits(**_same_names(ListenerLimits, settings), shared_networks=_trusted(settings))


def _policy(path: str, registrations: list[Registration], said: PathSettings) -> PathPolicy:
    verifiers: list[Verifier] = []
    for registration in registrations:
        if registration.verify is not None and registration.verify not in verifiers:
            verifiers.append(registration.verify)
    headers = tuple(
        dict.fromkeys(each.delivery_id_header for each in registrations if each.delivery_id_header)
    )
    paths = tuple(dict.fromkeys(each.delivery_id_path for each in registrations if each.delivery_id_path))
    rule = DeliveryIdRule(headers=headers, body_paths=paths) if headers or paths else DeliveryIdRule()
    return PathPolicy(
        path,
        tuple(verifiers),
        rule,
        allowed_networks=_networks(path, registrations, said),
        rate=_rate(said.rate_per_second, said.rate_burst),
        max_body_bytes=said.max_body_bytes,
    )


def _networks(path: str, registrations: Iterable[Registration], said: PathSettings) -> tuple[Network, ...]:
    """The operator's list, or the addresses that every processor of the path wants; empty: everybody."""
    if said.allowed_networks is not None:
        return parse_networks(said.allowed_networks, f"ingress.paths: {path}: allowed_networks")
    lists = [each.allowed_networks for each in registrations if each.allowed_networks]
    if not lists:
        return ()
    common, *others = lists
    for other in others:
        common = common_networks(common, other)
    if not common:
        raise ConfigurationError(
            f"nobody could send to {path}: the allowed_networks of its processors have no address in common"
        )
    return common


def _rate(per_second: float | None, burst: float | None) -> RateLimit | None:
    return RateLimit(per_second, burst or max(per_second * 2, 1.0)) if per_second else None


def _same_names(limits: type[IngressLimits | ListenerLimits], settings: Settings) -> dict[str, Any]:
    """The settings that are called what a limit is called."""
    names = {each.name for each in fields(limits)} & type(settings.ingress).model_fields.keys()
    return {name: getattr(settings.ingress, name) for name in names}


def _trusted(settings: Settings) -> tuple[Network, ...]:
    return parse_networks(settings.ingress.trusted_proxies, "TIDEGATE__INGRESS__TRUSTED_PROXIES")
