"""How a changed field looks in a terminal."""

import msgspec
from rich.text import Text

from tidegate.core.differences import FieldFate
from tidegate.core.events import Json

SHOWN_CHARACTERS = 60


def change_line(change: dict[str, Json]) -> Text:
    """A line for the JSON document of a FieldChange: secrets are masked in it."""
    line = Text(f"    {change['field']}: ", "bold")
    match change["fate"]:
        case FieldFate.ADDED:
            return line.append(_shown(change["after"]), "green")
        case FieldFate.DROPPED:
            return line.append(_shown(change["before"]), "red").append("  no longer sent", "dim")
        case _:
            line.append(_shown(change["before"]), "red").append(" → ", "dim")
            return line.append(_shown(change["after"]), "green")


def _shown(value: Json) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"
