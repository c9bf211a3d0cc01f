"""The playground's routes: what a mapping would do, and what is wrong with it, without its secrets."""

from typing import Any

from tests.console.test_admin import Client, with_dead_event
from tidegate.core.entities import Entity, EntityRef
from tidegate.core.events import EventHeaders, IncomingEvent
from tidegate.core.runs import Completed, EntityWrite, Routing, RunRequest, Trail, WriteAction
from tidegate.engines.memory import MemoryEngine

MAPPING = """
resources:
  - kind: issue
    selector: {query: "true"}
    port:
      entity:
        mappings:
          identifier: .key
          blueprint: '"issue"'
          properties: {state: .state, api_key: .api_key}
"""
FETCHED = b'{"updated": [{"key": "A", "state": "open", "api_key": "hunter2"}], "deleted": []}'


async def applied_event(engine: MemoryEngine) -> tuple[str, int]:
    """An event whose run wrote issue/A as `closed`; its id, and the run's."""
    headers = EventHeaders({"content-type": "application/json"})
    event = IncomingEvent("event-two", "/webhook", headers, b"{}", engine._store.clock.now(), "0" * 32)
    await engine.enqueue(event)
    [claim] = await engine.claim_events(1)
    await engine.route(claim, Routing((RunRequest("P", "issue", "issue", "A", "lane"),)))
    [run] = await engine.claim_runs(1)
    entity = Entity("A", "issue", properties={"state": "closed", "api_key": "hunter1"})
    write = EntityWrite(EntityRef("issue", "A"), WriteAction.UPSERT, entity=entity)
    await engine.settle(run, Completed((write,), trail=Trail(fetched=FETCHED)))
    return event.id, run.run_id


def test_a_preview_tells_what_would_change() -> None:
    async def use(client: Client, engine: MemoryEngine) -> None:
        event_id, run_id = await applied_event(engine)
        for which in ({"event": event_id}, {"run": run_id}):
            answer = await client.post("/api/mapping/preview", json={"mapping": MAPPING, **which})
            assert answer.status_code == 200, answer.text
            [preview] = answer.json()["previews"]
            [entity] = preview["entities"]
            assert (entity["fate"], preview["run_id"]) == ("changed", run_id)
            assert entity["document"]["properties"] == {"state": "open", "api_key": "***"}
            assert {
                change["field"]: (change["fate"], change["before"], change["after"])
                for change in entity["changes"]
            } == {
                "properties.state": ("changed", "closed", "open"),
                "properties.api_key": ("changed", "***", "***"),
            }
            assert "hunter" not in answer.text

    with_dead_event(use)


def test_typed_items_are_previewed() -> None:
    async def use(client: Client, _: MemoryEngine) -> None:
        asked = {"mapping": MAPPING, "kind": "issue", "items": [{"key": "B"}]}
        [preview] = (await client.post("/api/mapping/preview", json=asked)).json()["previews"]
        assert [entity["fate"] for entity in preview["entities"]] == ["created"]

    with_dead_event(use)


def test_a_dry_run_tells_what_deploying_would_change() -> None:
    async def use(client: Client, engine: MemoryEngine) -> None:
        await applied_event(engine)
        found = (await client.post("/api/mapping/dry-run", json={"mapping": MAPPING})).json()
        assert (found["runs"], found["changed"], found["differs"]) == (1, 1, True)
        assert {each["field"] for each in found["fields"]} == {"properties.state", "properties.api_key"}

    with_dead_event(use)


def test_what_is_wrong_is_said() -> None:
    async def use(client: Client, engine: MemoryEngine) -> None:
        event_id, _ = await applied_event(engine)
        wrong: list[tuple[dict[str, Any], int, str]] = [
            ({"mapping": MAPPING}, 422, "name one of `event`, `run`, or `kind`"),
            ({"mapping": MAPPING, "event": event_id, "run": 1}, 422, "name one of"),
            ({"mapping": "resources: 1", "event": event_id}, 422, "takes a list"),
            ({"mapping": MAPPING, "event": "unknown-event"}, 404, "unknown-event"),
            ({"mapping": MAPPING, "event": "event-one"}, 404, "no fetched items are kept"),
        ]
        for body, status, detail in wrong:
            answer = await client.post("/api/mapping/preview", json=body)
            assert answer.status_code == status, answer.text
            assert detail in answer.json()["detail"]
        answer = await client.post("/api/mapping/dry-run", json={"mapping": MAPPING, "last": 0})
        assert answer.status_code == 422

    with_dead_event(use)
