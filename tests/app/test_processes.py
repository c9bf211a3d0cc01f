"""A service as several processes under one parent: whichever ends is started again, and all end together."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.app.service_process import Service, eventually, tidegate, write_integration


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_integration(tmp_path / "integration")


def issue(number: int) -> dict[str, object]:
    return {"id": number, "title": f"Issue {number}", "state": "open"}


def counted(service: Service, metric: str) -> float:
    """A counter's sum over its labels, over all processes."""
    with urlopen(f"{service.admin}/metrics", timeout=10) as answer:
        page = answer.read().decode()
    return sum(float(value) for value in re.findall(rf"^{metric}(?:\{{.*\}})? (\S+)$", page, re.MULTILINE))


def is_ready(service: Service) -> bool:
    return service.ready()["status"] == "ready"


def test_what_is_killed_is_started_again_and_nothing_is_lost(directory: Path) -> None:
    with Service(directory, env={"TIDEGATE__ENGINE__LEASE_SECONDS": "1"}) as service:
        number = 0
        for name in ("worker-1", "ingress-1", "worker-1", "ingress-1"):
            before = service.child(name)
            for _ in range(10):
                number += 1
                assert service.post(issue(number)) == 202
            service.signal(before, signal.SIGKILL)
            # The socket is the parent's: who comes meanwhile waits.
            number += 1
            assert service.post(issue(number)) == 202
            eventually(lambda name=name, before=before: service.find_child(name) not in (None, before))
        service.settle()
        assert set(service.entities()) == {str(each) for each in range(1, number + 1)}
        assert counted(service, "tidegate_events_accepted_total") == number
        assert any("worker-1 was ended by SIGKILL" in line for line in service.log)
        eventually(lambda: is_ready(service))
        assert service.terminate() == 0


def test_readiness_says_which_process_is_missing(directory: Path) -> None:
    with Service(directory) as service:
        eventually(lambda: is_ready(service))
        for _ in range(6):  # the pauses between lives grow
            worker = service.child("worker-1")
            service.signal(worker, signal.SIGKILL)
            eventually(lambda worker=worker: service.find_child("worker-1") != worker)
            if "worker-1 was ended by SIGKILL and is started again" in service.ready()["reasons"]:
                break
            eventually(lambda: service.find_child("worker-1") is not None)
        else:
            pytest.fail("the page never told of a missing worker")
        eventually(lambda: is_ready(service))


def test_no_child_outlives_its_parent(directory: Path) -> None:
    service = Service(directory, env={"TIDEGATE__PROCESSES": "2"}).start()
    children = [service.child(name) for name in ("ingress-1", "admin", "worker-1", "worker-2")]
    service.kill()
    eventually(lambda: not any(Path("/proc", str(pid), "exe").exists() for pid in children))


def test_roles_may_run_apart_on_one_engine(directory: Path) -> None:
    with Service(directory, env={"TIDEGATE__ROLE": "ingress"}) as ingress:
        assert ingress.post(issue(1)) == 202
        assert ingress.get("/api/status")["backlog"]["queued_events"] == 1
        assert ingress.find_child("worker-1") is None
        with Service(directory, env={"TIDEGATE__ROLE": "worker", "TIDEGATE__PROCESSES": "2"}) as workers:
            workers.settle()
            assert ingress.post(issue(2)) == 202
            workers.settle()
            assert set(workers.entities()) == {"1", "2"}
            assert workers.webhooks == ""
            assert workers.terminate() == 0
        assert ingress.terminate() == 0


def test_several_ingresses_share_the_port(directory: Path) -> None:
    with Service(directory, env={"TIDEGATE__INGRESS__PROCESSES": "2"}) as service:
        service.signal(service.child("ingress-1"), signal.SIGSTOP)
        eventually(lambda: service.find_child("ingress-2") is not None)
        assert [service.post(issue(number), timeout_seconds=20) for number in range(5)] == [202] * 5
        service.signal(service.child("ingress-1"), signal.SIGCONT)
        assert service.terminate() == 0


def test_everything_in_one_process(directory: Path) -> None:
    with Service(directory, env={"TIDEGATE__PROCESSES": "0"}) as service:
        assert service.post(issue(1)) == 202
        service.settle()
        assert set(service.entities()) == {"1"}
        assert service.find_child("worker-1") is None
        assert service.terminate() == 0


def test_a_start_that_can_never_work_ends_all_and_says_why_once(directory: Path) -> None:
    (directory / "main.py").write_text("integration = 1 / 0")
    result = tidegate("run", "main:integration", "--port", "0", "--admin-port", "0", cwd=directory)
    message = result.stderr.decode()
    assert result.returncode == 2
    assert message.count("ZeroDivisionError") == 1
    assert "Traceback" not in message


def test_a_worker_that_can_never_work_ends_all(directory: Path) -> None:
    blueprints = directory / ".port" / "resources" / "blueprints.json"
    blueprints.write_text('[{"identifier": "issue", "schema": {"properties": {"a": {"type": "nothing"}}}}]')
    result = tidegate(
        "run", "main:integration", "--port", "0", "--admin-port", "0", "--processes", "2", cwd=directory
    )
    assert result.returncode == 2, result.stderr.decode()
    assert "Traceback" not in result.stderr.decode()


OPENING = """
import sys
from pathlib import Path
from tidegate.engines.sqlite.schema import open_writer as open_engine
from tidegate.targets.catalog.sqlite.files import open_writer as open_catalog
sys.stdin.readline()
for number in range(50):
    open_engine(Path(sys.argv[1], f"{number}.db")).close()
    open_catalog(Path(sys.argv[1], f"{number}-catalog.db")).close()
"""


def test_processes_that_create_the_files_at_once_do_not_fail(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPENING, str(tmp_path)]
    opening = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for process in opening:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    results = [(process.communicate()[1], process.returncode) for process in opening]
    assert results == [("", 0)] * 3
