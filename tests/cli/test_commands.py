"""The daily commands against a real service's files: what people read, and what programs get."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.service_process import Service, tidegate, write_integration

PROCESSOR_THAT_FAILS = """
    async def handle_event(self, payload, resource_config):
        if payload["state"] == "poison":
            raise ValueError("cannot digest this")
        return WebhookEventRawResults([payload], [])


integration.add"""


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a service that took three events: one fine, one poison, one that was sent twice."""
    directory = write_integration(tmp_path_factory.mktemp("used") / "integration")
    main = directory / "main.py"
    main.write_text(main.read_text().replace("\nintegration.add", PROCESSOR_THAT_FAILS, 1))
    with Service(directory) as service:
        for state, delivery in (("open", "d-1"), ("poison", "d-2"), ("closed", "d-3"), ("closed", "d-3")):
            payload = {
                "id": len(delivery) if state == "poison" else 1,
                "title": "T",
                "state": state,
                "token": "hunter2",
            }
            headers = {"X-GitHub-Delivery": delivery, "Authorization": "Bearer hunter2"}
            assert service.post(payload, headers=headers) == 202
            service.settle()
        assert service.terminate() == 0
    return directory


def run(directory: Path, *arguments: str, code: int = 0) -> str:
    result = tidegate(*arguments, cwd=directory)
    assert result.returncode == code, result.stderr.decode() + result.stdout.decode()
    assert "Traceback" not in result.stderr.decode()
    return (result.stdout + result.stderr).decode()


def listed(directory: Path, *arguments: str) -> list[dict[str, object]]:
    return json.loads(run(directory, *arguments, "--json"))


def test_events_are_listed_filtered_and_counted_once_a_delivery(used: Path) -> None:
    events = listed(used, "events", "list")
    assert [(event["delivery_id"], event["state"]) for event in events] == [
        ("d-3", "applied"),
        ("d-2", "dead"),
        ("d-1", "applied"),
    ]
    assert len(listed(used, "events", "list", "--state", "dead")) == 1
    assert len(listed(used, "events", "list", "--text", "closed")) == 1
    assert len(listed(used, "events", "list", "--since", "1h")) == 3
    assert len(listed(used, "events", "list", "--until", "1h")) == 0
    assert len(listed(used, "events", "list", "-n", "2")) == 2
    assert "d-3" in run(used, "events", "list")
    for condition in (
        ["--delivery", "d-2"],
        ["--resource", "3"],
        ["--kind", "issue", "--state", "dead"],
        ["--processor", "IssueProcessor", "--text", "poison"],
        ["kind:issue state:dead"],
        ["poison resource:3"],
    ):
        [event] = listed(used, "events", "list", *condition)
        assert event["delivery_id"] == "d-2", condition
        assert [line["resource_key"] for line in event["runs"]] == ["3"]  # type: ignore[attr-defined]
    assert listed(used, "events", "list", "--kind", "unknown") == []
    assert [event["delivery_id"] for event in listed(used, "events", "list", "--before", "2")] == ["d-1"]
    assert "no state of an event" in run(used, "events", "list", "state:lost", code=2)


def test_an_event_is_shown_and_explained_without_its_secrets(used: Path) -> None:
    event_id = str(listed(used, "events", "list")[0]["id"])
    shown = run(used, "events", "show", event_id)
    assert "IssueProcessor" in shown
    assert "authorization: ***" in shown
    assert "hunter2" not in shown
    why = run(used, "events", "why", event_id)
    for step in ("authenticate", "fetch", "map", "write", "upsert issue/1"):
        assert step in why


def test_entities_are_listed_shown_and_explained(used: Path) -> None:
    assert [entity["identifier"] for entity in listed(used, "entities", "list")] == ["1"]
    assert json.loads(run(used, "entities", "show", "issue", "1"))["properties"] == {"state": "closed"}
    why = run(used, "entities", "why", "issue", "1")
    assert why.count("upsert") >= 2
    assert "no entity issue/2" in run(used, "entities", "show", "issue", "2", code=1)
    assert "deadletters list" in run(used, "entities", "why", "issue", "2", code=1)


def test_dead_letters_are_listed_tried_and_redriven(used: Path) -> None:
    (dead,) = listed(used, "deadletters", "list")
    assert dead["detail"] == "ValueError: cannot digest this"
    [cause] = listed(used, "deadletters", "causes")
    assert (cause["text"], cause["count"], cause["newest"]) == (dead["detail"], 1, [dead["id"]])
    causes = run(used, "deadletters", "causes")
    assert "1 × ValueError: cannot digest this" in causes
    assert "mend the code, deploy it, redrive" in causes
    assert "no dead letters" in run(used, "deadletters", "causes", "--until", "1h")
    assert "cannot digest this" in run(used, "deadletters", "show", str(dead["id"]))
    assert "--all" in run(used, "deadletters", "redrive", code=2)
    assert "add --yes" in run(used, "deadletters", "redrive", "--error", "digest")
    assert listed(used, "deadletters", "list", "--kind", "issue") == [dead]
    assert listed(used, "deadletters", "list", "--kind", "pull-request") == []
    assert "1 runs redriven" in run(used, "deadletters", "redrive", "--error", "digest", "--yes")
    assert "no dead letters" in run(used, "deadletters", "list")
    with Service(used) as service:
        service.settle()
        service.terminate()
    assert "1 runs discarded" in run(used, "deadletters", "discard", "--all", "--yes")


def test_an_entitys_writes_are_told_apart(used: Path) -> None:
    newest, first = listed(used, "entities", "diff", "issue", "1")
    assert [(change["field"], change["before"], change["after"]) for change in newest["changes"]] == [  # type: ignore[attr-defined]
        ("properties.state", "open", "closed")
    ]
    assert {change["fate"] for change in first["changes"]} == {"added"}  # type: ignore[attr-defined]
    assert 'properties.state: "open" → "closed"' in run(used, "entities", "diff", "issue", "1", "-n", "1")
    assert "no write" in run(used, "entities", "diff", "issue", "unknown", code=1)
    assert listed(used, "entities", "show", "issue", "1")


def test_replay_is_tried_first_and_makes_a_new_event(used: Path) -> None:
    event_id = str(listed(used, "events", "list", "--text", "closed")[0]["id"])
    assert "add --yes" in run(used, "events", "replay", event_id)
    replayed = json.loads(run(used, "events", "replay", event_id, "--yes", "--json"))
    assert replayed[0]["id"] == event_id
    again = listed(used, "events", "list")[0]
    assert (again["id"], again["replay_of"]) == (replayed[0]["replayed_as"], event_id)
    assert "at least one condition" in run(used, "events", "replay", code=2)


def test_status_and_config_are_for_people_and_programs(used: Path) -> None:
    assert "dead letters" in run(used, "status")
    assert "--watch needs a terminal" in run(used, "status", "--watch", code=2)
    assert "queued_events" in json.loads(run(used, "status", "--json"))["backlog"]
    assert "TIDEGATE__EVENT_WORKERS_COUNT" in run(used, "config")
    assert json.loads(run(used, "config", "--json"))["target"] == "catalog"


def test_a_mapping_is_tried_before_it_is_deployed(used: Path, tmp_path: Path) -> None:
    deployed = used / ".port" / "resources" / "port-app-config.yml"
    new = tmp_path / "new.yml"
    new.write_text(deployed.read_text().replace(".title", '.title + "!"'))
    assert "1 unchanged" in run(used, "mapping", "diff", str(deployed))
    changed = run(used, "mapping", "diff", str(new), code=4)
    assert "1 changed" in changed
    assert 'title: "T" → "T!"' in changed
    found = json.loads(run(used, "mapping", "diff", str(new), "--json", code=4))
    assert (found["changed"], found["runs"], found["differs"]) == (1, 1, True)
    event_id = str(listed(used, "events", "list", "--text", "closed")[-1]["id"])
    assert "title" in run(used, "mapping", "preview", str(new), "--event", event_id, code=4)
    [preview] = listed(used, "mapping", "preview", str(deployed), "--event", event_id)
    [entity] = preview["entities"]  # type: ignore[misc]
    assert entity["fate"] == "unchanged"
    assert "--event" in run(used, "mapping", "preview", str(new), code=2)
    assert "no such file" in run(used, "mapping", "diff", str(tmp_path / "absent.yml"), code=2)
    new.write_text("resources: 1")
    assert "takes a list" in run(used, "mapping", "diff", str(new), code=2)


def test_what_does_not_exist_is_a_clear_failure(used: Path, tmp_path: Path) -> None:
    assert "no stored event has the id" in run(used, "events", "show", "0123456789", code=1)
    assert "no run" in run(used, "deadletters", "show", "99999", code=1)
    assert "start `tidegate run` first" in run(tmp_path, "events", "list", code=2)
    assert "start `tidegate run` first" in run(tmp_path, "entities", "list", code=2)
    assert "neither an ISO 8601 time" in run(used, "events", "list", "--since", "noon", code=2)


def test_doctor_finds_what_is_wrong_and_says_how_to_mend_it(used: Path) -> None:
    assert "mapping expressions" in run(used, "doctor", "main:integration")
    mapping = used / ".port" / "resources" / "port-app-config.yml"
    good = mapping.read_text()
    mapping.write_text(good.replace(".title", ".title | nope(").replace("state:", "statt:"))
    try:
        found = run(used, "doctor", "main:integration", code=1)
    finally:
        mapping.write_text(good)
    assert "title" in found
    assert "statt" in found


def test_send_posts_a_signed_event(used: Path) -> None:
    body = json.dumps({"id": 7, "title": "sent", "state": "open"}).encode()
    with Service(used) as service:
        base = service.webhooks.removesuffix("/integration")
        result = tidegate("send", "/webhook", "--url", base, cwd=used, stdin=body)
        assert json.loads(result.stdout)["status"] == "accepted"
        signed = tidegate(
            "send",
            "/webhook",
            "--url",
            base,
            "--sender",
            "github",
            "--secret-env",
            "S",
            cwd=used,
            stdin=body,
            env={"S": "secret"},
        )
        assert signed.returncode == 0, signed.stderr
        refused = tidegate("send", "/absent", "--url", base, cwd=used, stdin=body)
        assert refused.returncode == 1
        service.settle()
        assert "7" in service.entities()
        service.terminate()
    unreachable = tidegate("send", "/webhook", "--url", "http://127.0.0.1:9", cwd=used, stdin=body)
    assert unreachable.returncode == 3
    assert "is `tidegate run` running?" in unreachable.stderr.decode()


def test_a_new_integration_runs_and_its_test_passes(tmp_path: Path) -> None:
    made = run(tmp_path, "init", "my-tracker")
    assert "main.py" in made
    directory = tmp_path / "my-tracker"
    own_test = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"], cwd=directory, capture_output=True, timeout=60, check=False
    )
    assert own_test.returncode == 0, own_test.stdout.decode()
    assert (directory / ".env").stat().st_mode & 0o777 == 0o600
    assert ".env" in (directory / ".gitignore").read_text().split()
    checks = {check["check"]: check for check in listed(directory, "doctor", "main:integration")}
    assert all(check["ok"] for check in checks.values())
    assert checks["/webhook → MyTrackerProcessor"]["detail"] == "verified as hmac_signature"
    with Service(directory) as service:
        sent = (
            "send",
            "/webhook",
            "--data",
            "sample.json",
            "--url",
            service.webhooks.removesuffix("/integration"),
        )
        assert "unauthorized" in run(directory, *sent, code=1)
        run(directory, *sent, "--integration", "main:integration")
        service.settle()
        assert service.get("/v1/blueprints/myTrackerTicket/entities/1")["entity"]["title"] == "A first ticket"
        service.terminate()
        assert not [line for line in service.log if "anybody can send" in line]
    assert "not empty" in run(tmp_path, "init", "my-tracker", code=2)
    assert "lower-case" in run(tmp_path, "init", "My Tracker", code=2)


def test_a_path_that_is_open_to_anybody_is_named_at_the_start_and_by_the_doctor(tmp_path: Path) -> None:
    directory = write_integration(tmp_path / "open")
    checks = {check["check"]: check for check in listed(directory, "doctor", "main:integration")}
    assert checks["/webhook"]["warning"]
    assert "whoever knows the URL" in str(checks["/webhook"]["detail"])
    with Service(directory) as service:
        service.terminate()
        assert [line for line in service.log if "anybody can send events to /webhook" in line]
