"""What differs between the SQL of databases that keep a catalog: how to look into JSON, and how values are bound."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tidegate.core.events import Json

Value = str | int | float | bytes | None
Values = Sequence[Value] | Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Operand:
    """The left side of a comparison, as SQL.

    `kind` is null, true, false, integer, real, text, array or object; `text` and `number` are its value where it is
    one, `items` what its items come from if it can be an array, `moment` its microseconds since 1970 if it is a
    date-time. `digest` is what an index has of it, empty if there is none.
    """

    kind: str
    text: str
    number: str
    items: str
    moment: str
    digest: str = ""


class Dialect(Protocol):
    """Spells parts of a condition on the table of entities, alias `e`."""

    @property
    def position(self) -> str:
        """The function that answers where a text has another, 0 if nowhere."""
        ...

    @property
    def item(self) -> Operand:
        """One of the items that an operand has, alias `item`."""
        ...

    def placeholder(self, name: str, value: Value) -> str:
        """Where a value is bound by its name."""
        ...

    def digest_of(self, wanted: Json, placeholder: str) -> str:
        """What `Operand.digest` must be for the value, bound as JSON, to be equal."""
        ...

    def property(self, name: str) -> Operand: ...

    def team(self) -> Operand: ...

    def time_text(self, column: str) -> str:
        """Milliseconds since 1970 as Port writes times."""
        ...

    def texts(self, placeholder: str) -> str:
        """A table, with the column `value`, of the texts in a JSON array."""
        ...

    def pairs(self, placeholder: str) -> str:
        """A query for the pairs in a JSON array."""
        ...

    def lookup_key(self, name: str) -> str:
        """What an index on a property is made of, so that it serves `property`."""
        ...


def is_impossible(name: str) -> bool:
    """True for a name that no stored property has, and that a path in SQL cannot spell."""
    return '"' in name or "\\" in name or "\0" in name
