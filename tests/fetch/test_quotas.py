"""The headers by which third parties tell what is left of a quota: many, and no two alike."""

from datetime import UTC, datetime

import pytest

from tidegate.fetch.retry_after import MAX_WAIT_SECONDS, is_throttled, rest_seconds, retry_after_seconds

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EPOCH = int(NOW.timestamp())


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(EPOCH + 40)}, 40),  # GitHub
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "2026-01-01T00:00:41Z"}, 41),  # Jira
        ({"ratelimit-remaining": "0", "ratelimit-reset": "42"}, 42),  # PagerDuty
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": str(EPOCH + 43)}, 43),  # Okta
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str((EPOCH + 44) * 1000)}, 44),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset-after": "4.5"}, 4.5),  # Discord
        ({"x-ratelimit-remaining": "0, 0;w=60", "x-ratelimit-reset": "46"}, 46),
        ({"ratelimit": "limit=100, remaining=0, reset=47"}, 47),  # the IETF's earlier draft
        ({"ratelimit": '"default";r=0;t=48'}, 48),  # and the later one
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(EPOCH + 86_400)}, MAX_WAIT_SECONDS),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(EPOCH - 5)}, 0),
        ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": "49"}, None),
        ({"ratelimit": '"default";r=10;t=50'}, None),
        ({"x-ratelimit-remaining": "0"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, None),
        ({"x-ratelimit-remaining": "none", "x-ratelimit-reset": "51"}, None),
        ({}, None),
    ],
)
def test_the_last_request_of_a_quota_is_noticed(headers: dict[str, str], seconds: float | None) -> None:
    assert rest_seconds(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"retry-after-ms": "1500"}, 1.5),
        (503, {"x-ms-retry-after-ms": "250", "retry-after": "1"}, 0.25),
        (429, {"retry-after": "7", "x-ratelimit-reset": "60"}, 7),
        (429, {"ratelimit": "limit=100, remaining=0, reset=8"}, 8),
        (403, {"x-ratelimit-remaining": "5", "x-ratelimit-reset": "9"}, None),
        (500, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9"}, None),
    ],
)
def test_what_a_refusal_asks_for(status: int, headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(status, headers, NOW) == seconds


def test_which_refusals_are_about_a_quota() -> None:
    assert is_throttled(429, {})
    assert is_throttled(403, {"x-ratelimit-remaining": "0"})
    assert is_throttled(403, {"retry-after": "60"})
    assert not is_throttled(403, {"x-ratelimit-remaining": "7"})
    assert not is_throttled(404, {"retry-after": "60"})
