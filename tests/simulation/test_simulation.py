"""Whatever the schedule: nothing is lost, no lane has two live claims, and the catalog ends as it should (G2-G5).

A schedule that fails is told step by step by `make simulate SEED=…`; `make simulate` tries 20,000.
"""

from dataclasses import replace
from random import Random

import pytest

from tests.simulation.engines import ENGINES, in_memory
from tests.simulation.trial import Trial, attempt
from tests.simulation.weather import Style, calm, draw

CHUNK = 50


@pytest.mark.parametrize("first", range(0, 800, CHUNK))
def test_random_schedules_end_with_the_right_catalog(first: int) -> None:
    wrong = {seed: found for seed in range(first, first + CHUNK) if (found := attempt(seed))}
    assert not wrong, f"make simulate SEED={next(iter(wrong))}"


@pytest.mark.parametrize("first", range(1_000_000, 1_000_060, 20))
def test_random_schedules_on_sqlite_end_with_the_right_catalog(first: int) -> None:
    wrong = {seed: found for seed in range(first, first + 20) if (found := attempt(seed, ENGINES["sqlite"]))}
    assert not wrong, f"make simulate SEED={next(iter(wrong))} ARGS=--engine=sqlite"


@pytest.mark.parametrize("first", range(2_000_000, 2_000_020, 10))
def test_random_schedules_on_postgresql_end_with_the_right_catalog(first: int) -> None:
    wrong = {
        seed: found for seed in range(first, first + 10) if (found := attempt(seed, ENGINES["postgres"]))
    }
    assert not wrong, f"make simulate SEED={next(iter(wrong))} ARGS=--engine=postgres"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_seed_says_all_about_a_schedule(engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    for _ in range(2):
        attempt(7, ENGINES[engine], tell=True)
        told.append(capsys.readouterr().out)
    assert len(told[0]) > 1000
    assert told[0] == told[1]


def test_the_engines_are_told_the_same_and_end_the_same() -> None:
    for seed in range(5):
        assert [attempt(seed, opened) for opened in ENGINES.values()] == [[], [], []]


def test_every_fault_and_style_is_drawn() -> None:
    drawn = [draw(Random(seed)) for seed in range(400)]
    assert {weather.style for weather in drawn} == set(Style)
    for name in calm(Style.KEYED).__dataclass_fields__:
        assert len({getattr(weather, name) for weather in drawn}) > 1, name


@pytest.mark.parametrize("style", [Style.KEYED, Style.PAYLOAD])
def test_a_burst_on_one_resource_costs_few_fetches(style: Style) -> None:
    burst = replace(calm(style), changes=100, horizon=0.5, fetch_seconds=2.0, write_seconds=0.2)
    kinds, fetches = 2, list[int]()

    def note(trial: Trial) -> None:
        # Where the last event to come is older than a deletion, its resource is looked for again and again.
        if trial.source.present():
            fetches.append(trial.source.fetches)

    for seed in range(20):
        assert not attempt(seed, in_memory, weather=burst, watch=note)
    assert len(fetches) >= 5
    assert max(fetches) <= 3 * kinds
