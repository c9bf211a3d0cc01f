"""What the demo prints: a row for each change, from the call to the entity, and the summary."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from statistics import quantiles

from rich.console import Console
from rich.table import Table
from rich.text import Text

from demo.truth import MODEL, VERSION, Difference

SHOWN_ENTITIES = 3
EVENT_WIDTH = len("model_version_alias.created")
SHORT_NAMES = {MODEL: "model", VERSION: "version"}
STYLES = {"+": "green", "-": "red", "~": "yellow"}


class Display:
    """Writes to one console."""

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextmanager
    def waiting(self, text: str, done: str) -> Generator[None]:
        """Show that something takes its time."""
        if not self.console.is_terminal:
            self.console.print(f"{text} …")
        with self.console.status(f"{text} …"):
            yield
        self.console.print(f"[green]✓[/] {done}")

    def heading(self) -> None:
        self.console.print()
        cells = ("change in MLflow", "webhook", "entities in the catalog", "fresh after")
        self._row(*(Text(cell, style="bold") for cell in cells))

    def announced(
        self, text: str, event: str, entities: Sequence[Difference], freshness_seconds: float | None
    ) -> None:
        """A change that MLflow told of. `freshness_seconds` None: the catalog did not follow in time."""
        if freshness_seconds is None:
            fresh = Text("not yet", style="bold red")
        elif not entities:
            fresh = Text("at once", style="dim")
        else:
            fresh = Text(f"{freshness_seconds * 1000:.0f} ms", style="cyan")
        self._row(Text(text), Text(event), entity_lines(entities), fresh)

    def silent(self, text: str) -> None:
        """A change that MLflow does not tell of."""
        self._row(
            Text(text), Text("no webhook", style="dim"), Text("with the next one", style="dim"), Text("")
        )

    def _row(self, *cells: Text) -> None:
        grid = Table.grid(padding=(0, 2), expand=True)
        grid.add_column(ratio=4)
        grid.add_column(width=EVENT_WIDTH)
        grid.add_column(ratio=5)
        grid.add_column(width=11, justify="right")
        grid.add_row(*cells)
        self.console.print(grid)

    def line(self, text: str = "") -> None:
        self.console.print(text, soft_wrap=True)


def entity_lines(differences: Sequence[Difference]) -> Text:
    """What changed, a line an entity, shortened for the eye."""
    lines = Text()
    for number, one in enumerate(differences[:SHOWN_ENTITIES]):
        lines.append("\n" if number else "")
        lines.append(f"{one.sign} ", style=STYLES[one.sign])
        lines.append(f"{SHORT_NAMES.get(one.blueprint, one.blueprint)} {one.title}")
        lines.append(f": {', '.join(one.fields)}" if one.fields else "", style="dim")
    if len(differences) > SHOWN_ENTITIES:
        lines.append(f"\n  and {len(differences) - SHOWN_ENTITIES} more", style="dim")
    if not differences:
        lines.append("unchanged", style="dim")
    return lines


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that `percent` of all do not exceed."""
    if len(values) < 2:
        return values[0] if values else 0.0
    return quantiles(values, n=100, method="inclusive")[percent - 1]
