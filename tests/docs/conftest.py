"""A project directory as `tidegate init my-tracker` makes it, and modules that do not outlive their test."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.cli.init import init_command


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Path]:
    """The current directory, first in the path of imports; what is imported from it is forgotten afterwards."""
    directory = tmp_path / "my-tracker"
    init_command("my-tracker", directory)
    capsys.readouterr()
    monkeypatch.chdir(directory)
    monkeypatch.syspath_prepend(str(directory))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield directory
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
