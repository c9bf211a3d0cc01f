"""The service as users run it: a real process, real files, kill -9 and SIGTERM."""

import random
import socket
from pathlib import Path

import msgspec
import pytest

from tests.app.service_process import Service, tidegate, write_integration


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_integration(tmp_path / "integration")


def issue(number: int, state: str = "open") -> dict[str, object]:
    return {"id": number, "title": f"Issue {number}", "state": state}


def test_a_webhook_becomes_an_entity(directory: Path) -> None:
    with Service(directory) as service:
        assert service.post(issue(1)) == 202
        service.settle()
        entity = service.entities()["1"]
        assert entity["title"] == "Issue 1"
        assert entity["properties"] == {"state": "open"}
        assert service.terminate() == 0


def test_what_a_service_did_is_known_to_who_has_its_engine(directory: Path) -> None:
    with Service(directory) as service:
        assert service.post(issue(1)) == 202
        service.settle()
        assert service.terminate() == 0
    result = tidegate("status", "--json", cwd=directory)
    assert result.returncode == 0, result.stderr
    overview = msgspec.json.decode(result.stdout)
    rates = {(rate["stage"], rate["outcome"]): rate["per_second"] for rate in overview["rates"]}
    assert rates["received", "accepted"] == rates["settled", "completed"] == rates["written", "upsert"] > 0
    assert [timing["kind"] for timing in overview["freshness"]] == ["", "issue"]
    processes = {(process["state"], process["role"]) for process in overview["processes"]}
    assert processes == {("left", "ingress-1"), ("left", "worker-1")}


def test_nothing_accepted_is_lost_through_kill_9(directory: Path) -> None:
    rng = random.Random(7)
    accepted: set[str] = set()
    service = Service(directory, env={"TIDEGATE__ENGINE__LEASE_SECONDS": "1"})
    number = 0
    for _ in range(5):
        service.start()
        for _ in range(rng.randint(20, 60)):
            number += 1
            if service.post(issue(number)) == 202:
                accepted.add(str(number))
        service.kill()
    with service:
        service.settle()
        assert set(service.entities()) == accepted
        assert len(accepted) >= 100


def test_sigterm_drains_and_the_rest_is_there_after_the_restart(directory: Path) -> None:
    env = {
        "TIDEGATE__INTEGRATION__CONFIG__FETCH_SECONDS": "0.2",
        "TIDEGATE__EVENT_WORKERS_COUNT": "2",
        "TIDEGATE__DRAIN_SECONDS": "0.3",
    }
    service = Service(directory, env=env)
    service.start()
    for number in range(20):
        assert service.post(issue(number)) == 202
    assert service.terminate() == 0
    with Service(directory, env={**env, "TIDEGATE__EVENT_WORKERS_COUNT": "20"}) as again:
        assert again.get("/api/status")["backlog"]["claimed_runs"] + 20 > 0
        again.settle()
        assert set(again.entities()) == {str(number) for number in range(20)}


def test_an_address_in_use_is_a_clear_refusal(directory: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = tidegate("run", "main:integration", "--port", str(port), "--admin-port", "0", cwd=directory)
    message = result.stderr.decode()
    assert result.returncode == 2
    assert str(port) in message
    assert "TIDEGATE__INGRESS__PORT" in message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    ("arguments", "env", "parts"),
    [
        (["main"], {}, ["module:attribute"]),
        (["main:integrator"], {}, ["did you mean main:integration?"]),
        (["main:integration"], {"TIDEGATE__TARGET": "port"}, ["TIDEGATE__PORT__CLIENT_ID"]),
        (["main:integration"], {"TIDEGATE__ADMIN__HOST": "0.0.0.0"}, ["TIDEGATE__ADMIN__TOKEN"]),
        (
            ["main:integration"],
            {"TIDEGATE__ADMIN__HOST": "0.0.0.0", "TIDEGATE__ADMIN__TOKEN": "short"},
            ["fewer than 16 characters", "openssl rand"],
        ),
        (["main:integration"], {"TIDEGATE__EVENT_WORKERS_COUNT": "none"}, ["TIDEGATE__EVENT_WORKERS_COUNT"]),
        (["main:integration"], {"TIDEGATE__INGRESS__TRUSTED_PROXIES": '["here"]'}, ["'here' is no network"]),
        (["main:integration"], {"TIDEGATE__ENGINE__URL": "sqlite:////proc/none/x.db"}, ["/proc/none"]),
    ],
)
def test_a_wrong_start_is_explained(
    directory: Path, arguments: list[str], env: dict[str, str], parts: list[str]
) -> None:
    result = tidegate("run", *arguments, "--port", "0", "--admin-port", "0", cwd=directory, env=env)
    message = result.stderr.decode()
    assert result.returncode == 2, message
    assert "Traceback" not in message
    for part in parts:
        assert part in message


def test_a_wrong_mapping_is_explained(directory: Path) -> None:
    (directory / ".port" / "resources" / "port-app-config.yml").write_text(
        "resources:\n  - kind: 1\n    prot: {}\n"
    )
    result = tidegate("run", "main:integration", "--port", "0", "--admin-port", "0", cwd=directory)
    message = result.stderr.decode()
    assert result.returncode == 2
    assert "port-app-config.yml" in message
    assert "line 2: resources[0].port: is missing" in message
    assert "Traceback" not in message


def test_a_lost_engine_file_does_not_freeze_the_catalog(directory: Path) -> None:
    """The catalog refuses lower fences than it has seen; a new engine must not begin below them."""
    with Service(directory) as service:
        for revision in range(5):
            assert service.post(issue(1, f"revision {revision}")) == 202
            service.settle()
        service.terminate()
    for file in filter(Path.is_file, (directory / ".tidegate").glob("tidegate.db*")):
        file.unlink()
    with Service(directory) as service:
        assert service.post(issue(1, "closed")) == 202
        service.settle()
        assert service.entities()["1"]["properties"] == {"state": "closed"}
        (run,) = service.get("/api/runs")["runs"]
        attempts = service.get(f"/api/runs/{run['id']}")["attempts"]
        assert [attempt["outcome"] for attempt in attempts] == ["completed"]
        service.terminate()


def test_where_the_delivery_id_stands_can_be_said(directory: Path) -> None:
    main = directory / "main.py"
    registration = 'integration.add_webhook_processor("/webhook", IssueProcessor'
    main.write_text(main.read_text().replace(registration, f'{registration}, delivery_id_path="meta.id"'))
    with Service(directory) as service:
        for delivery in ("a", "a", "b"):
            assert service.post({**issue(1), "meta": {"id": delivery}}) == 202
        service.settle()
        assert [event["delivery_id"] for event in service.get("/api/events")["events"]] == ["b", "a"]
        service.terminate()
