"""The third party: resources that change, an API that is slow, lags and fails, and webhooks that tell of changes."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from tests.simulation.weather import Style, Weather
from tidegate.core.errors import RetryableError

NAMES = tuple(f"name-{letter}" for letter in "abcdefgh")
TEAMS = ("red", "blue")


@dataclass(frozen=True)
class Resource:
    """A resource's state from one moment on. `version` counts over all resources, so that nothing repeats."""

    id: int
    version: int
    name: str
    selected: bool = True
    teams: frozenset[str] = frozenset()
    exists: bool = True

    @property
    def item(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "id": self.id,
            "version": self.version,
            "name": self.name,
            "selected": self.selected,
            "teams": sorted(self.teams),
        }


@dataclass
class Source:
    """Keeps every state that each resource was in, with its time."""

    weather: Weather
    rng: Random
    announce: Callable[[str, Resource], None]
    history: dict[int, list[tuple[float, Resource]]] = field(default_factory=dict)
    fetches: int = 0
    calm: bool = False
    _version: int = 0

    def now(self, resource_id: int) -> Resource | None:
        """The present state; None if it never was."""
        states = self.history.get(resource_id)
        return states[-1][1] if states else None

    def present(self) -> list[Resource]:
        """What exists."""
        return [states[-1][1] for states in self.history.values() if states[-1][1].exists]

    def change(self) -> None:
        """Change one resource at random, and announce it."""
        resource_id = self.rng.randrange(self.weather.resources)
        before = self.now(resource_id)
        self._version += 1
        if before is None or not before.exists:
            name = self._free_name(resource_id) if before is None else before.name
            if not self.weather.style.has_key:
                name = NAMES[resource_id]
            after = Resource(resource_id, self._version, name, teams=self._teams())
            action = "created"
        else:
            after, action = self._changed(before)
        self.history.setdefault(resource_id, []).append((asyncio.get_running_loop().time(), after))
        self.announce(action, after)

    def _changed(self, before: Resource) -> tuple[Resource, str]:
        after = replace(before, version=self._version)
        match self.rng.choice(("edit", "edit", "rename", "select", "teams", "delete")):
            case "rename" if self.weather.style.has_key:
                after = replace(after, name=self._free_name(before.id))
            case "select":
                after = replace(after, selected=not before.selected)
            case "teams":
                after = replace(after, teams=self._teams())
            case "delete":
                return replace(after, exists=False), "deleted"
            case _:
                pass
        return after, "updated"

    def _teams(self) -> frozenset[str]:
        return frozenset(team for team in TEAMS if self.rng.random() < 0.5)

    def _free_name(self, resource_id: int) -> str:
        taken = {resource.name for resource in self.present() if resource.id != resource_id}
        names = NAMES
        if self.weather.style is Style.PAIR:  # who says by name what is gone must not let names pass on
            names = NAMES[resource_id * 2 : resource_id * 2 + 2]
        return self.rng.choice([name for name in names if name not in taken])

    async def fetch(self, resource_id: int) -> dict[str, Any] | None:
        """GET a resource: what the API shows, None for a 404. Raises RetryableError."""
        self.fetches += 1
        weather, rng = self.weather, self.rng
        await asyncio.sleep(rng.random() * weather.fetch_seconds)
        shown = self._shown(resource_id)
        if not self.calm and rng.random() < weather.fetch_errors:
            raise RetryableError("500")
        if not self.calm and rng.random() < weather.rate_limits:
            raise RetryableError("429", retry_after_seconds=rng.choice((1.0, 5.0)))
        await asyncio.sleep(rng.random() * weather.fetch_seconds)
        return shown

    def _shown(self, resource_id: int) -> dict[str, Any] | None:
        """Creations and updates show late, deletions at once."""
        present = self.now(resource_id)
        if present is None or not present.exists:
            return None
        as_of = asyncio.get_running_loop().time() - self.rng.random() * self.weather.lag
        shown = [state for time, state in self.history[resource_id] if time <= as_of]
        return shown[-1].item if shown and shown[-1].exists else None
