"""What all tests share."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _servers() -> Iterator[None]:
    """Whatever server a test has started ends with the session."""
    yield
    from tests.postgres import stop_server

    stop_server()
