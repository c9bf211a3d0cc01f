"""What the verifier tests share: a moment in time, and requests that do not depend on the machine's clock."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest

from tidegate.core.events import EventHeaders
from tidegate.core.verification import KeysNeeded, SignedRequest, Verification, Verifier

NOW = datetime(2026, 1, 1, tzinfo=UTC)
URL = "https://hooks.example.com/integration/webhook"

MakeRequest = Callable[..., SignedRequest]


@pytest.fixture(scope="session")
def make_request() -> MakeRequest:
    def make(
        body: bytes = b"{}",
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "POST",
        now: datetime = NOW,
        url: str = URL,
    ) -> SignedRequest:
        query = url.partition("?")[2]
        return SignedRequest(method, "/webhook", query, EventHeaders(headers), body, url, now)

    return make


@pytest.fixture(scope="session")
def settled() -> Callable[[Verifier, SignedRequest], Verification]:
    """Verify as the ingress does: fetch keys once where they are needed, and ask again."""

    def verify(verifier: Verifier, request: SignedRequest) -> Verification:
        outcome = verifier.verify(request)
        if not isinstance(outcome, KeysNeeded):
            return outcome
        asyncio.run(_fetch(outcome))
        return verifier.verify(request)

    return verify


async def _fetch(needed: KeysNeeded) -> None:
    await needed.fetch()
