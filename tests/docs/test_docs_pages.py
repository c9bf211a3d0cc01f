"""Links lead somewhere, the tree is the tree, named tests exist, and the site needs no other host."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

from tests.docs.pages import ROOT, name_of, pages, prose

SOURCE = ROOT / "src" / "tidegate"
NAMED_IN_FULL = ("", "app", "core", "pipeline", "worker")
"""Packages of which the tree names every module; of the others it names those that matter, or none."""

LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
TEST = re.compile(r"`(?P<file>tests/\w+/\w+\.py)(?:::(?P<name>\w+))?`")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    slugs = {
        re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-") for heading in headings
    }
    return slugs | set(re.findall(r'id="([^"]+)"', page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for match in LINK.finditer(prose(page)):
        target = urlsplit(match["target"])
        if target.scheme:
            continue
        file = (page.parent / target.path).resolve() if target.path else page
        assert file.exists(), f"{name_of(page)} links to {match['target']}, which does not exist"
        if target.fragment:
            assert target.fragment in anchors(file), f"{name_of(page)}: {match['target']} has no such heading"


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_named_tests_exist(page: Path) -> None:
    for match in TEST.finditer(prose(page)):
        file = ROOT / match["file"]
        assert file.exists(), f"{name_of(page)} names {match['file']}, which does not exist"
        name = match["name"]
        if name:
            found = re.search(rf"^def {name}\b|^class {name}\b", file.read_text(), re.MULTILINE)
            assert found, f"{name_of(page)} names {match[0]}, which does not exist"


def tree_of_architecture() -> set[Path]:
    """What the tree in ARCHITECTURE.md lists, relative to src/tidegate; folders without their slash."""
    text = (ROOT / "ARCHITECTURE.md").read_text().partition("src/tidegate/\n")[2].partition("```")[0]
    listed: set[Path] = set()
    parents: list[str] = []
    for line in text.splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2 - 1
        parents = [*parents[:depth], name.rstrip("/")]
        listed.add(Path(*parents))
    return listed


def test_the_tree_in_architecture_is_the_tree() -> None:
    listed = tree_of_architecture()
    absent = sorted(str(path) for path in listed if not (SOURCE / path).exists())
    assert not absent, "ARCHITECTURE.md lists what is not there"
    folders = {
        path.parent for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    folders -= {folder for folder in folders if (SOURCE / "cli" / "template") in folder.parents}
    missing = {str(folder.relative_to(SOURCE)) for folder in folders - {SOURCE}} - set(map(str, listed))
    assert not missing, "ARCHITECTURE.md lacks these packages"
    for folder in NAMED_IN_FULL:
        modules = {path.relative_to(SOURCE) for path in (SOURCE / folder).glob("*.py")}
        unnamed = modules - listed - {Path(folder, "__init__.py")}
        assert not unnamed, f"ARCHITECTURE.md names the modules of {folder or 'tidegate'}, but not these"


class Resources(HTMLParser):
    """What a browser loads by itself for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in {"script", "img", "iframe"} and values.get("src"):
            self.urls.append(values["src"] or "")
        if tag == "link" and values.get("rel") != "canonical" and values.get("href"):
            self.urls.append(values["href"] or "")


def test_the_site_builds_and_loads_nothing_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"), strict=True)
    build(config)
    built = list((tmp_path / "site").rglob("*.html"))
    assert len(built) > 20
    for page in built:
        resources = Resources()
        text = page.read_text(encoding="utf-8")
        resources.feed(text)
        assert not [url for url in resources.urls if urlsplit(url).netloc], page.name
        assert 'class="mermaid"' not in text, f"{page.name}: the script that draws it comes from another host"
