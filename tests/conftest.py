"""What all tests share."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")
"""The same examples in every run, so that a change is judged by itself. `--hypothesis-profile=default` draws others."""


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C, and so would every process that a test starts and interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _servers() -> Iterator[None]:
    """Whatever server a test has started ends with the session."""
    yield
    from tests.postgres import stop_server

    stop_server()
