"""Samples of what processes did, for a while."""

from datetime import datetime

from msgspec.structs import replace

from tidegate.core.samples import SAMPLES_KEPT, Sample
from tidegate.engines.memory.rows import Store


def keep_sample(store: Store, sample: Sample) -> None:
    """Keep a sample, and forget those whose time is over."""
    now = store.clock.now()
    store.samples = [kept for kept in store.samples if kept.at >= now - SAMPLES_KEPT]
    store.samples.append(replace(sample, at=now))


def samples_since(store: Store, since: datetime) -> list[Sample]:
    """Those kept at this time or later, oldest first."""
    return [sample for sample in store.samples if sample.at >= since]
