"""The work that is measured: an issue tracker's webhooks, its 6 KB issues, and a mapping of the usual kind."""

import json
from typing import Any

PROPERTIES = {
    "url": ".html_url",
    "state": ".state",
    "number": ".number",
    "creator": ".user.login",
    "createdAt": ".created_at",
    "updatedAt": ".updated_at",
    "comments": ".comments",
    "locked": ".locked",
    "labels": "[.labels[].name]",
    "assignees": ".assignees | map(.login)",
    "closed": '.state == "closed"',
}

RESOURCES = [
    {
        "kind": "issue",
        "selector": {"query": "true"},
        "port": {
            "entity": {
                "mappings": {
                    "identifier": ".id | tostring",
                    "title": ".title",
                    "blueprint": '"issue"',
                    "properties": PROPERTIES,
                    "relations": {"repository": ".repository.name"},
                }
            }
        },
    }
]

MAPPING = json.dumps({"resources": RESOURCES})
"""JSON is YAML."""

_TYPES = {"number": "number", "comments": "number", "locked": "boolean", "closed": "boolean"}
_TYPES |= {"labels": "array", "assignees": "array"}

BLUEPRINTS: list[dict[str, Any]] = [
    {
        "identifier": "repository",
        "title": "Repository",
        "schema": {"properties": {}, "required": []},
        "relations": {},
    },
    {
        "identifier": "issue",
        "title": "Issue",
        "schema": {
            "properties": {name: {"type": _TYPES.get(name, "string"), "title": name} for name in PROPERTIES},
            "required": [],
        },
        "relations": {"repository": {"target": "repository", "required": False, "many": False}},
    },
]


def issue(number: int, updated_at: str = "2026-01-02T00:00:00Z") -> dict[str, Any]:
    """About 6 KB, as a tracker's API answers."""
    return {
        "id": number,
        "number": number,
        "title": f"Issue {number}",
        "html_url": f"https://tracker.example/issues/{number}",
        "state": "open",
        "user": {"login": "someone", "avatar": "x" * 100},
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": updated_at,
        "comments": 3,
        "locked": False,
        "labels": [{"name": f"label-{index}", "color": "ffffff"} for index in range(8)],
        "assignees": [{"login": f"user-{index}", "url": "https://tracker.example/u"} for index in range(3)],
        "repository": {"name": f"repository-{number % 20}"},
        "body": "words " * 800,
    }


def webhook(number: int) -> bytes:
    """About 2 KB, as a tracker sends when an issue has changed."""
    return b'{"action":"edited","id":%d,"text":"%s"}' % (number, b"p" * 1950)


def entity(item: dict[str, Any]) -> dict[str, Any]:
    """What the mapping makes of an issue, by hand."""
    return {
        "identifier": str(item["id"]),
        "title": item["title"],
        "blueprint": "issue",
        "properties": {
            "url": item["html_url"],
            "state": item["state"],
            "number": item["number"],
            "creator": item["user"]["login"],
            "createdAt": item["created_at"],
            "updatedAt": item["updated_at"],
            "comments": item["comments"],
            "locked": item["locked"],
            "labels": [label["name"] for label in item["labels"]],
            "assignees": [user["login"] for user in item["assignees"]],
            "closed": item["state"] == "closed",
        },
        "relations": {"repository": item["repository"]["name"]},
    }
