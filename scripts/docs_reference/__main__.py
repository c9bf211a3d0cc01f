"""`python -m scripts.docs_reference` writes the generated parts; it prints the files that changed."""

from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.docs_reference.blocks import ROOT, filled, names
from scripts.docs_reference.commands import commands_reference
from scripts.docs_reference.drawing import EVENT_PLACES, RUN_PLACES, drawn
from scripts.docs_reference.lifecycle import (
    event_diagram,
    event_edges,
    event_transitions,
    run_diagram,
    run_edges,
    run_transitions,
)
from scripts.docs_reference.metrics import metrics_reference
from scripts.docs_reference.openapi import operations_api, webhooks
from scripts.docs_reference.settings import settings_reference

MAKERS: Mapping[str, Callable[[], str]] = {
    "settings": settings_reference,
    "commands": commands_reference,
    "metrics": metrics_reference,
    "run-diagram": run_diagram,
    "event-diagram": event_diagram,
    "run-transitions": run_transitions,
    "event-transitions": event_transitions,
}
DRAWINGS: Mapping[str, Callable[[], str]] = {
    "run-states.svg": lambda: drawn("The states of a run", RUN_PLACES, run_edges()),
    "event-states.svg": lambda: drawn("The states of an event", EVENT_PLACES, event_edges()),
}
DESCRIPTIONS: Mapping[str, Callable[[], str]] = {
    "openapi-operations.json": operations_api,
    "openapi-webhooks.json": webhooks,
}


def generated() -> dict[Path, str]:
    """What every file with generated parts should hold."""
    files = {ROOT / "docs" / "images" / name: draw() for name, draw in DRAWINGS.items()}
    files |= {ROOT / "docs" / "reference" / name: make() for name, make in DESCRIPTIONS.items()}
    for page in [ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        if names(text):
            files[page] = filled(text, MAKERS)
    return files


def main() -> None:
    for path, text in generated().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
