"""Faults with PostgreSQL as the engine: the same as with the embedded one, and those that only a server can have."""

import os
import random
import signal
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TypeAlias
from urllib.parse import urlsplit

import psycopg

from faults.disk import fill, free, small_disk
from faults.lines import Line
from faults.trial import ENGINE_URL, Reckoning, Trial, trial
from scripts.postgres_server import USER, PostgresServer, running

Scenario: TypeAlias = Callable[[int, float], Reckoning]

RATE = 50.0
RESOURCES = 40
RESTARTS = 4
BACKEND_KILLS = 20
CUT_SECONDS = 9.0
CROWDED_SECONDS = 5.0
CONFLICT_SECONDS = 20.0
SERVER_MEBIBYTES = 400
LATENCY_SECONDS = (0.0, 0.05)


@contextmanager
def engine_on(url: str) -> Generator[None]:
    """The engine of the trials in this block."""
    os.environ[ENGINE_URL] = url
    try:
        yield
    finally:
        del os.environ[ENGINE_URL]


@contextmanager
def engine_server(**settings: str) -> Generator[PostgresServer]:
    """A server that keeps what it has committed, and the trials' engine on it."""
    with running(durable=True, **settings) as server, engine_on(server.url()):
        yield server


def on_postgres(scenario: Scenario) -> Scenario:
    """The same fault, with another engine."""

    def tried(seed: int, scale: float) -> Reckoning:
        with engine_server():
            reckoning = scenario(seed, scale)
        return replace(reckoning, fault=f"PostgreSQL: {reckoning.fault}")

    return tried


def server_restarts(seed: int, scale: float) -> Reckoning:
    """PostgreSQL is shut down, or stopped as by a crash, and comes back, while events come in."""
    with engine_server() as server, trial("PostgreSQL restarts", seed, latency_seconds=LATENCY_SECONDS) as t:
        began = time.monotonic()
        restarts = max(2, round(RESTARTS * scale))
        driving = t.drive(round(RATE * restarts * 2), RATE, RESOURCES)
        refused = True
        for number in range(restarts):
            t.pause(t.rng.uniform(0.3, 0.9))
            server.stop(signal.SIGINT if number % 2 else signal.SIGQUIT)
            refused = t.await_refusal() and refused
            server.start()
            t.tried += 1
        driving.result()
        return _checked(t.reckon(began), refused=refused)


def backend_kills(seed: int, scale: float) -> Reckoning:
    """Kill -9 of a process that serves a connection: the server ends all others, and recovers."""
    name = "kill -9 of a PostgreSQL backend"
    with engine_server() as server, trial(name, seed, latency_seconds=LATENCY_SECONDS) as t:
        began = time.monotonic()
        kills = max(2, round(BACKEND_KILLS * scale))
        driving = t.drive(round(RATE * kills * 1.5), RATE, RESOURCES)
        while t.tried < kills:
            t.pause(t.rng.uniform(0.3, 1.5))
            victim = _some_backend(server.url(), t.rng)
            if victim is not None:
                os.kill(victim, signal.SIGKILL)
                t.tried += 1
        driving.result()
        return t.reckon(began)


def _some_backend(url: str, rng: random.Random) -> int | None:
    try:
        with psycopg.connect(url) as connection:
            query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'tidegate' ORDER BY pid"
            found = [pid for (pid,) in connection.execute(query)]
    except psycopg.OperationalError:  # it still recovers from the last one
        return None
    return rng.choice(found) if found else None


def crowded_out(seed: int, scale: float) -> Reckoning:
    """Others take all connections that the server has, those of the service included."""
    with (
        engine_server(max_connections="40") as server,
        trial("PostgreSQL: too many connections", seed, latency_seconds=LATENCY_SECONDS) as t,
    ):
        began = time.monotonic()
        driving = t.drive(round(RATE * (CROWDED_SECONDS * scale + 3)), RATE, RESOURCES)
        t.pause(0.5)
        with crowd(server.url()):
            refused = t.await_refusal()
            t.pause(CROWDED_SECONDS * scale)
        t.tried = 1
        driving.result()
        return _checked(t.reckon(began), refused=refused)


@contextmanager
def crowd(url: str) -> Generator[None]:
    """Take every connection there is, and end those of the service until none is left."""
    with ExitStack() as stack:
        first = stack.enter_context(psycopg.connect(url, autocommit=True, application_name="crowd"))
        ended = True
        while ended:
            while True:
                try:
                    stack.enter_context(psycopg.connect(url, application_name="crowd"))
                except psycopg.OperationalError:
                    break
            ended = first.execute(
                "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE application_name = 'tidegate'"
            ).fetchall()
        yield


def conflicts(seed: int, scale: float) -> Reckoning:
    """Transactions fail to serialize by chance, and somebody locks rows in the opposite order."""
    with (
        engine_server(deadlock_timeout="20ms") as server,
        trial("PostgreSQL: serialization failures, deadlocks", seed, latency_seconds=LATENCY_SECONDS) as t,
    ):
        began = time.monotonic()
        with psycopg.connect(server.url(), autocommit=True) as connection:
            for statement in _FAILING:
                connection.execute(statement)
            driving = t.drive(round(RATE * CONFLICT_SECONDS * scale), RATE, RESOURCES)
            met = 0
            while not driving.done():
                met += _lock_backwards(connection)
                t.pause(t.rng.uniform(0.0, 0.05))
            driving.result()
            reckoning = t.reckon(began)
            [(deadlocks,)] = connection.execute("SELECT sum(deadlocks)::int FROM pg_stat_database").fetchall()
            [(failures,)] = connection.execute("SELECT last_value::int FROM tidegate.failures").fetchall()
    note = f"{failures:,} serialization failures, {deadlocks:,} deadlocks, {met:,} of them not the service's"
    return replace(reckoning, tried=failures + deadlocks, note=note)


_FAILING = (
    "CREATE SEQUENCE tidegate.failures",
    """CREATE FUNCTION tidegate.fail_by_chance() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF random() < 0.05 THEN
            PERFORM nextval('tidegate.failures');
            RAISE EXCEPTION 'could not serialize access' USING ERRCODE = 'serialization_failure';
        END IF;
        RETURN NULL;
    END $$""",
    *(
        f"CREATE TRIGGER fail_by_chance AFTER INSERT OR UPDATE ON tidegate.{table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION tidegate.fail_by_chance()"
        for table in ("events", "event_states", "runs", "attempts", "owners")
    ),
)


def _lock_backwards(connection: psycopg.Connection) -> bool:
    """Events first, then runs: the service locks runs first. True if that was a deadlock, and this side lost."""
    try:
        with connection.transaction():
            connection.execute("SELECT 1 FROM tidegate.event_states WHERE state = 'routed' FOR UPDATE")
            connection.execute("SELECT 1 FROM tidegate.runs WHERE state = 'claimed' FOR UPDATE")
    except psycopg.errors.DeadlockDetected:
        return True
    return False


def line_cut(seed: int, scale: float) -> Reckoning:
    """Nothing gets through between the service and PostgreSQL for longer than a lease, and nobody says so."""
    with running(durable=True) as server:
        line = Line(server.port)
        url = urlsplit(server.url())._replace(netloc=f"{USER}@127.0.0.1:{line.port}").geturl()
        try:
            with engine_on(url), trial("line to PostgreSQL cut", seed, latency_seconds=LATENCY_SECONDS) as t:
                return _cut(t, line, scale)
        finally:
            line.close()


def _cut(t: Trial, line: Line, scale: float) -> Reckoning:
    began = time.monotonic()
    driving = t.drive(round(RATE * (CUT_SECONDS * scale + 2)), RATE, RESOURCES)
    t.pause(1.0)
    line.cut()
    refused = t.await_refusal(2 * CUT_SECONDS)
    t.pause(CUT_SECONDS * scale)
    line.mend()
    t.tried = 1
    driving.result()
    return _checked(t.reckon(began), refused=refused)


def disk_full(seed: int, scale: float) -> Reckoning:
    """The server's file system fills up, and is freed again; a server that gave up is started again by hand."""
    settings = {"min_wal_size": "32MB", "max_wal_size": "48MB"}
    with small_disk(SERVER_MEBIBYTES) as disk, ExitStack() as stack:
        server = PostgresServer(disk / "server", settings)
        server.create()
        server.start()
        stack.callback(server.stop)
        stack.enter_context(engine_on(server.url()))
        t = stack.enter_context(trial("PostgreSQL: disk full", seed, latency_seconds=LATENCY_SECONDS))
        began = time.monotonic()
        driving = t.drive(round(RATE * 10 * scale), RATE, RESOURCES)
        t.pause(1.0)
        fill(disk)
        refused = t.await_refusal(30)
        t.pause(2.0 * scale)
        free(disk)
        if server.ended():
            server.start()
        t.tried = 1
        driving.result()
        return _checked(t.reckon(began), refused=refused)


def fail_over(seed: int, scale: float) -> Reckoning:
    """The primary is lost with all its processes, and a standby that every commit waited for is promoted."""
    with ExitStack() as stack:
        primary = stack.enter_context(running(durable=True))
        standby = stack.enter_context(primary.standby())
        primary.change("synchronous_standby_names", "*")
        hosts = ",".join(f"{server.host}:{server.port}" for server in (primary, standby))
        stack.enter_context(engine_on(f"postgresql://{USER}@{hosts}/postgres"))
        t = stack.enter_context(trial("PostgreSQL fails over", seed, latency_seconds=LATENCY_SECONDS))
        began = time.monotonic()
        driving = t.drive(round(RATE * (10 * scale + 2)), RATE, RESOURCES)
        t.pause(2.0 + t.rng.random())
        primary.lose()
        refused = t.await_refusal()
        standby.promote()
        t.tried = 1
        driving.result()
        reckoning = _checked(t.reckon(began), refused=refused)
        with psycopg.connect(standby.url()) as connection:
            [(kept,)] = connection.execute("SELECT count(*) FROM tidegate.events").fetchall()
    lost = max(reckoning.accepted - kept, 0)
    return replace(reckoning, lost=reckoning.lost + lost, note=f"{kept} events were on the standby")


def _checked(reckoning: Reckoning, *, refused: bool) -> Reckoning:
    return reckoning if refused else replace(reckoning, detail="the ingress never answered 503")


POSTGRES_ONLY: dict[str, Scenario] = {
    "postgres-restarts": server_restarts,
    "postgres-backend-kills": backend_kills,
    "postgres-crowded": crowded_out,
    "postgres-conflicts": conflicts,
    "postgres-line-cut": line_cut,
    "postgres-disk-full": disk_full,
    "postgres-fail-over": fail_over,
}
