"""The faults that are tried. Each answers a Reckoning; `scale` makes it longer."""

import signal
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from faults.backlog import backlog
from faults.children import kill_children
from faults.disk import fill, free, small_disk
from faults.hostile import damaged_row, endless_mapping, poison
from faults.postgres import POSTGRES_ONLY, on_postgres
from faults.trial import LEASE_SECONDS, Reckoning, Trial, trial

Scenario: TypeAlias = Callable[[int, float], Reckoning]

RATE = 50.0
RESOURCES = 40
OUTAGE_SECONDS = 10.0
KILLS = 100
OTHER_KILLS = 30
BURST = 100
MOST_OF_A_BURST = 3
PAUSES = 3
EMBEDDED_ONLY = frozenset({"disk-full"})
"""Faults of the file; a full disk of the server is a fault of its own."""


def kill_9(seed: int, scale: float) -> Reckoning:
    """Kill -9 at random moments while events come in."""
    with trial("kill -9", seed, latency_seconds=(0.0, 0.05)) as t:
        return _restarts(t, scale, t.service.kill, KILLS)


def sigterm(seed: int, scale: float) -> Reckoning:
    """SIGTERM at random moments, with little time to drain."""
    with trial("SIGTERM", seed, latency_seconds=(0.0, 0.3), env={"TIDEGATE__DRAIN_SECONDS": "0.1"}) as t:
        return _restarts(t, scale, t.service.terminate)


def kill_9_many(seed: int, scale: float) -> Reckoning:
    """The same with three workers: all are killed at once, the parent first."""
    name = "kill -9, 3 workers"
    with trial(name, seed, processes=3, latency_seconds=(0.0, 0.05)) as t:
        return _restarts(t, scale, t.service.kill)


def kill_9_port(seed: int, scale: float) -> Reckoning:
    """The same as kill_9, with Port as the target, which knows no fences."""
    with trial("kill -9, target Port", seed, port=True, latency_seconds=(0.0, 0.05)) as t:
        return _restarts(t, scale, t.service.kill)


def _restarts(t: Trial, scale: float, stop: Callable[[], object], kills: int = OTHER_KILLS) -> Reckoning:
    began = time.monotonic()
    kills = max(2, round(kills * scale))
    t.killed_at_random = True
    driving = t.drive(round(RATE * kills), RATE, RESOURCES)
    for _ in range(kills):
        t.pause(t.rng.uniform(0.05, 0.9))
        stop()
        t.tried += 1
        t.service.start()
    driving.result()
    return t.reckon(began)


def stopped_past_the_lease(seed: int, scale: float) -> Reckoning:
    """SIGSTOP past the lease, while a second process takes over; then SIGCONT: a zombie wakes up."""
    return _stops("SIGSTOP past the lease", seed, scale, port=False)


def stopped_past_the_lease_port(seed: int, scale: float) -> Reckoning:
    """The same with Port, which takes what a zombie writes."""
    return _stops("SIGSTOP past the lease, target Port", seed, scale, port=True)


def _stops(name: str, seed: int, scale: float, *, port: bool) -> Reckoning:
    with trial(name, seed, port=port, services=2, latency_seconds=(0.0, 0.3)) as t:
        began = time.monotonic()
        pauses = max(1, round(PAUSES * scale))
        seconds = pauses * (LEASE_SECONDS * 2 + 1)
        driving = t.drive(round(RATE * seconds / 2), RATE / 2, RESOURCES)
        for _ in range(pauses):
            t.pause(t.rng.uniform(0.2, 1.0))
            service = t.services[1]
            zombie = service.child("worker-1")
            service.signal(zombie, signal.SIGSTOP)
            t.pause(LEASE_SECONDS * 1.5)
            service.signal(zombie, signal.SIGCONT)
            t.tried += 1
        driving.result()
        return t.reckon(began)


def third_party_out(fault: str, processes: int = 1) -> Scenario:
    """The third party's API fails in one way for a while."""
    more = f", {processes} workers" if processes > 1 else ""

    def scenario(seed: int, scale: float) -> Reckoning:
        env = {"TIDEGATE__RUN_TIMEOUT_SECONDS": "2"}
        with trial(f"third party: {fault}{more}", seed, env=env, processes=processes) as t:
            began = time.monotonic()
            seconds = OUTAGE_SECONDS * scale
            driving = t.drive(round(RATE * seconds * 1.3), RATE, RESOURCES)
            t.pause(seconds * 0.1)
            t.source.fault = fault
            t.pause(seconds)
            t.source.fault = ""
            t.tried = 1
            driving.result()
            return t.reckon(began)

    return scenario


def target_out(fault: str) -> Scenario:
    """Port fails in one way for a while."""

    def scenario(seed: int, scale: float) -> Reckoning:
        env = {"TIDEGATE__PORT__TIMEOUT_SECONDS": "1"}
        with trial(f"target: {fault}", seed, port=True, env=env) as t:
            stub = t.port_stub
            began = time.monotonic()
            seconds = OUTAGE_SECONDS * scale
            driving = t.drive(round(RATE * seconds * 1.3), RATE, RESOURCES)
            t.pause(seconds * 0.1)
            until = time.monotonic() + seconds
            match fault:
                case "hang":
                    stub.slow_down(5.0)  # longer than the time-out
                    t.pause(until - time.monotonic())
                    stub.slow_down(0.0)
                case "reset":
                    _reset_each(t, until)
                case _:
                    stub.outage(True, status=int(fault))
                    t.pause(until - time.monotonic())
                    stub.outage(False)
            t.tried = 1
            driving.result()
            return t.reckon(began)

    return scenario


def _reset_each(t: Trial, until: float) -> None:
    """Reset the connection of every request until then, and of none after it."""
    armed_at = -1
    while time.monotonic() < until:
        seen = len(t.port_stub.requests)
        if seen > armed_at:
            t.port_stub.reset_next(1)
            armed_at = seen
        t.pause(0.02)


def disk_full(seed: int, scale: float) -> Reckoning:
    """The engine's file system fills up, and is freed again. Needs the right to mount."""
    with (
        small_disk() as disk,
        trial("disk full", seed, env={"TIDEGATE__ENGINE__URL": f"sqlite:///{disk}/t.db"}) as t,
    ):
        began = time.monotonic()
        driving = t.drive(round(RATE * 8 * scale), RATE, RESOURCES)
        t.pause(1.0)
        fill(disk)
        refused = t.await_refusal()
        t.pause(2.0 * scale)
        free(disk)
        t.tried = 1
        driving.result()
        reckoning = t.reckon(began)
        return reckoning if refused else replace(reckoning, detail="the ingress never answered 503")


def hot_resource(latency_seconds: float, *, keyed: bool, processes: int = 1) -> Scenario:
    """50 updates a second of one resource, with fetches that take up to `latency_seconds`."""
    kind = ("keyed" if keyed else "no key") + (f", {processes} workers" if processes > 1 else "")

    def scenario(seed: int, scale: float) -> Reckoning:
        name = f"hot resource, fetch 0–{latency_seconds * 1000:.0f} ms, {kind}"
        latencies = (0.0, latency_seconds)
        with trial(name, seed, keyed=keyed, latency_seconds=latencies, processes=processes) as t:
            began = time.monotonic()
            t.tried = round(500 * scale)
            t.drive(t.tried, RATE, 1).result()
            return t.reckon(began)

    return scenario


def burst(processes: int) -> Scenario:
    """100 events of one resource as fast as they can be sent: few fetches, few writes."""

    def scenario(seed: int, scale: float) -> Reckoning:
        del scale  # the number is what is asked for
        name = f"burst of {BURST}" + (f", {processes} workers" if processes > 1 else "")
        with trial(name, seed, latency_seconds=(0.3, 0.3), processes=processes) as t:
            t.service.settle()
            began = time.monotonic()
            t.tried = 1
            t.loop.run(t.source.burst(1, BURST))
            reckoning = t.reckon(began)
            writes = len(t.service.get("/api/writes/issue/1?limit=100")["writes"])
            few = max(reckoning.fetches, writes) <= MOST_OF_A_BURST
            detail = reckoning.detail if few else f"{reckoning.fetches} fetches, {writes} writes"
            return replace(reckoning, detail=detail, note=f"{writes} writes")

    return scenario


SCENARIOS: dict[str, Scenario] = {
    "kill": kill_9,
    "kill-3": kill_9_many,
    "kill-children": kill_children,
    "kill-port": kill_9_port,
    "sigterm": sigterm,
    "stop": stopped_past_the_lease,
    "stop-port": stopped_past_the_lease_port,
    **{f"third-party-{fault}": third_party_out(fault) for fault in ("500", "503", "429", "hang", "reset")},
    **{f"target-{fault}": target_out(fault) for fault in ("500", "503", "429", "hang", "reset")},
    "third-party-503-3": third_party_out("503", processes=3),
    "disk-full": disk_full,
    "hot-100": hot_resource(0.1, keyed=True),
    "hot-1000": hot_resource(1.0, keyed=True),
    "hot-100-no-key": hot_resource(0.1, keyed=False),
    "hot-1000-no-key": hot_resource(1.0, keyed=False),
    "hot-1000-3": hot_resource(1.0, keyed=True, processes=3),
    "hot-1000-no-key-3": hot_resource(1.0, keyed=False, processes=3),
    "burst": burst(1),
    "burst-3": burst(3),
    "poison": poison,
    "mapping": endless_mapping,
    "damaged-row": damaged_row,
    "backlog": backlog,
}
SCENARIOS |= {
    f"postgres-{name}": on_postgres(scenario)
    for name, scenario in SCENARIOS.items()
    if name not in EMBEDDED_ONLY
} | POSTGRES_ONLY
