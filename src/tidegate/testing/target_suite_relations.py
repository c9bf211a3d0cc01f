"""Cases of the target suite: relations, searches, and what deletes do to them."""
# ruff: noqa: S101 - a conformance suite speaks in assertions

from collections.abc import Sequence

from tidegate.core.entities import Entity, EntityRef
from tidegate.testing.target_suite_session import (
    CASCADE,
    CREATE_MISSING,
    MERGE,
    Case,
    Session,
    case,
    find,
    service,
)


@case(MERGE)
async def a_missing_related_entity_may_come(it: Session) -> None:
    await it.refused(service("a", relations={"owner": "t"}), retryable=True, part="t")
    await it.absent("service", "a")
    await it.applied(Entity("t", "team"))
    await it.applied(service("a", relations={"owner": "t"}))
    assert (await it.stored("service", "a"))["relations"]["owner"] == "t"


@case(CREATE_MISSING)
async def missing_related_entities_are_created(it: Session) -> None:
    await it.applied(service("a", relations={"owner": "t", "uses": ["b", "c"]}))
    for blueprint, identifier in (("team", "t"), ("service", "b"), ("service", "c")):
        assert (await it.stored(blueprint, identifier))["identifier"] == identifier
    await it.applied(service("b", title="B", properties={"stars": 1}))
    assert (await it.stored("service", "b"))["title"] == "B"


@case(CREATE_MISSING)
async def a_number_relates_as_its_text(it: Session) -> None:
    await it.applied(service("a", icon=7, relations={"owner": 1, "uses": [2, "3"]}))
    stored = await it.stored("service", "a")
    assert stored["icon"] == "7"
    assert stored["relations"] == {"owner": "1", "uses": ["2", "3"]}


@case(CREATE_MISSING)
async def an_entity_may_be_related_to_itself(it: Session) -> None:
    await it.applied(service("a", relations={"uses": ["a"]}))
    assert (await it.stored("service", "a"))["relations"]["uses"] == ["a"]
    await it.applied(EntityRef("service", "a"))
    await it.absent("service", "a")


@case(MERGE)
async def a_search_identifier_adds_to_the_one_entity_that_it_finds(it: Session) -> None:
    await it.applied(
        service("a", properties={"external_id": "x1", "stars": 1}),
        service("b", properties={"external_id": "x2"}),
    )
    await it.applied(service(find("=", "external_id", "x1"), properties={"tier": "gold"}))
    stored = await it.properties("a")
    assert (stored["stars"], stored["tier"]) == (1, "gold")
    assert (await it.properties("b")).get("tier") is None


@case(MERGE)
async def a_search_identifier_that_finds_nothing_creates_nothing(it: Session) -> None:
    await it.refused(service(find("=", "external_id", "x1")), retryable=True)
    await it.applied(service("a", properties={"external_id": "x1"}))
    await it.applied(service(find("=", "external_id", "x1"), properties={"stars": 5}))
    assert (await it.properties("a"))["stars"] == 5


@case(MERGE)
async def a_search_identifier_must_find_one_entity(it: Session) -> None:
    await it.applied(*(service(name, properties={"tier": "gold"}) for name in "ab"))
    await it.refused(service(find("=", "tier", "gold"), properties={"stars": 1}), retryable=False)
    assert (await it.properties("a")).get("stars") is None


@case(MERGE)
async def search_relations_lead_to_what_they_find(it: Session) -> None:
    await it.applied(
        Entity("t", "team", properties={"slack": "#core"}),
        service("b", properties={"tags": ["x"]}),
        service("c", properties={"tags": ["x", "y"]}),
    )
    relations = {"owner": find("=", "slack", "#core"), "uses": find("contains", "tags", "x")}
    await it.applied(service("a", relations=relations))
    stored = (await it.stored("service", "a"))["relations"]
    assert (stored["owner"], sorted(stored["uses"])) == ("t", ["b", "c"])
    await it.applied(service("a", relations={"owner": find("=", "slack", "#none")}))
    assert (await it.stored("service", "a"))["relations"]["owner"] is None


@case(MERGE)
async def a_malformed_search_is_refused(it: Session) -> None:
    await it.refused(service(find("like", "external_id", "x")), retryable=False, part="like")
    await it.refused(service("a", relations={"owner": find(">", "slack", 1)}), retryable=False)


@case(MERGE)
async def a_delete_can_be_repeated(it: Session) -> None:
    await it.applied(service("a"))
    await it.applied(EntityRef("service", "a"))
    await it.absent("service", "a")
    await it.applied(EntityRef("service", "a"), EntityRef("service", "never"))


@case(MERGE)
async def a_deleted_entity_leaves_no_relation_behind(it: Session) -> None:
    await it.applied(Entity("t", "team"), service("b"), service("c"))
    await it.applied(service("a", relations={"owner": "t", "uses": ["b", "c"]}))
    await it.applied(EntityRef("team", "t"), EntityRef("service", "b"))
    relations = (await it.stored("service", "a"))["relations"]
    assert (relations["owner"], relations["uses"]) == (None, ["c"])


@case(MERGE)
async def a_required_entity_is_not_deleted(it: Session) -> None:
    await it.applied(service("s"))
    await it.applied(Entity("d", "deployment", relations={"service": "s"}, properties={"version": "1"}))
    await it.refused(EntityRef("service", "s"), retryable=True)
    await it.stored("service", "s")
    await it.applied(EntityRef("deployment", "d"))
    await it.applied(EntityRef("service", "s"))


@case(CASCADE)
async def dependents_are_deleted_if_the_options_say_so(it: Session) -> None:
    await it.applied(service("s"), service("u"))
    await it.applied(Entity("d", "deployment", relations={"service": "s"}, properties={"version": "1"}))
    await it.applied(service("u", relations={"uses": ["s"]}))
    await it.applied(EntityRef("service", "s"))
    await it.absent("service", "s")
    await it.absent("deployment", "d")
    assert (await it.stored("service", "u"))["relations"]["uses"] == []


RELATION_CASES: Sequence[Case] = (
    a_missing_related_entity_may_come,
    missing_related_entities_are_created,
    a_number_relates_as_its_text,
    an_entity_may_be_related_to_itself,
    a_search_identifier_adds_to_the_one_entity_that_it_finds,
    a_search_identifier_that_finds_nothing_creates_nothing,
    a_search_identifier_must_find_one_entity,
    search_relations_lead_to_what_they_find,
    a_malformed_search_is_refused,
    a_delete_can_be_repeated,
    a_deleted_entity_leaves_no_relation_behind,
    a_required_entity_is_not_deleted,
    dependents_are_deleted_if_the_options_say_so,
)
