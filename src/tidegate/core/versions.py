"""Versions as text that sorts as they do, so that engines can keep the highest one without knowing what it means.

Authors give numbers or strings; '' is no version at all, and lower than any.
"""

from decimal import Decimal

from tidegate.core.events import Json

_EXPONENT_OFFSET = 5_000
_COMPLEMENT = str.maketrans("0123456789", "9876543210")


def sortable(version: Json) -> str:
    """Text that sorts as the version does; '' for None. Raises TypeError for what has no order."""
    if version is None:
        return ""
    if isinstance(version, str):
        return f"s{version}"
    if isinstance(version, (int, float)) and not isinstance(version, bool):
        return f"n{_number(Decimal(version))}"
    raise TypeError(f"a version must be a number or a string, not {version!r}")


def comparable(one: str, other: str) -> bool:
    """Whether two sortable texts are of one sort: numbers or strings."""
    return one[:1] == other[:1]


def _number(value: Decimal) -> str:
    """The sign, then the exponent, then the digits; all turned round if it is negative."""
    if not value.is_finite():
        raise TypeError(f"a version must be a finite number, not {value}")
    if value == 0:
        return "1"
    digits = "".join(map(str, value.as_tuple().digits)).rstrip("0")
    text = f"{value.adjusted() + _EXPONENT_OFFSET:04d}{digits}"
    return f"2{text}" if value > 0 else f"0{text.translate(_COMPLEMENT)}~"
