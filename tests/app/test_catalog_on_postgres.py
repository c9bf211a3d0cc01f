"""Engine and catalog in one PostgreSQL: a worker is killed and the database restarts, and nothing is lost or stale."""

import signal
import threading
from pathlib import Path
from urllib.error import HTTPError

import pytest

from faults.integration import MAIN
from faults.source import Loop, Source
from scripts.postgres_server import PostgresServer, running
from tests.app.service_process import Service, eventually, tidegate, write_integration

CHANGES = 240
PER_SECOND = 60.0
RESOURCES = 30
PASSWORD = "hidden-word"


def differences(service: Service, source: Source) -> tuple[int, int]:
    """How many entities are lost, and how many are stale."""
    expected = source.expected()
    found = {name: entity["properties"]["state"] for name, entity in service.entities().items()}
    stale = sum(1 for name, state in expected.items() if name in found and found[name] != state)
    return len(expected.keys() ^ found.keys()), stale


def answers(service: Service) -> bool:
    """The admin listener has found the database again too."""
    try:
        return bool(service.get("/api/status") and service.get("/v1/blueprints"))
    except HTTPError:
        return False


def drive(loop: Loop, server: PostgresServer, source: Source, service: Service) -> None:
    """Changes all the time; meanwhile a worker dies, and then the database."""
    source.ingress = lambda: service.webhooks
    driving = loop.begin(source.drive(CHANGES, PER_SECOND, RESOURCES))
    eventually(lambda: source.fetches > 20)
    service.signal(service.child("worker-1"), signal.SIGKILL)
    eventually(lambda: source.fetches > 60)
    server.stop(signal.SIGQUIT)
    threading.Event().wait(0.5)
    server.start()
    driving.result()
    loop.run(source.all_sent())


@pytest.mark.slow
def test_a_killed_worker_and_a_restarted_database_lose_nothing(tmp_path: Path) -> None:
    directory = write_integration(tmp_path / "integration", MAIN)
    loop, source = Loop(), Source(11, (0.0, 0.05))
    loop.run(source.start())
    try:
        with running(durable=True) as server:
            url = server.url().replace("tidegate@", f"tidegate:{PASSWORD}@")
            env = {
                "TIDEGATE__ENGINE__URL": url,
                "TIDEGATE__ENGINE__LEASE_SECONDS": "2",
                "TIDEGATE__PROCESSES": "2",
                "TIDEGATE__INTEGRATION__CONFIG__SOURCE": source.url,
                "TIDEGATE__INTEGRATION__CONFIG__KEYED": "yes",
            }
            with Service(directory, env=env) as service:
                drive(loop, server, source, service)
                eventually(lambda: answers(service))
                service.settle()
                assert source.accepted >= CHANGES
                assert differences(service, source) == (0, 0)
                assert not (directory / ".tidegate" / "catalog.db").exists()
                check_commands(directory, env, source)
                assert PASSWORD not in "".join(service.log)
                assert service.terminate() == 0
    finally:
        loop.run(source.stop())
        loop.close()


def check_commands(directory: Path, env: dict[str, str], source: Source) -> None:
    """What an operator asks."""
    name, state = next(iter(source.expected().items()))
    for command, part in (
        (("entities", "list", "issue"), name),
        (("entities", "show", "issue", name), state),
        (("entities", "why", "issue", name), "upsert"),
        (("doctor", "main:integration"), "target catalog"),
    ):
        done = tidegate(*command, cwd=directory, env=env)
        said = (done.stdout + done.stderr).decode()
        assert done.returncode == 0, said
        assert part in said
        assert PASSWORD not in said
    alone = {**env, "TIDEGATE__CATALOG__PATH": str(directory / "catalog.db")}
    said = tidegate("doctor", "main:integration", cwd=directory, env=alone).stdout.decode()
    assert "unset TIDEGATE__CATALOG__PATH" in said
