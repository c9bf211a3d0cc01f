"""Tidegate keeps a software catalog true: webhooks in, entities out, nothing lost."""

from tidegate.authoring import AbstractWebhookProcessor, Integration
from tidegate.core.errors import ConfigurationError, RetryableError, TidegateError
from tidegate.core.events import EventHeaders, EventPayload, WebhookEvent
from tidegate.core.resources import RawItem, ResourceConfig, Selector, WebhookEventRawResults
from tidegate.fetch import FetchClient, FetchFailedError, FetchResponse, FetchStatusError

__all__ = [
    "AbstractWebhookProcessor",
    "ConfigurationError",
    "EventHeaders",
    "EventPayload",
    "FetchClient",
    "FetchFailedError",
    "FetchResponse",
    "FetchStatusError",
    "Integration",
    "RawItem",
    "ResourceConfig",
    "RetryableError",
    "Selector",
    "TidegateError",
    "WebhookEvent",
    "WebhookEventRawResults",
]
