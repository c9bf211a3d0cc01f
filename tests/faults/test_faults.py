"""The short version of `make faults`: real processes, real faults, nothing lost and nothing stale."""

import os

import pytest

from faults.scenarios import SCENARIOS

SCALES = {
    "kill": 0.1,  # ten kills
    "kill-children": 0.1,  # ten more
    "kill-port": 0.1,
    "sigterm": 0.1,
    "stop": 0.4,
    "stop-port": 0.4,
    "third-party-503": 0.3,
    "third-party-hang": 0.3,
    "target-503": 0.3,
    "target-hang": 0.3,
    "disk-full": 0.5,
    "hot-100": 0.3,
    "hot-1000-no-key": 0.3,
    "hot-1000-no-key-3": 0.3,
    "burst": 1.0,
    "burst-3": 1.0,
    "poison": 0.4,
    "mapping": 0.3,
    "damaged-row": 0.3,
    "backlog": 0.02,
    "postgres-kill": 0.02,
    "postgres-restarts": 0.5,
    "postgres-backend-kills": 0.15,
    "postgres-crowded": 0.3,
    "postgres-conflicts": 0.15,
    "postgres-line-cut": 0.3,
    "postgres-disk-full": 0.2,
    "postgres-fail-over": 0.2,
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
