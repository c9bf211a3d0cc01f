"""Read-after-write: a third party may answer with an older state than the one its webhook announced."""

from typing import NamedTuple

from tidegate.authoring import AbstractWebhookProcessor
from tidegate.core.errors import RetryableError
from tidegate.core.events import EventPayload
from tidegate.core.resources import WebhookEventRawResults
from tidegate.core.runs import RunClaim
from tidegate.core.versions import comparable, sortable


class StaleReadError(RetryableError):
    """The fetch returned less than the event announced. Nothing is written or deleted on its account."""


class Read(NamedTuple):
    """`version` of what was found, as sortable text; what is `stale` about it, or '' if nothing is."""

    version: str
    stale: str = ""


def announced_by(processor: AbstractWebhookProcessor, payload: EventPayload) -> str:
    """What a payload announces, as sortable text; '' if nothing. For payloads that nobody has validated yet."""
    try:
        return sortable(processor.event_version(payload))
    except Exception:  # noqa: BLE001 - an author's code may raise anything; it is asked again after validation
        return ""


def check_read(
    processor: AbstractWebhookProcessor,
    claim: RunClaim,
    payload: EventPayload,
    results: WebhookEventRawResults,
) -> Read:
    """Compare what was fetched with what the event, those coalesced into its run, and the lane have announced.

    Raises TypeError if the author's versions cannot be compared.
    """
    announced, found = processor.event_version(payload), processor.fetched_version(results)
    own, version = sortable(announced), sortable(found)
    if own and version and not comparable(own, version):
        raise TypeError(
            f"event_version and the fetched version must compare: {announced!r} and {found!r} do not"
        )
    if own and not version and not results.updated_raw_results:
        return Read(version, f"the event announces version {announced}, but the fetch found nothing")
    if not version:
        return Read(claim.version)
    if own and version < own:
        return Read(version, f"the event announces version {announced}, but the fetch found {found}")
    if comparable(version, claim.version) and version < claim.version:
        return Read(version, f"a newer version was announced, but the fetch found {found}")
    return Read(version)
