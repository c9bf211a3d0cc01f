"""The engine in memory: the reference model."""

from tidegate.engines.memory.engine import MemoryEngine

__all__ = ["MemoryEngine"]
