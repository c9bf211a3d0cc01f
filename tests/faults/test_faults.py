"""The short version of `make faults`: real processes, real faults, nothing lost and nothing stale."""

import os

import pytest

from faults.scenarios import SCENARIOS

SCALES = {
    "kill": 1.0,  # ten kills
    "kill-port": 0.3,
    "sigterm": 0.3,
    "stop": 0.4,
    "stop-port": 0.4,
    "third-party-503": 0.3,
    "third-party-hang": 0.3,
    "target-503": 0.3,
    "target-hang": 0.3,
    "disk-full": 0.5,
    "hot-100": 0.3,
    "hot-1000-no-key": 0.3,
}
SEED = int(os.environ.get("TIDEGATE_FAULTS_SEED", "1"))


@pytest.mark.slow
@pytest.mark.parametrize("name", SCALES)
def test_nothing_is_lost_and_nothing_is_stale(name: str) -> None:
    try:
        reckoning = SCENARIOS[name](SEED, SCALES[name])
    except PermissionError as error:
        pytest.skip(str(error))
    assert reckoning.clean, reckoning
    assert reckoning.accepted > 0
