"""The test kit for integration authors: harness, fake clock, Port stub, conformance suites."""

from tidegate.testing.clock import FakeClock
from tidegate.testing.harness import Harness, harness
from tidegate.testing.memory_target import MemoryTarget

__all__ = ["FakeClock", "Harness", "MemoryTarget", "harness"]
