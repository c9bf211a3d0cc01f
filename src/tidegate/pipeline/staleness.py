"""Read-after-write: a third party may answer with an older state than the one its webhook announced."""

from tidegate.authoring import AbstractWebhookProcessor
from tidegate.core.errors import RetryableError
from tidegate.core.events import EventPayload
from tidegate.core.resources import WebhookEventRawResults


class StaleReadError(RetryableError):
    """The fetch returned less than the event announced. Nothing is written or deleted on its account."""


def check_read(
    processor: AbstractWebhookProcessor, payload: EventPayload, results: WebhookEventRawResults
) -> str:
    """What is stale about the results, or '' if nothing is.

    Raises TypeError if the author's versions cannot be compared.
    """
    announced = processor.event_version(payload)
    if announced is None:
        return ""
    if not results.updated_raw_results:
        return f"the event announces version {announced}, but the fetch found nothing"
    for item in results.updated_raw_results:
        found = processor.item_version(item)
        if found is not None and found < announced:
            return f"the event announces version {announced}, but the fetch found {found}"
    return ""
