"""An hour in one line of text."""

from collections.abc import Sequence
from itertools import pairwise

_BARS = "▁▂▃▄▅▆▇█"
_NONE = " "


def sparkline(values: Sequence[float | None], width: int) -> str:
    """The values as bars, the newest at the right; neighbours share a bar if there are more than `width`.

    A bar shows the highest of its values, so that no peak is lost. What is not known stays blank, and zero is
    the lowest bar.
    """
    if width <= 0 or not values:
        return ""
    bars = [_highest(part) for part in _parts(values, width)]
    top = max((bar for bar in bars if bar is not None), default=0.0)
    return "".join(_NONE if bar is None else _bar(bar, top) for bar in bars)


def _parts(values: Sequence[float | None], width: int) -> list[Sequence[float | None]]:
    if len(values) <= width:
        return [[value] for value in values]
    edges = [round(index * len(values) / width) for index in range(width + 1)]
    return [values[start:end] for start, end in pairwise(edges)]


def _highest(part: Sequence[float | None]) -> float | None:
    return max((value for value in part if value is not None), default=None)


def _bar(value: float, top: float) -> str:
    if value <= 0 or top <= 0:
        return _BARS[0]
    return _BARS[min(1 + int(value / top * (len(_BARS) - 1)), len(_BARS) - 1)]
