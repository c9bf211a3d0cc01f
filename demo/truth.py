"""What the catalog should hold, worked out from MLflow's API without Tidegate, and what it does hold."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias
from urllib.parse import quote

import aiohttp

MODEL, VERSION = "mlflowRegisteredModel", "mlflowModelVersion"
EVERYTHING = {
    "combinator": "and",
    "rules": [{"property": "$blueprint", "operator": "in", "value": [MODEL, VERSION]}],
}

Shown: TypeAlias = dict[str, Any]
"""An entity without what the catalog adds: title, properties, relations; what is null left out."""
Snapshot: TypeAlias = dict[tuple[str, str], Shown]
"""Entities by blueprint and identifier."""


async def registry_snapshot(session: aiohttp.ClientSession, mlflow_url: str) -> Snapshot:
    """The entities that MLflow's registry as it is now stands for."""
    api = f"{mlflow_url}/api/2.0/mlflow"
    models, versions = await asyncio.gather(
        _json(session, f"{api}/registered-models/search?max_results=1000"),
        _json(session, f"{api}/model-versions/search?max_results=10000"),
    )
    assert "next_page_token" not in models
    assert "next_page_token" not in versions
    snapshot: Snapshot = {}
    aliases: dict[tuple[str, str], list[str]] = {}
    for model in models.get("registered_models", []):
        for alias in model.get("aliases", []):
            aliases.setdefault((model["name"], alias["version"]), []).append(alias["alias"])
        snapshot[MODEL, identifier(model["name"])] = _model(model, mlflow_url)
    for version in versions.get("model_versions", []):
        key = version["name"], version["version"]
        name = f"{identifier(key[0])}/{key[1]}"
        snapshot[VERSION, name] = _version(version, sorted(aliases.get(key, [])), mlflow_url)
    return snapshot


def identifier(name: str) -> str:
    """A model's name in the letters that identifiers may have."""
    text = quote(name, safe="").replace("%", "=").replace("~", "=7E")
    return f"=2E{text[1:]}" if text.startswith(".") else text


def _model(model: Mapping[str, Any], url: str) -> Shown:
    latest = model.get("latest_versions", [])
    return _shown(
        model["name"],
        {
            "description": model.get("description"),
            "tags": {tag["key"]: tag["value"] for tag in model.get("tags", [])},
            "aliases": {alias["alias"]: alias["version"] for alias in model.get("aliases", [])},
            "latestVersion": max((int(version["version"]) for version in latest), default=None),
            "latestVersions": {version["current_stage"]: version["version"] for version in latest},
            "createdAt": _time(model["creation_timestamp"]),
            "updatedAt": _time(model["last_updated_timestamp"]),
            "link": f"{url}/#/models/{quote(model['name'], safe='')}",
        },
        {},
    )


def _version(version: Mapping[str, Any], aliases: list[str], url: str) -> Shown:
    name, number = version["name"], version["version"]
    return _shown(
        f"{name} v{number}",
        {
            "version": int(number),
            "description": version.get("description"),
            "tags": {tag["key"]: tag["value"] for tag in version.get("tags", [])},
            "aliases": aliases,
            "stage": version["current_stage"],
            "status": version["status"],
            "source": version["source"],
            "runId": version["run_id"] or None,
            "createdAt": _time(version["creation_timestamp"]),
            "updatedAt": _time(version["last_updated_timestamp"]),
            "link": f"{url}/#/models/{quote(name, safe='')}/versions/{number}",
        },
        {"model": identifier(name)},
    )


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def catalog_snapshot(session: aiohttp.ClientSession, admin_url: str) -> Snapshot:
    """All entities of both blueprints, as a reader of the catalog's API sees them."""
    async with session.post(f"{admin_url}/v1/entities/search", json=EVERYTHING) as response:
        response.raise_for_status()
        entities = (await response.json())["entities"]
    return {
        (entity["blueprint"], entity["identifier"]): _shown(
            entity["title"], entity["properties"], entity["relations"]
        )
        for entity in entities
    }


def _shown(title: str | None, properties: Mapping[str, Any], relations: Mapping[str, Any]) -> Shown:
    present = {name: value for name, value in properties.items() if value is not None}
    return {"title": title, "properties": present, "relations": dict(relations)}


@dataclass(frozen=True)
class Difference:
    """An entity that one snapshot has more (+), less (-) or otherwise (~) than another, and in which fields."""

    sign: str
    blueprint: str
    identifier: str
    title: str
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        fields = f": {', '.join(self.fields)}" if self.fields else ""
        return f"{self.sign} {self.blueprint}/{self.identifier}{fields}"


def differences(expected: Snapshot, actual: Snapshot) -> list[Difference]:
    """What is to be done to the second to have the first."""
    found: list[Difference] = []
    for key in sorted(expected.keys() | actual.keys()):
        wanted, there = expected.get(key), actual.get(key)
        if wanted is not None and there is not None:
            if wanted != there:
                found.append(Difference("~", *key, str(wanted["title"]), _changed(wanted, there)))
        elif wanted is not None:
            found.append(Difference("+", *key, str(wanted["title"])))
        elif there is not None:
            found.append(Difference("-", *key, str(there["title"])))
    return found


def _changed(one: Shown, other: Shown) -> tuple[str, ...]:
    names = ["title"] if one["title"] != other["title"] else []
    for part in ("properties", "relations"):
        fields = one[part].keys() | other[part].keys()
        names += sorted(name for name in fields if one[part].get(name) != other[part].get(name))
    return tuple(names)


async def _json(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url) as response:
        response.raise_for_status()
        return await response.json()
