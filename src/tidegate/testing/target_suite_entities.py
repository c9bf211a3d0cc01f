"""Cases of the target suite: entities by themselves, their order, their owners and their fences."""
# ruff: noqa: S101 - a conformance suite speaks in assertions

from collections.abc import Sequence

from tidegate.core.entities import Entity, EntityRef
from tidegate.core.ports import Applied, Delete, Overtaken, Refused, Upsert
from tidegate.testing.target_suite_session import BLUEPRINTS, MERGE, REPLACE, Case, Session, case, service


@case(MERGE)
async def prepare_can_be_repeated(it: Session) -> None:
    await it.under_test.target.prepare(BLUEPRINTS, {"resources": []})
    await it.under_test.other.prepare(BLUEPRINTS, {})
    await it.applied(service("a"))


@case(MERGE)
async def no_changes_no_outcomes(it: Session) -> None:
    assert await it.under_test.target.apply([]) == []
    assert await it.under_test.target.owned([]) == frozenset()


@case(MERGE)
async def an_upserted_entity_is_stored_whole(it: Session) -> None:
    sent = {"url": "https://a.io", "stars": 3, "tags": ["x", "y"], "tier": "gold", "external_id": None}
    await it.applied(service("a", title="A", icon="Git", team=["core"], properties=sent))
    stored = await it.stored("service", "a")
    assert {name: stored["properties"].get(name) for name in sent} == sent
    assert (stored["identifier"], stored["blueprint"], stored["title"]) == ("a", "service", "A")
    assert (stored["icon"], stored["team"]) == ("Git", ["core"])
    assert stored["createdAt"]
    assert stored["updatedAt"]


@case(MERGE)
async def merging_keeps_what_is_not_sent(it: Session) -> None:
    await it.applied(service("a", title="A", properties={"stars": 1, "tier": "gold"}))
    await it.applied(service("a", properties={"stars": 2}))
    stored = await it.stored("service", "a")
    assert (stored["title"], stored["properties"]["stars"], stored["properties"]["tier"]) == ("A", 2, "gold")


@case(REPLACE)
async def replacing_forgets_what_is_not_sent(it: Session) -> None:
    await it.applied(Entity("t", "team"), service("u"))
    await it.applied(service("a", properties={"stars": 1, "tier": "gold"}, relations={"owner": "t"}))
    await it.applied(service("a", properties={"stars": 2}, relations={"uses": ["u"]}))
    stored = await it.stored("service", "a")
    assert stored["properties"].get("stars") == 2
    assert stored["properties"].get("tier") is None
    assert stored["relations"].get("owner") is None
    assert stored["relations"].get("uses") == ["u"]


@case(MERGE)
async def null_erases_a_property(it: Session) -> None:
    await it.applied(service("a", properties={"tier": "gold"}))
    await it.applied(service("a", properties={"tier": None}))
    assert (await it.properties("a")).get("tier") is None


@case(MERGE)
async def the_last_write_wins(it: Session) -> None:
    for stars in range(5):
        await it.applied(service("a", properties={"stars": stars}))
    assert (await it.properties("a"))["stars"] == 4


@case(MERGE)
async def a_number_names_an_entity_as_its_text(it: Session) -> None:
    await it.applied(service(17, title=18))
    assert (await it.stored("service", "17"))["title"] == "18"


@case(MERGE)
async def identifiers_may_have_slashes_and_other_letters(it: Session) -> None:
    names = ["group/project", "a:b=c@d.e+f", "Größe", "..a"]
    await it.applied(*(service(name) for name in names))
    for name in names:
        assert (await it.stored("service", name))["identifier"] == name
    await it.applied(*(EntityRef("service", name) for name in names))
    for name in names:
        await it.absent("service", name)


@case(MERGE)
async def a_missing_blueprint_may_come(it: Session) -> None:
    await it.refused(Entity("a", "cluster"), retryable=True, part="cluster")


@case(MERGE)
async def one_refused_entity_does_not_hurt_its_neighbours(it: Session) -> None:
    entities = [service(f"s{n}", properties={"stars": n}) for n in range(20)]
    entities[7] = service("s7", properties={"stars": "seven"})
    outcomes = await it.apply(*entities)
    assert [isinstance(outcome, Applied) for outcome in outcomes] == [n != 7 for n in range(20)]
    refused = outcomes[7]
    assert isinstance(refused, Refused)
    assert not refused.retryable
    assert "stars" in refused.reason
    await it.absent("service", "s7")
    assert (await it.properties("s8"))["stars"] == 8


@case(MERGE)
async def an_impossible_identifier_does_not_hurt_its_neighbours(it: Session) -> None:
    outcomes = await it.apply(service("a"), service("has space"), service(["list"]), service("b"))
    assert [type(outcome) for outcome in outcomes] == [Applied, Refused, Refused, Applied]
    await it.stored("service", "a")
    await it.stored("service", "b")


@case(MERGE)
async def wrong_entities_are_refused_for_good(it: Session) -> None:
    for entity, part in (
        (service("a", properties={"url": "no url"}), "url"),
        (service("a", properties={"tier": "bronze"}), "tier"),
        (service("a", properties={"tags": ["x", 1]}), "tags"),
        (service("a", properties={"colour": "red"}), "colour"),
        (service("a", relations={"parent": "x"}), "parent"),
        (service("a", relations={"owner": ["t"]}), "owner"),
        (service("a", relations={"uses": "b"}), "uses"),
        (service("a", title={"not": "text"}), "title"),
        (Entity("a", "deployment", relations={"service": None}, properties={"version": "1"}), "service"),
    ):
        await it.refused(entity, retryable=False, part=part)
        await it.absent(entity.blueprint, "a")


@case(MERGE)
async def a_required_property_must_have_a_value(it: Session) -> None:
    await it.applied(service("s"))
    relations = {"service": "s"}
    await it.refused(Entity("d", "deployment", relations=relations), retryable=False, part="version")
    await it.applied(Entity("d", "deployment", relations=relations, properties={"version": "1"}))


@case(MERGE)
async def calculated_properties_are_ignored(it: Session) -> None:
    await it.applied(service("a", properties={"stars": 2, "score": 99}))
    assert (await it.properties("a")).get("score") != 99


@case(MERGE)
async def outcomes_come_in_the_order_of_the_changes(it: Session) -> None:
    await it.applied(*(service(f"old{n}") for n in range(30)))
    changes: list[Entity | EntityRef] = []
    for n in range(30):
        changes += [service(f"new{n}"), EntityRef("service", f"old{n}"), Entity(f"t{n}", "team")]
        changes.append(service(f"bad{n}", properties={"stars": "many"}))
    outcomes = await it.apply(*changes)
    assert [type(outcome) for outcome in outcomes] == [Applied, Applied, Applied, Refused] * 30
    for n in range(30):
        await it.stored("service", f"new{n}")
        await it.stored("team", f"t{n}")
        await it.absent("service", f"old{n}")


@case(MERGE)
async def owned_are_those_that_this_integration_wrote(it: Session) -> None:
    await it.applied(service("mine"), service("a/b"))
    await it.under_test.other.apply([Upsert(service("theirs"), 1)])
    refs = [EntityRef("service", name) for name in ("mine", "a/b", "theirs", "nobody's")]
    assert await it.under_test.target.owned(refs) == frozenset(refs[:2])
    assert await it.under_test.other.owned(refs) == frozenset(refs[2:3])


@case(MERGE)
async def fences_hold_back_older_changes(it: Session) -> None:
    target = it.under_test.target
    if not target.fenced:
        return
    ref = EntityRef("service", "a")
    assert await target.apply([Upsert(service("a", properties={"stars": 1}), 10)]) == [Applied()]
    assert await target.apply([Upsert(service("a", properties={"stars": 2}), 9)]) == [Overtaken()]
    assert await target.apply([Delete(ref, 9)]) == [Overtaken()]
    assert (await it.properties("a"))["stars"] == 1
    assert await target.apply([Upsert(service("a", properties={"stars": 3}), 10)]) == [Applied()]
    assert await target.apply([Delete(ref, 11)]) == [Applied()]
    assert await target.apply([Upsert(service("a"), 10)]) == [Overtaken()]
    await it.absent("service", "a")
    assert await target.apply([Upsert(service("a"), 12)]) == [Applied()]


@case(MERGE)
async def fences_of_two_integrations_do_not_meet(it: Session) -> None:
    if not it.under_test.target.fenced:
        return
    assert await it.under_test.target.apply([Upsert(service("a", properties={"stars": 1}), 1000)]) == [
        Applied()
    ]
    assert await it.under_test.other.apply([Upsert(service("a", properties={"stars": 2}), 1)]) == [Applied()]
    assert await it.under_test.target.apply([Upsert(service("a"), 999)]) == [Overtaken()]
    assert (await it.properties("a"))["stars"] == 2


ENTITY_CASES: Sequence[Case] = (
    prepare_can_be_repeated,
    no_changes_no_outcomes,
    an_upserted_entity_is_stored_whole,
    merging_keeps_what_is_not_sent,
    replacing_forgets_what_is_not_sent,
    null_erases_a_property,
    the_last_write_wins,
    a_number_names_an_entity_as_its_text,
    identifiers_may_have_slashes_and_other_letters,
    a_missing_blueprint_may_come,
    one_refused_entity_does_not_hurt_its_neighbours,
    an_impossible_identifier_does_not_hurt_its_neighbours,
    wrong_entities_are_refused_for_good,
    a_required_property_must_have_a_value,
    calculated_properties_are_ignored,
    outcomes_come_in_the_order_of_the_changes,
    owned_are_those_that_this_integration_wrote,
    fences_hold_back_older_changes,
    fences_of_two_integrations_do_not_meet,
)
