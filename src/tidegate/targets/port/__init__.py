"""Port's REST API as a target."""

from tidegate.targets.port.target import PortTarget

__all__ = ["PortTarget"]
