"""Samples of what processes did, kept in the file for a while."""

from datetime import datetime

import msgspec
from msgspec.structs import replace

from tidegate.core.samples import SAMPLES_KEPT, Sample
from tidegate.engines.instants import from_us, span_us, to_us
from tidegate.engines.sqlite.database import Database
from tidegate.engines.sqlite.transaction import Transaction

_KEPT_US = span_us(SAMPLES_KEPT.total_seconds())
_KEEP = "INSERT INTO samples (at_us, document) VALUES (?, ?)"
_FORGET = "DELETE FROM samples WHERE at_us < ?"
_SINCE = "SELECT at_us, document FROM samples WHERE at_us >= ? ORDER BY at_us, id"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Sample).decode


def keep_sample(tx: Transaction, sample: Sample) -> None:
    """Keep a sample, and forget those whose time is over."""
    tx.run(_FORGET, (tx.now_us - _KEPT_US,))
    tx.run(_KEEP, (tx.now_us, _encode(sample)))


def samples_since(database: Database, since: datetime) -> list[Sample]:
    """Those kept at this time or later, oldest first."""
    return [
        replace(_decode(document), at=from_us(at_us))
        for at_us, document in database.rows(_SINCE, (to_us(since),))
    ]
