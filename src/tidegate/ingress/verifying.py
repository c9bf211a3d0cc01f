"""Asks a path's verifiers about a request, and what must be masked before it is stored."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from tidegate.core.events import EventHeaders
from tidegate.core.masking import is_secret_header
from tidegate.core.verification import (
    MASKED,
    Challenge,
    KeysNeeded,
    Refused,
    SignedRequest,
    Verification,
    Verified,
    Verifier,
)
from tidegate.ingress.policy import PathPolicy


async def verdict_on(
    verifiers: tuple[Verifier, ...], request: SignedRequest, wire_body: bytes, keys_timeout_seconds: float
) -> Verification:
    """What all verifiers together say of a delivery: the first that does not say Verified decides.

    A sender may have signed the body before or after it compressed it: where the two differ, a signature
    over either is good, as both prove the same content. Verified carries the first delivery id there is.
    """
    requests = (request,) if wire_body is request.body else (request, replace(request, body=wire_body))
    delivery_id: str | None = None
    for verifier in verifiers:
        verdict = _ask(verifier, requests)
        if isinstance(verdict, KeysNeeded) and await _fetched(verdict, keys_timeout_seconds):
            verdict = _ask(verifier, requests)
        if isinstance(verdict, Refused):
            return Refused(f"{verifier.name}: {verdict.reason}")
        if not isinstance(verdict, Verified):
            return verdict
        delivery_id = delivery_id or verdict.delivery_id
    return Verified(delivery_id)


def challenge_in(verifiers: tuple[Verifier, ...], build: Callable[[], SignedRequest]) -> Challenge | None:
    """The answer to a request that is no delivery (GET, OPTIONS), if one of the verifiers knows it."""
    if verifiers:
        request = build()
        for verifier in verifiers:
            verdict = verifier.verify(request)
            if isinstance(verdict, Challenge):
                return verdict
    return None


def masked(headers: dict[str, str], policy: PathPolicy) -> EventHeaders:
    """The headers to store, names in lower case: once verified, secrets and signatures have done their work and are masked.

    Those that the verifiers name, and those whose name sounds like one: senders and proxies add more than one.
    """
    if not policy.verifiers:
        return EventHeaders.of_lower(headers)
    named = policy.masked_headers
    return EventHeaders.of_lower(
        {
            name: MASKED if name in named or is_secret_header(name) else value
            for name, value in headers.items()
        }
    )


def _ask(verifier: Verifier, requests: tuple[SignedRequest, ...]) -> Verification:
    verdict: Verification = Refused("nothing to verify")
    for request in requests:
        verdict = verifier.verify(request)
        if not isinstance(verdict, Refused):
            break
    return verdict


async def _fetched(needed: KeysNeeded, timeout_seconds: float) -> bool:
    """True if the keys came. Whatever goes wrong on the way is the keys' host's doing, not the sender's."""
    try:
        async with asyncio.timeout(timeout_seconds):
            await needed.fetch()
    except Exception:  # noqa: BLE001 - the fetch is foreign code: an outage of any shape means 503
        return False
    return True
