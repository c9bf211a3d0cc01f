"""Settings: where they come from, which source wins, and what a user is told about a mistake."""

from pathlib import Path

import pytest

from tidegate.config import load_settings, masked
from tidegate.core.errors import ConfigurationError


def load(tmp_path: Path, environ: dict[str, str] | None = None, **more: object):
    return load_settings(environ=environ or {}, directory=tmp_path, **more)  # type: ignore[arg-type]


def refusal(tmp_path: Path, environ: dict[str, str] | None = None, **more: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, environ, **more)
    return str(caught.value)


def test_everything_has_a_default(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.engine.url == "sqlite:///./.tidegate/tidegate.db"
    assert settings.target == "catalog"
    assert settings.ingress.port == 8000
    assert settings.admin.host == "127.0.0.1"


def test_command_line_wins_over_environment_over_dotenv_over_file(tmp_path: Path) -> None:
    (tmp_path / "tidegate.yml").write_text(
        "event_workers_count: 1\nrun_timeout_seconds: 1\nengine: {lease_seconds: 1, max_backlog: 1}\n"
    )
    (tmp_path / ".env").write_text("TIDEGATE__RUN_TIMEOUT_SECONDS=2\nTIDEGATE__ENGINE__LEASE_SECONDS=2\n")
    settings = load(
        tmp_path,
        {"TIDEGATE__ENGINE__LEASE_SECONDS": "3", "TIDEGATE__DRAIN_SECONDS": "3"},
        overrides={"drain_seconds": 4},
    )
    assert settings.engine.max_backlog == 1
    assert settings.run_timeout_seconds == 2
    assert settings.engine.lease_seconds == 3
    assert settings.drain_seconds == 4


def test_the_integrations_own_values_keep_their_names_in_lower_case(tmp_path: Path) -> None:
    settings = load(tmp_path, {"TIDEGATE__INTEGRATION__CONFIG__MLFLOW_URL": "http://mlflow"})
    assert settings.integration.config == {"mlflow_url": "http://mlflow"}


@pytest.mark.parametrize("text", ["10.0.0.0/8, 192.0.2.7", '["10.0.0.0/8", "192.0.2.7"]'])
def test_several_values_are_written_with_commas_or_as_json(tmp_path: Path, text: str) -> None:
    settings = load(tmp_path, {"TIDEGATE__INGRESS__TRUSTED_PROXIES": text})
    assert settings.ingress.trusted_proxies == ("10.0.0.0/8", "192.0.2.7")


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from-a-file\n")
    settings = load(tmp_path, {"TIDEGATE__PORT__CLIENT_SECRET__FILE": str(secret)})
    assert settings.port.client_secret.get_secret_value() == "from-a-file"


def test_the_integrations_secrets_can_come_from_files_too(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"from-a-file\r\n")
    settings = load(tmp_path, {"TIDEGATE__INTEGRATION__CONFIG__WEBHOOK_SECRET__FILE": str(secret)})
    assert settings.integration.config == {"webhook_secret": "from-a-file"}


@pytest.mark.parametrize(
    ("environ", "parts"),
    [
        (
            {"TIDEGATE__EVENT_WORKER_COUNT": "4"},
            ["TIDEGATE__EVENT_WORKER_COUNT", "the environment", "did you mean TIDEGATE__EVENT_WORKERS_COUNT"],
        ),
        ({"TIDEGATE__EVENT_WORKERS_COUNT": "many"}, ["TIDEGATE__EVENT_WORKERS_COUNT", "integer", "'many'"]),
        ({"TIDEGATE__EVENT_WORKERS_COUNT": "0"}, ["event_workers_count", "greater than or equal to 1"]),
        ({"TIDEGATE__ENGINE__URI": "x"}, ["engine.uri", "did you mean url"]),
        ({"TIDEGATE__ENGINE__URL": "mysql://x"}, ["engine.url", "sqlite:///", "'mysql://x'"]),
        ({"TIDEGATE__TARGET": "elsewhere"}, ["target", "'catalog' or 'port'"]),
        ({"TIDEGATE__PORT": "x"}, ["TIDEGATE__PORT", "TIDEGATE__PORT__<NAME>", "client_id"]),
        ({"TIDEGATE__PORT__CLIENT_SECRET__FILE": "/nowhere/s"}, ["/nowhere/s", "cannot be read"]),
        ({"TIDEGATE__ADMIN__PORT": "70000"}, ["admin.port", "65535"]),
    ],
)
def test_a_wrong_setting_is_named_with_its_place_and_what_is_allowed(
    tmp_path: Path, environ: dict[str, str], parts: list[str]
) -> None:
    message = refusal(tmp_path, environ)
    for part in parts:
        assert part in message


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    message = refusal(tmp_path, {"TIDEGATE__TARGET": "x", "TIDEGATE__DRAIN_SECONDS": "-1"})
    assert "target" in message
    assert "drain_seconds" in message


def test_a_wrong_secret_is_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "tidegate.yml").write_text("port: {client_secret: [hunter2]}\n")
    message = refusal(tmp_path)
    assert "port.client_secret" in message
    assert "tidegate.yml" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "environ",
    [
        {"TIDEGATE__ENGINE__URL": "mysql://user:hunter2@host/x"},
        {"TIDEGATE__ENGINE__URL": "postgresql:/user:hunter2@host/x"},
        {"TIDEGATE__ENGINE__URL": "postgresql:user:hunter/hunter2@x@host/x"},
        {"TIDEGATE__INTEGRATION__CONFIG": "hunter2"},
        {"TIDEGATE__PORT__BASE_URL": "ftp://user:hunter2@host"},
        {"TIDEGATE__INTEGRATION__CONFIG": "{hunter2"},
    ],
)
def test_what_a_wrong_value_holds_is_not_quoted_either(tmp_path: Path, environ: dict[str, str]) -> None:
    message = refusal(tmp_path, environ)
    assert message
    assert "hunter2" not in message


@pytest.mark.parametrize("text", ["- a list\n", "a: [unclosed\n", "\x00"])
def test_a_settings_file_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "tidegate.yml").write_text(text)
    assert "tidegate.yml" in refusal(tmp_path)


def test_a_named_settings_file_must_exist(tmp_path: Path) -> None:
    assert "absent.yml does not exist" in refusal(tmp_path, config_file=tmp_path / "absent.yml")


def test_secrets_are_masked_when_shown(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        {
            "TIDEGATE__PORT__CLIENT_SECRET": "hunter2",
            "TIDEGATE__INTEGRATION__CONFIG__API_TOKEN": "hunter2",
            "TIDEGATE__INTEGRATION__CONFIG__URL": "https://user:hunter2@host/x",
            "TIDEGATE__INTEGRATION__CONFIG__PLAIN": "shown",
            "TIDEGATE__ENGINE__URL": "postgresql://user:a/hunter2@b@host/x?sslpassword=hunter2&sslmode=require",
        },
    )
    shown = str(masked(settings))
    assert "postgresql://user:********@host/x?sslpassword=********&sslmode=require" in shown
    assert "hunter2" not in shown
    assert "hunter2" not in repr(settings)
    assert "shown" in shown
    assert "https://user:********@host/x" in shown
