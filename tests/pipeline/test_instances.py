"""What is kept between routing and processing: what is needed next, within bounds."""

from tests.pipeline.issues import IssueProcessor
from tidegate import WebhookEvent
from tidegate.core.events import EventHeaders
from tidegate.pipeline.instances import InstanceCache
from tidegate.testing.clock import START


def instance(body: bytes = b"{}") -> IssueProcessor:
    return IssueProcessor(WebhookEvent("e", "t", "/webhook", EventHeaders(), body, START))


def test_each_use_takes_one() -> None:
    kept, cache = instance(), InstanceCache()
    cache.put(1, "P", kept, uses=2)
    assert cache.take(1, "Q") is None
    assert [cache.take(1, "P") for _ in range(3)] == [kept, kept, None]


def test_far_ahead_of_processing_what_is_needed_next_stays() -> None:
    cache = InstanceCache(max_instances=3)
    for seq in range(1, 10):
        cache.put(seq, "P", instance(), uses=1)
    assert [seq for seq in range(1, 10) if cache.take(seq, "P")] == [1, 2, 3]


def test_what_was_passed_over_makes_room() -> None:
    cache = InstanceCache(max_instances=3)
    for seq in (1, 2, 3):
        cache.put(seq, "P", instance(), uses=1)
    assert cache.take(20, "P") is None  # a run for a newer event: those before it are not asked for any more
    for seq in (21, 22, 23):
        cache.put(seq, "P", instance(), uses=1)
    assert [seq for seq in (1, 2, 3, 21, 22, 23) if cache.take(seq, "P")] == [21, 22, 23]


def test_bodies_are_bounded_too() -> None:
    cache = InstanceCache(max_body_bytes=10)
    cache.put(1, "P", instance(b"{     }"), uses=1)
    cache.put(2, "P", instance(b"{     }"), uses=1)
    cache.put(3, "P", instance(b"{}"), uses=1)
    cache.put(4, "P", instance(b"{            }"), uses=1)
    assert [seq for seq in range(1, 5) if cache.take(seq, "P")] == [1, 3]
    cache.put(5, "P", instance(b"{        }"), uses=1)
    assert cache.take(5, "P")


def test_what_is_discarded_is_gone() -> None:
    cache = InstanceCache()
    cache.put(1, "P", instance(), uses=2)
    cache.discard(1, "P")
    cache.discard(1, "P")
    assert cache.take(1, "P") is None
