"""What a run writes: properties of the plan for any proposal, lineage and owners."""

from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.entities import Entity, EntityRef
from tidegate.core.plans import Owner, Plan, Proposal, Staged, make_plan
from tidegate.core.runs import WriteAction

NEWEST = 5
REFS = [EntityRef("service", name) for name in "abcd"]
ENTITIES = st.lists(
    st.builds(
        lambda ref, title: Entity(ref.identifier, ref.blueprint, title=title),
        st.sampled_from(REFS),
        st.text(max_size=1),
    ),
    max_size=3,
).map(tuple)
PROPOSALS = st.builds(Proposal, ENTITIES, ENTITIES, ENTITIES)
OWNERS = st.dictionaries(
    st.sampled_from(REFS),
    st.lists(
        st.builds(Owner, st.just("issue"), st.sampled_from(("1", "2")), st.integers(1, 9)),
        min_size=1,
        max_size=2,
    ).map(tuple),
)
SOME_REFS = st.frozensets(st.sampled_from(REFS))
STAGED = st.builds(Staged, SOME_REFS, OWNERS, SOME_REFS)


def refs(entities: tuple[Entity, ...]) -> set[EntityRef]:
    return {entity.ref for entity in entities}


@given(PROPOSALS, STAGED)
def test_what_is_upserted_is_never_deleted(proposal: Proposal, staged: Staged) -> None:
    plan = make_plan(proposal, staged, NEWEST)
    assert refs(plan.upserts) == refs(proposal.upserts)
    assert refs(plan.upserts).isdisjoint(write.ref for write in (*plan.deletes, *plan.kept))


@given(PROPOSALS, STAGED)
def test_each_entity_has_one_fate(proposal: Proposal, staged: Staged) -> None:
    plan = make_plan(proposal, staged, NEWEST)
    fates = [*(entity.ref for entity in plan.upserts), *(write.ref for write in (*plan.deletes, *plan.kept))]
    assert len(fates) == len(set(fates))
    assert set(fates) == refs(proposal.upserts) | proposal.candidates | staged.previous
    assert all(write.action is WriteAction.DELETE for write in plan.deletes)
    assert all(write.action is WriteAction.KEPT for write in plan.kept)


@given(PROPOSALS, STAGED)
def test_what_is_not_written_any_more_leaves_the_lineage(proposal: Proposal, staged: Staged) -> None:
    plan = make_plan(proposal, staged, NEWEST)
    assert set(plan.dropped) == (proposal.candidates | staged.previous) - refs(proposal.upserts)


@given(PROPOSALS, STAGED)
def test_a_delete_spares_who_else_writes_the_entity(proposal: Proposal, staged: Staged) -> None:
    plan = make_plan(proposal, staged, NEWEST)
    named = refs(proposal.deleted)
    for write in plan.deletes:
        others = (staged.owners or {}).get(write.ref, ())
        assert not others if write.ref not in named else all(other.event_seq < NEWEST for other in others)
    for write in plan.kept:
        others = (staged.owners or {})[write.ref]
        assert write.ref not in named or any(other.event_seq >= NEWEST for other in others)


@given(PROPOSALS, STAGED)
def test_only_the_target_can_tell_of_what_nobody_is_known_to_have_written(
    proposal: Proposal, staged: Staged
) -> None:
    plan = make_plan(proposal, staged, NEWEST)
    assert plan.unknown == {write.ref for write in plan.deletes} - staged.known - staged.previous


@given(PROPOSALS, STAGED, SOME_REFS)
def test_a_spared_delete_is_kept_for_a_reason(
    proposal: Proposal, staged: Staged, foreign: frozenset[EntityRef]
) -> None:
    plan = make_plan(proposal, staged, NEWEST)
    spared = plan.without_deleting(foreign, "it is not ours")
    assert {write.ref for write in spared.deletes} == {write.ref for write in plan.deletes} - foreign
    assert len(spared.deletes) + len(spared.kept) == len(plan.deletes) + len(plan.kept)
    assert all("but it is not ours" in write.reason for write in spared.kept[len(plan.kept) :])


def test_the_last_of_several_items_of_one_entity_wins() -> None:
    twice = (Entity("a", "service", title="1"), Entity("a", "service", title="2"))
    assert make_plan(Proposal(upserts=twice), Staged(), NEWEST) == Plan(upserts=twice[1:])


def test_reasons_say_why() -> None:
    gone, excluded, missing = (Entity(name, "service") for name in "abc")
    staged = Staged(previous=frozenset({missing.ref}), owners={missing.ref: (Owner("issue", "9", 1),)})
    plan = make_plan(Proposal(exits=(excluded,), deleted=(gone,)), staged, NEWEST)
    assert [write.reason for write in plan.deletes] == [
        "the processor says that it is deleted",
        "the selector does not match any more",
    ]
    assert [write.reason for write in plan.kept] == [
        "the resource does not produce it any more, but issue 9 writes it too"
    ]


def test_what_the_mapping_failed_on_is_not_taken_for_gone() -> None:
    staged = Staged(previous=frozenset(REFS))
    assert make_plan(Proposal(incomplete=True), staged, NEWEST) == Plan()
