"""What one schedule is made of, all drawn from its seed: who takes part, and what goes wrong how often."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Style(StrEnum):
    """How the author wrote the integration."""

    KEYED = "keyed"  # fetches; with a resource key
    KEYLESS = "keyless"  # fetches; without one
    PAIR = (
        "pair"  # two processors with a key for each event: one upserts what is there, one deletes what is not
    )
    KEYLESS_PAIR = "keyless-pair"
    PAYLOAD = "payload"  # lives on payloads; with a resource key

    @property
    def has_key(self) -> bool:
        return self not in {Style.KEYLESS, Style.KEYLESS_PAIR}

    @property
    def fetches(self) -> bool:
        return self is not Style.PAYLOAD


@dataclass(frozen=True)
class Weather:
    """One schedule's circumstances. Rates are probabilities, times are seconds."""

    style: Style
    fenced: bool
    processes: int
    runs_at_once: int
    resources: int
    changes: int
    horizon: float
    fetch_seconds: float
    fetch_errors: float
    rate_limits: float
    lag: float
    send_seconds: float
    write_seconds: float
    full_disks: float
    outages: float
    lost_answers: float
    refusals: float
    doubles: float
    late_webhooks: float
    forgeries: float
    poison: float
    crashes: int
    pauses: int
    restarts: int
    redrives: int
    replays: int


def calm(style: Style) -> Weather:
    """Nothing goes wrong."""
    return Weather(
        style=style,
        fenced=True,
        processes=1,
        runs_at_once=8,
        resources=1,
        changes=10,
        horizon=15.0,
        fetch_seconds=0.1,
        fetch_errors=0.0,
        rate_limits=0.0,
        lag=0.0,
        send_seconds=0.0,
        write_seconds=0.1,
        full_disks=0.0,
        outages=0.0,
        lost_answers=0.0,
        refusals=0.0,
        doubles=0.0,
        late_webhooks=0.0,
        forgeries=0.0,
        poison=0.0,
        crashes=0,
        pauses=0,
        restarts=0,
        redrives=0,
        replays=0,
    )


def draw(rng: Random) -> Weather:
    """A schedule's weather: each fault is there or not, so that some schedules have few and can be read."""
    style = rng.choice(list(Style))
    fenced = rng.random() < 0.5
    crashes, pauses = _some(rng, 3), _some(rng, 3)
    if not fenced and crashes and pauses:
        # A late write of a process that dies before it can tell is beyond what an unfenced target allows.
        crashes, pauses = rng.choice(((crashes, 0), (0, pauses)))
    return Weather(
        style=style,
        fenced=fenced,
        processes=rng.randint(1, 3),
        runs_at_once=rng.choice((1, 2, 8)),
        resources=rng.randint(1, 4),
        changes=rng.randint(2, 16),
        horizon=rng.choice((2.0, 15.0, 60.0)),
        fetch_seconds=rng.choice((0.0, 0.1, 1.0, 4.0)),
        fetch_errors=_rate(rng, 0.2),
        rate_limits=_rate(rng, 0.1),
        lag=rng.choice((0.0, 0.5, 3.0)) if style in {Style.KEYED, Style.PAIR} else 0.0,
        send_seconds=rng.choice((0.0, 0.0, 0.5)),
        write_seconds=rng.choice((0.0, 0.1, 2.0)),
        full_disks=_rate(rng, 0.05),
        outages=_rate(rng, 0.3),
        lost_answers=_rate(rng, 0.2),
        refusals=_rate(rng, 0.1),
        doubles=_rate(rng, 0.3),
        late_webhooks=_rate(rng, 0.5),
        forgeries=_rate(rng, 0.3),
        poison=_rate(rng, 0.1),
        crashes=crashes,
        pauses=pauses,
        restarts=_some(rng, 2),
        redrives=_some(rng, 3),
        replays=_some(rng, 2),
    )


def _some(rng: Random, most: int) -> int:
    return rng.choice((0, rng.randint(1, most)))


def _rate(rng: Random, most: float) -> float:
    return rng.choice((0.0, rng.uniform(0.0, most)))
