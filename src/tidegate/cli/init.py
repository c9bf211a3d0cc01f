"""`tidegate init`: a new integration that runs, and has a test that passes."""

import re
import secrets
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.output import out
from tidegate.core.errors import ConfigurationError

OWNER_ONLY, READABLE = 0o600, 0o666  # before the umask

_NAME = re.compile(r"^[a-z][a-z0-9-]{0,40}$")


def init_command(
    name: Annotated[str, typer.Argument(help="The integration's name, as my-tracker.")],
    directory: Annotated[Path | None, typer.Option(help="Where to put it (default: ./NAME).")] = None,
) -> None:
    """Make a new integration: a processor, a mapping, a blueprint and a test."""
    if not _NAME.match(name):
        raise typer.BadParameter(
            "use lower-case letters, digits and '-', beginning with a letter", param_hint="NAME"
        )
    target = directory or Path(name)
    if target.exists() and any(target.iterdir()):
        raise ConfigurationError(f"{target} exists and is not empty: choose another name or --directory")
    template = files("tidegate.cli") / "template"
    written = sorted(_copy(template, target, _words(name)))
    out.print(f"made {target}:")
    for path in written:
        out.print(f"  {path}", markup=False)
    out.print("\nnext:")
    out.print(f"  cd {target}", markup=False)
    out.print("  python -m pytest              # its test", markup=False)
    out.print("  tidegate doctor main:integration", markup=False)
    out.print("  tidegate run main:integration", markup=False)
    out.print("  tidegate send /webhook --data sample.json --integration main:integration", markup=False)


def _words(name: str) -> dict[str, str]:
    """What the template's placeholders stand for."""
    camel = "".join(part.capitalize() for part in name.split("-"))
    return {
        "__NAME__": name,
        "__CLASS__": camel,
        "__BLUEPRINT__": camel[0].lower() + camel[1:],
        "__SECRET__": secrets.token_urlsafe(32),
    }


def _copy(source: Traversable, target: Path, words: dict[str, str]) -> list[Path]:
    written: list[Path] = []
    for entry in source.iterdir():
        if entry.name == "__pycache__":
            continue
        path = target / entry.name.removesuffix(".tmpl").replace("dot-", ".", 1)
        if entry.is_dir():
            written += _copy(entry, path, words)
            continue
        text = entry.read_text(encoding="utf-8")
        for placeholder, word in words.items():
            text = text.replace(placeholder, word)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=OWNER_ONLY if path.name == ".env" else READABLE)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written
