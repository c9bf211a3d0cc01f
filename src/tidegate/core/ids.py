"""Ids that sort by time: UUID version 7 (RFC 9562 §5.7), from a time and random bits that the caller brings."""

from datetime import datetime


def uuid7(now: datetime, bits: int) -> str:
    """The id as text. `bits` holds at least 74 random bits; the lowest 74 are used."""
    milliseconds = int(now.timestamp() * 1000) & ((1 << 48) - 1)
    high = (bits >> 62) & 0xFFF
    low = bits & ((1 << 62) - 1)
    text = f"{milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
