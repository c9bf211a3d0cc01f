"""CPU per item of the mapping: paths, operations in Python, some and all by JQ, on items of about 6 KB.

Run: .venv/bin/python bench/mapping.py [--items 20000]
"""

import argparse
import asyncio
import json
import resource
import time
from typing import Any

from tidegate.core.resources import ResourceConfig
from tidegate.mapping import JqMapper, parse_mapping

PLAIN = {
    "status": ".fields.status.name",
    "type": ".fields.issuetype.name",
    "priority": ".fields.priority.name",
    "creator": ".fields.creator.emailAddress",
    "created": ".fields.created",
    "updated": ".fields.updated",
    "labels": ".fields.labels",
    "resolution": ".fields.resolution.name",
}
OPERATIONS = {
    "url": '(.self | split("/") | .[:3] | join("/")) + "/browse/" + .key',
    "subtasks": ".fields.subtasks | map(.key)",
    "components": ".fields.components | map(.name)",
}


def config(properties: dict[str, str], identifier: str = ".key") -> ResourceConfig:
    entity = {
        "identifier": identifier,
        "title": ".fields.summary",
        "blueprint": '"jiraIssue"',
        "properties": properties,
        "relations": {"project": ".fields.project.key"},
    }
    resource_config = {
        "kind": "issue",
        "selector": {"query": "true"},
        "port": {"entity": {"mappings": entity}},
    }
    return parse_mapping({"resources": [resource_config]}).configs[0]


def by_jq(properties: dict[str, str]) -> dict[str, str]:
    """The same, written so that Python leaves it to JQ."""
    return {name: f". as $item | {text}" for name, text in properties.items()}


CONFIGS = {
    "paths (11 properties, 1 relation)": config(
        {**PLAIN, **{f"{name}2": PLAIN[name] for name in ("status", "type", "created")}}
    ),
    "8 paths + 3 operations, 1 relation": config({**PLAIN, **OPERATIONS}),
    "8 paths + 3 by JQ, 1 relation": config({**PLAIN, **by_jq(OPERATIONS)}),
    "all by JQ (11 properties, identifier)": config(by_jq({**PLAIN, **OPERATIONS}), "(.key | @text)"),
}


def make_item(number: int) -> dict[str, Any]:
    text = f"Line {number} of a description that somebody has written. " * 40
    return {
        "self": f"https://jira.example.com/rest/api/2/issue/{number}",
        "key": f"PRJ-{number}",
        "fields": {
            "summary": f"Issue {number}",
            "status": {
                "name": "In Progress",
                "id": "3",
                "self": "https://jira.example.com/rest/api/2/status/3",
            },
            "issuetype": {"name": "Bug", "id": "1", "subtask": False},
            "priority": {"name": "High"},
            "creator": {"emailAddress": "ada@example.com", "displayName": "Ada", "active": True},
            "created": "2024-05-06T07:08:09.000+0000",
            "updated": "2024-05-07T07:08:09.000+0000",
            "labels": ["a", "b", "c"],
            "resolution": None,
            "project": {"key": "PRJ", "name": "Project"},
            "subtasks": [{"key": f"PRJ-{number}-{n}", "fields": {"summary": "x" * 20}} for n in range(8)],
            "components": [{"name": f"component {n}", "id": str(n)} for n in range(5)],
            "description": text,
            **{f"customfield_{n}": {"value": f"value {n}", "id": str(n)} for n in range(50)},
        },
    }


async def measure(
    resource_config: ResourceConfig, count: int, batch: int, callers: int
) -> tuple[float, float, float]:
    """Microseconds an item of CPU in this process, of CPU in all, and of wall-clock time."""
    items = [make_item(number) for number in range(batch)]
    mapper = JqMapper([resource_config])

    async def call(times: int) -> None:
        for _ in range(times):
            await mapper.map(resource_config, items)

    await call(1)
    rounds = max(count // batch // callers, 1)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(call(rounds) for _ in range(callers)))
    ours, wall = time.process_time() - cpu, time.perf_counter() - began
    await mapper.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    theirs = after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime
    done = rounds * callers * batch
    return ours / done * 1e6, (ours + theirs) / done * 1e6, wall / done * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=5000)
    count = parser.parse_args().items
    print(
        f"item: {len(json.dumps(make_item(1)))} bytes; µs an item: CPU here, CPU in all, wall clock (callers x items)"
    )
    for name, resource_config in CONFIGS.items():
        for batch, callers in ((1, 1), (1, 32), (32, 1), (256, 1)):
            ours, total, wall = asyncio.run(measure(resource_config, count, batch, callers))
            shape = f"{callers} x {batch}"
            print(f"{name:40} {shape:8} {ours:7.1f} {total:8.1f} {wall:8.1f}")


if __name__ == "__main__":
    main()
