"""The ports: what the use cases ask of the world. Adapters in engines/, targets/ and mapping/ answer.

The contracts stand in the docstrings; `tidegate.testing` ships the conformance suites that check them.
"""

from tidegate.core.ports.engine import (
    Accepted,
    BacklogFull,
    Duplicate,
    Engine,
    EngineOperations,
    EnqueueOutcome,
    WholeEngine,
)
from tidegate.core.ports.mapping import EntityMapper, Mapped, MappingWarning
from tidegate.core.ports.target import (
    Applied,
    Change,
    ChangeOutcome,
    Delete,
    EntityTarget,
    Overtaken,
    Refused,
    Upsert,
)
from tidegate.core.ports.world import Clock, HttpApi, HttpClient, HttpResponse

__all__ = [
    "Accepted",
    "Applied",
    "BacklogFull",
    "Change",
    "ChangeOutcome",
    "Clock",
    "Delete",
    "Duplicate",
    "Engine",
    "EngineOperations",
    "EnqueueOutcome",
    "EntityMapper",
    "EntityTarget",
    "HttpApi",
    "HttpClient",
    "HttpResponse",
    "Mapped",
    "MappingWarning",
    "Overtaken",
    "Refused",
    "Upsert",
    "WholeEngine",
]
