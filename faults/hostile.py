"""Events that take their worker down or hold it up, a mapping that never ends, a row that cannot be read."""

import os
import sqlite3
import time
from contextlib import closing

import psycopg

from faults.trial import ENGINE_URL, Reckoning, Trial, trial

RATE = 30.0
RESOURCES = 40
POISONS = ("raise", "compute", "hang", "hold", "exit")
QUICK = {
    "TIDEGATE__STALL_SECONDS": "0.5",
    "TIDEGATE__RUN_TIMEOUT_SECONDS": "3",
}
DAMAGE = (
    "UPDATE event_bodies SET headers = x'ff00' WHERE seq IN (SELECT seq FROM events WHERE path = '/poison')"
)
DAMAGE_ON_POSTGRES = "UPDATE tidegate.events SET headers = '\\xff00' WHERE path = '/poison'"
DEAD_SECONDS = 180.0
ENDLESS = """
resources:
  - kind: issue
    selector: {query: "true"}
    port:
      entity:
        mappings:
          identifier: .id | tostring
          blueprint: '"issue"'
          title: 'if .id % 10 == 0 then last(repeat(1)) else .title end'
          properties: {state: .state}
"""


def poison(seed: int, scale: float) -> Reckoning:
    """Events whose processors raise, compute for ever, hang, hold the interpreter, and exit."""
    poisons = POISONS[: max(2, round(len(POISONS) * scale))]
    with trial(f"poison: {', '.join(poisons)}", seed, env=QUICK, processes=2) as t:
        began = time.monotonic()
        driving = t.drive(round(RATE * 20 * scale), RATE, RESOURCES)
        for number, kind in enumerate(poisons):
            if t.service.post({"id": number, "poison": kind}, path="/poison") == 202:
                t.tried += 1
        t.deadly = len(poisons)
        driving.result()
        t.await_dead(DEAD_SECONDS)
        return t.reckon(began)


def endless_mapping(seed: int, scale: float) -> Reckoning:
    """An expression that never ends, for one resource in ten."""
    env = {"TIDEGATE__MAPPING__ITEM_TIMEOUT_SECONDS": "0.3"}
    with trial("mapping that never ends", seed, env=env, mapping=ENDLESS) as t:
        began = time.monotonic()
        t.tried = round(RATE * 10 * scale)
        t.drive(t.tried, RATE, RESOURCES).result()
        return t.reckon(began)


def damaged_row(seed: int, scale: float) -> Reckoning:
    """An event whose stored headers are no JSON any more."""
    with trial("row that cannot be read", seed, env={"TIDEGATE__ROLE": "ingress"}) as t:
        began = time.monotonic()
        t.drive(round(RATE * 5 * scale), RATE, RESOURCES).result()
        assert t.service.post({"id": 1, "poison": "raise"}, path="/poison") == 202
        t.loop.run(t.source.all_sent())
        t.service.terminate()
        t.tried = _damage(t)
        t.deadly_events = t.tried
        t.service.env["TIDEGATE__ROLE"] = "all"
        t.service.start()
        return t.reckon(began)


def _damage(t: Trial) -> int:
    url = os.environ.get(ENGINE_URL)
    if url is not None:
        with psycopg.connect(url, autocommit=True) as connection:
            return connection.execute(DAMAGE_ON_POSTGRES).rowcount
    with closing(sqlite3.connect(t.directory / ".tidegate" / "tidegate.db")) as engine, engine:
        return engine.execute(DAMAGE).rowcount
