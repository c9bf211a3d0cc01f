"""The conformance suite of EntityTarget: what every target must do, as cases that any test runner can run.

A case is called with a factory of targets, returns a coroutine, and fails by AssertionError:

    for case in TARGET_CASES.values():
        asyncio.run(case(my_factory))
"""

from collections.abc import Mapping
from types import MappingProxyType

from tidegate.testing.target_suite_entities import ENTITY_CASES
from tidegate.testing.target_suite_relations import RELATION_CASES
from tidegate.testing.target_suite_session import Case, TargetFactory, TargetUnderTest

__all__ = ["TARGET_CASES", "Case", "TargetFactory", "TargetUnderTest"]

TARGET_CASES: Mapping[str, Case] = MappingProxyType(
    {case.name: case for case in (*ENTITY_CASES, *RELATION_CASES)}
)
"""Every case by name."""
