"""Which paths take events from anybody."""

import functools
from pathlib import Path
from typing import Any

import pytest

from tests.authoring.test_integration import Complete
from tidegate import Integration
from tidegate.authoring.openness import looks_at_the_sender, open_paths
from tidegate.verify import github


class ByHeader(Complete):
    async def authenticate(self, payload: Any, headers: Any) -> bool:
        return headers.get("x-token") == "secret"


class ByPayload(Complete):
    async def authenticate(self, payload: Any, headers: Any) -> bool:
        return "id" in payload


class ByHelp(Complete):
    async def authenticate(self, payload: Any, headers: Any) -> bool:
        return await self.ask()

    async def ask(self) -> bool:
        return False


class Documented(Complete):
    async def authenticate(self, payload: Any, headers: Any) -> bool:
        """Anybody may send."""
        return True


class Inherited(ByHeader):
    """As its parent."""


def wrapped(function: Any) -> Any:
    @functools.wraps(function)
    async def inner(*given: Any) -> Any:
        return await function(*given)

    return inner


class Wrapped(Complete):
    authenticate = wrapped(Complete.authenticate)


@pytest.mark.parametrize("processor", [ByHeader, ByPayload, ByHelp, Inherited])
def test_an_authenticate_that_reads_something_looks_at_the_sender(processor: type[Complete]) -> None:
    assert looks_at_the_sender(processor)


@pytest.mark.parametrize("processor", [Complete, Documented, Wrapped])
def test_one_that_reads_nothing_does_not(processor: type[Complete]) -> None:
    assert not looks_at_the_sender(processor)


def test_a_path_is_open_if_nothing_on_it_asks_for_proof(tmp_path: Path) -> None:
    integration = Integration(tmp_path)
    integration.add_webhook_processor("/open", Complete)
    integration.add_webhook_processor("/verified", Complete, verify=github("secret"))
    integration.add_webhook_processor("/shared", Complete)
    integration.add_webhook_processor("/shared", ByHeader)
    integration.add_webhook_processor("/open/too", Documented)
    assert open_paths(integration) == ["/open", "/open/too"]
