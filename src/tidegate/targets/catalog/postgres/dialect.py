"""PostgreSQL's spelling of conditions. The functions in it are verbs of the release, which behave as SQLite's do."""
# ruff: noqa: S608 - what is put into the text is this module's own

from tidegate.core.events import Json
from tidegate.targets.catalog.dialect import Operand, Value, is_impossible

_NOTHING = Operand("NULL", "NULL", "NULL", "", "NULL")


class PostgresDialect:
    """Implements Dialect."""

    position = "strpos"
    item = Operand("kind_of(item.value)", "(item.value #>> '{}')", "number_of(item.value)", "", "NULL")

    def placeholder(self, name: str, value: Value) -> str:
        if value is None:
            return f"%({name})s"
        return f'%({name})s::text COLLATE "C"' if isinstance(value, str) else f"%({name})s::numeric"

    def digest_of(self, wanted: Json, placeholder: str) -> str:
        del wanted
        return f"jsonb_hash_extended(replace({placeholder}, '\\u0000', '\\u2400')::jsonb, 0)"

    def property(self, name: str) -> Operand:
        if is_impossible(name):
            return _NOTHING
        value = _value("e.valued", name).replace("%", "%%")
        return Operand(
            f"kind_of({value})",
            f"({value} #>> '{{}}')",
            f"number_of({value})",
            f"jsonb_array_elements(array_of({value}))",
            f"instant_us({value} #>> '{{}}')",
            _digest(value),
        )

    def team(self) -> Operand:
        teams = "jsonb_array_elements(replace(e.team, '\\u0000', '\\u2400')::jsonb)"
        return Operand("'array'", "e.team", "NULL", teams, "NULL")

    def time_text(self, column: str) -> str:
        moment = f"to_timestamp({column} / 1000.0) AT TIME ZONE 'UTC'"
        return f"""to_char({moment}, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""

    def texts(self, placeholder: str) -> str:
        elements = f"jsonb_array_elements_text(({placeholder})::jsonb)"
        return f'(SELECT value COLLATE "C" AS value FROM {elements}) AS texts'

    def pairs(self, placeholder: str) -> str:
        return f"SELECT value ->> 0, value ->> 1 FROM jsonb_array_elements(({placeholder})::jsonb)"

    def lookup_key(self, name: str) -> str:
        """A digest, as an index has no place for long values."""
        return _digest(_value("valued", name))


def _value(column: str, name: str) -> str:
    quoted = name.replace("'", "''")
    return f"({column} -> '{quoted}')"


def _digest(value: str) -> str:
    return f"jsonb_hash_extended({value}, 0)"
