"""The pages of the documentation and their code blocks, as the tests of this folder read them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^```(?P<info>.*)$")
_TITLE = re.compile(r'title="(?P<title>[^"]*)"')
_NO_RUN = re.compile(r"^<!-- no-run: .+ -->$")


@dataclass(frozen=True)
class Block:
    """A fenced code block. `runs` is False where the page says `<!-- no-run: why -->` right before it."""

    page: Path
    line: int
    language: str
    title: str
    text: str
    runs: bool

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every page that people read: those at the top, and docs/."""
    return [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    """The page's code blocks, in order."""
    found: list[Block] = []
    begin = 0
    info = ""
    lines = page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        fence = _FENCE.match(line)
        if fence is None:
            continue
        if not begin:
            begin, info = number, fence["info"].strip()
            continue
        title = _TITLE.search(info)
        found.append(
            Block(
                page=page,
                line=begin,
                language=info.partition(" ")[0],
                title=title["title"] if title else "",
                text="\n".join([*lines[begin : number - 1], ""]),
                runs=not (begin > 1 and _NO_RUN.match(lines[begin - 2])),
            )
        )
        begin = 0
    assert not begin, f"{name_of(page)}:{begin}: this code block does not end"
    return found


def prose(page: Path) -> str:
    """The page without its code blocks."""
    inside = False
    kept: list[str] = []
    for line in page.read_text(encoding="utf-8").splitlines():
        if _FENCE.match(line.strip()):
            inside = not inside
        elif not inside:
            kept.append(line)
    return "\n".join(kept)
