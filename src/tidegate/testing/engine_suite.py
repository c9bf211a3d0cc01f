"""The conformance suite of Engine and EngineOperations, as cases that any test runner can run.

A case is called with a factory of empty engines, returns a coroutine, and fails by AssertionError:

    for case in ENGINE_CASES.values():
        asyncio.run(case(my_factory))
"""

from collections.abc import Mapping
from types import MappingProxyType

from tidegate.testing import (
    engine_suite_convergence,
    engine_suite_events,
    engine_suite_operations,
    engine_suite_overlaps,
    engine_suite_runs,
    engine_suite_samples,
    engine_suite_searching,
    engine_suite_settling,
    engine_suite_tidying,
)
from tidegate.testing.engine_suite_session import (
    LEASE_SECONDS,
    Case,
    EngineFactory,
    EngineUnderTest,
    FullEngine,
)

__all__ = ["ENGINE_CASES", "LEASE_SECONDS", "Case", "EngineFactory", "EngineUnderTest", "FullEngine"]

_PARTS = (
    engine_suite_events,
    engine_suite_runs,
    engine_suite_settling,
    engine_suite_overlaps,
    engine_suite_convergence,
    engine_suite_operations,
    engine_suite_searching,
    engine_suite_tidying,
    engine_suite_samples,
)

ENGINE_CASES: Mapping[str, Case] = MappingProxyType(
    {case.name: case for part in _PARTS for case in part.cases.found}
)
"""Every case by name."""
