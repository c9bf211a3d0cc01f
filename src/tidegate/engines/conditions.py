"""Conditions of a query, gathered one by one. Values are bound, and stand as ? in the text."""

from collections.abc import Sequence
from dataclasses import dataclass, field

Value = str | int | float | bytes | None


@dataclass(slots=True)
class Conditions:
    """Conditions that must all hold, with the values that they bind."""

    texts: list[str] = field(default_factory=list[str])
    values: list[Value] = field(default_factory=list[Value])

    def add(self, text: str, *values: Value) -> None:
        self.texts.append(text)
        self.values.extend(values)

    def equal(self, column: str, value: Value) -> None:
        """The column has this value; None asks for nothing."""
        if value is not None:
            self.add(f"{column} = ?", value)

    def one_of(self, column: str, values: Sequence[Value]) -> None:
        """The column has one of these values; none at all asks for nothing."""
        if values:
            self.add(f"{column} IN ({', '.join('?' * len(values))})", *values)

    def within(self, column: str, since_us: int | None, until_us: int | None) -> None:
        """Since <= column < until."""
        if since_us is not None:
            self.add(f"{column} >= ?", since_us)
        if until_us is not None:
            self.add(f"{column} < ?", until_us)

    @property
    def where(self) -> str:
        """The text behind WHERE."""
        return " AND ".join(self.texts) or "true"
