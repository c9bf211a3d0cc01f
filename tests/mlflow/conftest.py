"""What the tests of the MLflow integration share: the integration itself, freshly imported."""

import importlib.util
from pathlib import Path

import pytest

from tidegate import Integration

ROOT = Path(__file__).resolve().parent.parent.parent
MAIN = ROOT / "examples" / "mlflow" / "main.py"


@pytest.fixture
def integration() -> Integration:
    """The example as `tidegate run` would import it, one of its own for each test."""
    spec = importlib.util.spec_from_file_location("mlflow_example", MAIN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.integration
