"""Takes webhooks in: limits, verification, parsing, the durable commit, the answer."""

from tidegate.ingress.answers import Refusal
from tidegate.ingress.app import IngressApp
from tidegate.ingress.asgi import asgi
from tidegate.ingress.delivery_ids import DEFAULT_HEADERS, DeliveryIdRule
from tidegate.ingress.limits import (
    IngressLimits,
    ListenerLimits,
    ProxyTrust,
    RateLimit,
)
from tidegate.ingress.policy import PathPolicy
from tidegate.ingress.receiving import EventStore
from tidegate.ingress.server import HttpServer
from tidegate.ingress.sockets import address_of, bind

__all__ = [
    "DEFAULT_HEADERS",
    "DeliveryIdRule",
    "EventStore",
    "HttpServer",
    "IngressApp",
    "IngressLimits",
    "ListenerLimits",
    "PathPolicy",
    "ProxyTrust",
    "RateLimit",
    "Refusal",
    "address_of",
    "asgi",
    "bind",
]
