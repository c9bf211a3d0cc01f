"""Samples of what processes did, kept in the database for a while."""

from datetime import datetime

import msgspec
from msgspec.structs import replace

from tidegate.core.samples import SAMPLES_KEPT, Sample
from tidegate.engines.instants import from_us, span_us, to_us
from tidegate.engines.postgres.calls import Verbs
from tidegate.engines.postgres.reader import Look

_SINCE = "SELECT at_us, document FROM samples WHERE at_us >= ? ORDER BY at_us, id"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Sample).decode


async def keep_sample(verbs: Verbs, sample: Sample) -> None:
    """Keep a sample, and forget those whose time is over."""
    await verbs.call("keep_sample", kept_us=span_us(SAMPLES_KEPT.total_seconds()), sample=_encode(sample))


async def samples_since(look: Look, since: datetime) -> list[Sample]:
    """Those kept at this time or later, oldest first."""
    rows = await look.rows(_SINCE, (to_us(since),))
    return [replace(_decode(document), at=from_us(at_us)) for at_us, document in rows]
