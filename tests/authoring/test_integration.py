"""The author API: what can be registered, and what an author is told otherwise."""

from pathlib import Path

import pytest

import tidegate
from tidegate import (
    AbstractWebhookProcessor,
    ConfigurationError,
    EventHeaders,
    EventPayload,
    Integration,
    ResourceConfig,
    RetryableError,
    WebhookEvent,
    WebhookEventRawResults,
)


class Complete(AbstractWebhookProcessor):
    async def should_process_event(self, event: WebhookEvent) -> bool:
        return True

    async def get_matching_kinds(self, event: WebhookEvent) -> list[str]:
        return ["thing"]

    async def authenticate(self, payload: EventPayload, headers: EventHeaders) -> bool:
        return True

    async def validate_payload(self, payload: EventPayload) -> bool:
        return True

    async def handle_event(
        self, payload: EventPayload, resource_config: ResourceConfig
    ) -> WebhookEventRawResults:
        return WebhookEventRawResults([payload], [])


class Partial(AbstractWebhookProcessor):  # type: ignore[misc]
    async def should_process_event(self, event: WebhookEvent) -> bool:
        return True


def test_the_public_surface_is_exactly_this() -> None:
    assert sorted(tidegate.__all__) == [
        "AbstractWebhookProcessor",
        "ConfigurationError",
        "EventHeaders",
        "EventPayload",
        "FetchClient",
        "FetchFailedError",
        "FetchResponse",
        "FetchStatusError",
        "Integration",
        "RawItem",
        "ResourceConfig",
        "RetryableError",
        "Selector",
        "TidegateError",
        "WebhookEvent",
        "WebhookEventRawResults",
    ]
    assert all(hasattr(tidegate, name) for name in tidegate.__all__)


@pytest.mark.parametrize("path", ["/webhook", "webhook", "/webhook/", "/a/b-c_d.e"])
def test_a_path_is_normalised(tmp_path: Path, path: str) -> None:
    integration = Integration(tmp_path)
    integration.add_webhook_processor(path, Complete)
    assert integration.registrations[0].path == "/" + path.strip("/")


@pytest.mark.parametrize("path", ["", "/", "/a?b", "/a#b", "/a b", "/a%20b", "\\a"])
def test_a_path_that_cannot_be_used_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be used"):
        Integration(tmp_path).add_webhook_processor(path, Complete)


def test_an_instance_or_an_incomplete_class_is_refused(tmp_path: Path) -> None:
    integration = Integration(tmp_path)
    with pytest.raises(ConfigurationError, match="pass the class"):
        integration.add_webhook_processor("/webhook", object())  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="does not define authenticate, get_matching_kinds"):
        integration.add_webhook_processor("/webhook", Partial)


def test_two_processors_of_one_name_need_two_paths(tmp_path: Path) -> None:
    integration = Integration(tmp_path)
    integration.add_webhook_processor("/one", Complete)
    integration.add_webhook_processor("/two", Complete)
    with pytest.raises(ConfigurationError, match="already"):
        integration.add_webhook_processor("one", Complete)


def test_a_start_hook_must_be_a_coroutine_function(tmp_path: Path) -> None:
    integration = Integration(tmp_path)
    with pytest.raises(ConfigurationError, match="async def begin"):

        @integration.on_start()
        def begin() -> None: ...  # type: ignore[arg-type]


def test_config_and_http_before_the_start_say_where_to_use_them(tmp_path: Path) -> None:
    integration = Integration(tmp_path)
    with pytest.raises(ConfigurationError, match="not at import"):
        _ = integration.config
    with pytest.raises(ConfigurationError, match="not at import"):
        _ = integration.http


def test_which_errors_may_pass() -> None:
    class StatusError(Exception):
        def __init__(self, status: int) -> None:
            super().__init__(status)
            self.status = status

    processor = Complete(None)  # type: ignore[arg-type]
    for error in (
        RetryableError("x"),
        TimeoutError(),
        ConnectionResetError(),
        StatusError(429),
        StatusError(503),
    ):
        assert processor.should_retry(error), error
    for error in (KeyError("x"), ValueError(), StatusError(404), StatusError(400)):
        assert not processor.should_retry(error), error


def test_the_delay_grows_by_the_four_attributes() -> None:
    class Patient(Complete):
        initial_retry_delay_seconds = 2.0
        exponential_base_seconds = 3.0
        max_retry_delay_seconds = 10.0

    processor = Patient(None)  # type: ignore[arg-type]
    delays = []
    for count in (1, 2, 3):
        processor.retry_count = count
        delays.append(processor.calculate_retry_delay())
    assert delays == [2.0, 6.0, 10.0]
