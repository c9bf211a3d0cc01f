"""What commands print: tables for people, JSON for programs, errors in one line on standard error."""

import sys
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table

from tidegate.core.events import Json

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNAVAILABLE = 3
EXIT_DIFFERENT = 4

PIPED_WIDTH = 240
"""Columns of a table that does not go to a terminal: nobody there minds long lines."""

NARROW = 110
"""A terminal of fewer columns has no room for whole ids."""

SHORT_ID = 18

out = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True, soft_wrap=True, highlight=False)


def print_json(value: Json) -> None:
    """Print a JSON document, indented, exactly as it is."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2)
    sys.stdout.write(text.decode() + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """Print rows under their column names, or a sentence if there are none.

    A terminal has no room for columns in which nothing stands.
    """
    if not rows:
        out.print(empty)
        return
    if out.is_terminal:
        used = [index for index in range(len(columns)) if any(row[index] not in ("", None) for row in rows)]
        columns, rows = [columns[index] for index in used], [[row[index] for index in used] for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    out.print(table)


def shown_id(event_id: str) -> str:
    """An event's id; on a narrow terminal its beginning, which will do wherever an id is asked for."""
    return event_id[:SHORT_ID] if out.is_terminal and out.width < NARROW else event_id


def print_error(message: str) -> None:
    """Say what went wrong."""
    err.print(f"[bold red]error:[/] {_escaped(message)}")


def _escaped(text: str) -> str:
    return text.replace("[", "\\[")
