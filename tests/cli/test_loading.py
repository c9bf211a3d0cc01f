"""`module:attribute`: what is loaded, and what a newcomer is told when it cannot be."""

import sys
from pathlib import Path

import pytest

from tidegate import ConfigurationError
from tidegate.cli.loading import load_integration


@pytest.fixture(autouse=True)
def _restored_imports():
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def module(tmp_path: Path, name: str, text: str) -> Path:
    (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


def test_the_integration_is_found(tmp_path: Path) -> None:
    directory = module(tmp_path, "good_one", "from tidegate import Integration\nhere = Integration('.')\n")
    assert load_integration("good_one:here", directory).identifier


@pytest.mark.parametrize(
    ("reference", "text", "message"),
    [
        ("no_colon", "", "not of the form module:attribute"),
        ("absent_module:x", "", "--app-dir"),
        (
            "imports_absent:x",
            "import surely_not_installed\n",
            "'surely_not_installed', which is not installed",
        ),
        ("raising:x", "1 / 0\n", "raising.py:1: ZeroDivisionError"),
        ("syntax:x", "def (:\n", "SyntaxError"),
        ("nothing:x", "", "should be an Integration, but is nothing"),
        ("other:x", "x = 1\n", "should be an Integration, but is int"),
        ("named:x", "from tidegate import Integration\ny = Integration('.')\n", "did you mean named:y?"),
    ],
)
def test_what_cannot_be_loaded_is_explained(tmp_path: Path, reference: str, text: str, message: str) -> None:
    directory = (
        module(tmp_path, reference.split(":", 1)[0], text) if text or "nothing" in reference else tmp_path
    )
    with pytest.raises(ConfigurationError) as caught:
        load_integration(reference, directory)
    assert message in str(caught.value)


def test_an_absent_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a directory"):
        load_integration("a:b", tmp_path / "absent")
