"""JSON as foldable HTML, bounded: a page must not grow with a payload. Everything is escaped here."""

from dataclasses import dataclass, field
from itertools import islice
from typing import cast

import msgspec
from markupsafe import Markup, escape

from tidegate.core.events import Json

MAX_NODES = 1_500
MAX_TEXT = 1_000
OPEN_DEPTH = 2
"""Objects nested deeper are folded at first, unless more is asked for."""

MAX_DEPTH = 40


@dataclass(slots=True)
class _Tree:
    """Collects the pieces, and counts what may still be shown."""

    opened: int
    left: int = MAX_NODES
    pieces: list[str] = field(default_factory=list[str])

    def add(self, value: Json, label: str, depth: int) -> None:
        """One value, with what stands before it."""
        self.left -= 1
        match value:
            case dict() if value:
                named = cast("dict[str, Json]", value)
                shown = islice(named.items(), MAX_NODES)
                self._group(label, [(_key(name), inner) for name, inner in shown], len(named), "{}", depth)
            case list() if value:
                items = cast("list[Json]", value)
                self._group(label, [("", inner) for inner in items[:MAX_NODES]], len(items), "[]", depth)
            case _:
                self.pieces.append(f'<div class="j-row">{label}{_scalar(value)}</div>')

    def _group(self, label: str, pairs: list[tuple[str, Json]], size: int, braces: str, depth: int) -> None:
        opened = " open" if depth < self.opened else ""
        noun = ("key" if braces == "{}" else "item") + ("" if size == 1 else "s")
        self.pieces.append(
            f'<details class="j-group"{opened}><summary>{label}<span class="j-brace">{braces[0]}</span>'
            f'<span class="j-fold"> {size} {noun} <span class="j-brace">{braces[1]}</span></span></summary>'
            '<div class="j-inner">'
        )
        shown = 0
        for inner_label, inner in pairs:
            if self.left <= 0 or depth >= MAX_DEPTH:
                break
            self.add(inner, inner_label, depth + 1)
            shown += 1
        if shown < size:
            self.pieces.append(f'<div class="j-row j-more">… {size - shown:,} more not shown</div>')
        self.pieces.append(f'</div><span class="j-brace j-end">{braces[1]}</span></details>')


def json_tree(value: Json, opened: int = OPEN_DEPTH) -> Markup:
    """A value as nested, foldable rows; those of the first `opened` levels are open."""
    tree = _Tree(opened)
    tree.add(value, "", 0)
    return Markup("".join(tree.pieces))  # noqa: S704 - every text in it was escaped above


def compact_json(value: Json, limit: int = 120) -> str:
    """A value in one line, cut after `limit` characters."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def pretty_json(value: Json) -> str:
    """A value indented, as text."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _scalar(value: Json) -> str:
    match value:
        case None | True | False:
            return f'<span class="j-word">{msgspec.json.encode(value).decode()}</span>'
        case int() | float():
            return f'<span class="j-number">{value}</span>'
        case str():
            cut = value[:MAX_TEXT]
            more = f'<span class="j-more"> … {len(value) - MAX_TEXT:,} more characters</span>'
            return (
                f'<span class="j-text">{escape(_quoted(cut))}</span>{more if len(value) > MAX_TEXT else ""}'
            )
        case _:
            return f'<span class="j-brace">{"{}" if isinstance(value, dict) else "[]"}</span>'


def _key(name: str) -> str:
    return f'<span class="j-key">{escape(_quoted(name))}</span>: '


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()
