"""Numbers and times as people read them: three digits at most, and a unit."""

from datetime import UTC, datetime

_AGES = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_RATES = ((1, "/s"), (60, "/min"), (3600, "/h"))
_BYTES = ("B", "kB", "MB", "GB")


def count_text(number: int, *, more: bool = False) -> str:
    """1234 → 1,234; with `more` 1,234+."""
    return f"{number:,}{'+' if more else ''}"


def age_text(seconds: float) -> str:
    """The largest unit alone: 3 min, 2 d."""
    whole = int(max(seconds, 0))
    for size, unit in _AGES:
        if whole >= size:
            return f"{whole // size} {unit}"
    return "0 s"


def ago_text(time: datetime, now: datetime) -> str:
    """How long ago, or in how long. The script of the pages says the same as time goes by."""
    seconds = (now - time).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"{age_text(seconds)} ago" if seconds > 0 else f"in {age_text(-seconds)}"


def duration_text(seconds: float | None) -> str:
    """0.4 ms, 12 ms, 1.24 s, 2 min 3 s."""
    if seconds is None:
        return "–"
    if seconds < 0.0001:
        return "< 0.1 ms" if seconds > 0 else "0 ms"
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def size_text(size: int) -> str:
    """512 B, 1.2 kB, 34 MB."""
    value, unit = float(size), 0
    while value >= 1000 and unit < len(_BYTES) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {_BYTES[unit]}" if unit == 0 or value >= 10 else f"{value:.1f} {_BYTES[unit]}"


def rate_parts(per_second: float) -> tuple[str, str]:
    """A number and its unit: 1,234 and /s, 12 and /min, 3 and /h."""
    if per_second <= 0:
        return "0", "/s"
    fitting = [(per_second * factor, unit) for factor, unit in _RATES if per_second * factor >= 0.95]
    rate, unit = fitting[0] if fitting else (per_second * 3600, "/h")
    return (f"{rate:.1f}".removesuffix(".0") if rate < 9.95 else f"{rate:,.0f}"), unit


def rate_text(per_second: float) -> str:
    """1,234/s, 12/min, 3/h."""
    return "".join(rate_parts(per_second))


def exact_text(time: datetime) -> str:
    """To the millisecond, in UTC."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"
