"""SQLite's spelling of conditions; `instant_us` is a function of ours."""
# ruff: noqa: S608 - what is put into the text is this module's own

from tidegate.core.events import Json
from tidegate.targets.catalog.dialect import Operand, Value, is_impossible

_NOTHING = Operand("NULL", "NULL", "NULL", "", "NULL")


class SqliteDialect:
    """Implements Dialect."""

    position = "instr"
    item = Operand("item.type", "item.value", "item.value", "", "NULL")

    def placeholder(self, name: str, value: Value) -> str:
        del value
        return f":{name}"

    def digest_of(self, wanted: Json, placeholder: str) -> str:
        del wanted
        return placeholder

    def property(self, name: str) -> Operand:
        if is_impossible(name):
            return _NOTHING
        path, value = _path(name), _value("e.properties", name)
        return Operand(
            f"json_type(e.properties, {path})",
            value,
            value,
            f"json_each(e.properties, {path})",
            f"instant_us({value})",
        )

    def team(self) -> Operand:
        return Operand("'array'", "e.team", "NULL", "json_each(e.team)", "NULL")

    def time_text(self, column: str) -> str:
        return f"strftime('%Y-%m-%dT%H:%M:%fZ', {column} / 1000.0, 'unixepoch')"

    def texts(self, placeholder: str) -> str:
        return f"json_each({placeholder})"

    def pairs(self, placeholder: str) -> str:
        return f"SELECT value ->> 0, value ->> 1 FROM json_each({placeholder})"

    def lookup_key(self, name: str) -> str:
        """The same text as in conditions, or SQLite would not use the index."""
        return _value("properties", name)


def _value(column: str, name: str) -> str:
    return f"json_extract({column}, {_path(name)})"


def _path(name: str) -> str:
    quoted = name.replace("'", "''")
    return f"""'$."{quoted}"'"""
