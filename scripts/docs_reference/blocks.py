"""Generated blocks: what stands between `<!-- generated: NAME -->` and `<!-- end of NAME -->` is made from the code."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

_BLOCK = re.compile(
    r"(?P<begin><!-- generated: (?P<name>[a-z-]+) -->\n).*?(?P<end><!-- end of (?P=name) -->)", re.DOTALL
)


def filled(text: str, makers: Mapping[str, Callable[[], str]]) -> str:
    """The page with every generated block made anew. Raises KeyError for a block that nothing makes."""

    def fill(match: re.Match[str]) -> str:
        return f"{match['begin']}\n{makers[match['name']]().strip()}\n\n{match['end']}"

    return _BLOCK.sub(fill, text)


def names(text: str) -> list[str]:
    """The blocks of a page."""
    return [match["name"] for match in _BLOCK.finditer(text)]


def cell(text: object) -> str:
    """Text that fits into a table's cell."""
    return " ".join(str(text).replace("|", "\\|").split())


def table(columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)
