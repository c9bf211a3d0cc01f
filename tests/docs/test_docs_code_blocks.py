"""Python blocks run, files that pages show can be read, and `tidegate` and `make` commands exist."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from tests.docs.pages import DOCS, ROOT, Block, blocks, name_of, pages, prose
from tidegate.cli.loading import load_integration
from tidegate.cli.main import app
from tidegate.config import load_settings
from tidegate.mapping import parse_mapping

ELSEWHERE = {
    DOCS / "how-to" / "verify-signatures.md",  # executed in tests/verify
    DOCS / "tutorial.md",  # followed in test_docs_tutorial.py
}
SEPARATORS = "|<>&;"

runner = CliRunner()


def blocks_of(*languages: str) -> list[Block]:
    return [block for page in pages() for block in blocks(page) if block.language in languages]


def pages_with_python() -> list[Path]:
    found = {block.page for block in blocks_of("python") if block.runs}
    return sorted(found - ELSEWHERE)


@pytest.mark.parametrize("page", pages_with_python(), ids=name_of)
def test_python_blocks_run(page: Path, project: Path) -> None:
    """Blocks with a title are files of a project that `tidegate init` began; the others run by themselves."""
    for block in blocks(page):
        if not block.runs or not block.title:
            continue
        (project / block.title).write_text(block.text)
    for block in blocks(page):
        if block.language != "python" or not block.runs:
            continue
        if not block.title:
            exec(compile(block.text, str(block), "exec"), {"__name__": "__main__"})
        elif block.title == "main.py":
            assert load_integration("main:integration", project).registrations
        elif block.title.startswith("tests/"):
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", block.title]
            result = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
            assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("block", blocks_of("json", "yaml"), ids=str)
def test_documents_can_be_read(block: Block, tmp_path: Path) -> None:
    document = json.loads(block.text) if block.language == "json" else yaml.safe_load(block.text)
    if block.title.endswith("port-app-config.yml"):
        assert parse_mapping(document).configs
    if block.title == "tidegate.yml":
        file = tmp_path / block.title
        file.write_text(block.text)
        load_settings(file, environ={}, directory=tmp_path)


def commands(program: str) -> list[tuple[str, list[str]]]:
    """Every command line of the program in the shell blocks, without pipes and redirections."""
    found: list[tuple[str, list[str]]] = []
    for block in blocks_of("sh", "bash", "console"):
        text = re.sub(r"(^|\s)# .*", "", block.text.replace("\\\n", " "))
        lexer = shlex.shlex(text.replace("\n", " ; "), posix=True, punctuation_chars=SEPARATORS)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if not set(word) <= set(SEPARATORS):
                words.append(word)
                continue
            if words and words[0] == program:
                found.append((f"{block}: {' '.join(words)}", words[1:]))
            words = []
    return found


@pytest.mark.parametrize("words", [pytest.param(words, id=name) for name, words in commands("tidegate")])
def test_tidegate_commands_parse(words: list[str]) -> None:
    result = runner.invoke(app, [*words, "--help"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_tidegate_commands_in_prose_exist(page: Path) -> None:
    for words in re.findall(r"`tidegate ((?:[a-z]+ ?){1,2})", prose(page)):
        result = runner.invoke(app, [*words.split(), "--help"])
        assert result.exit_code == 0, f"{name_of(page)}: there is no command `tidegate {words}`"


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = {words[0] for _, words in commands("make") if words}
    used |= {target for page in pages() for target in re.findall(r"`make ([a-z-]+)", prose(page))}
    assert used <= targets
