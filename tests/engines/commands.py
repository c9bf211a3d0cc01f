"""What the agreement test may say to an engine. Few lanes and entities, so that things meet."""

from hypothesis import strategies as st

from tidegate.core.entities import Entity, EntityRef
from tidegate.core.inspection import RunFilter
from tidegate.core.runs import (
    ROUTING_CONFIG,
    Completed,
    Dead,
    EntityWrite,
    Ignored,
    Rejected,
    Released,
    Rerouted,
    Retry,
    Routing,
    RunRequest,
    Settlement,
    WriteAction,
    lane_of,
)

REFS = tuple(EntityRef("service", name) for name in "ab")


def request(processor: str, config: str, key: str | None, version: str) -> RunRequest:
    return RunRequest(processor, config, "kind", key, lane_of(processor, config, key), version=version)


PROCESSORS = st.sampled_from(("P", "Q"))
VERSIONS = st.sampled_from(("", "", "n1", "n2"))
LANED = st.builds(request, PROCESSORS, st.just("one"), st.sampled_from(("k1", "k1", "k2")), VERSIONS)
LANELESS = st.builds(request, PROCESSORS, st.just("one"), st.none(), VERSIONS)
ROUTED_AGAIN = st.builds(
    lambda name: RunRequest(name, ROUTING_CONFIG, "", None, None, 1.0, "raised"), PROCESSORS
)
REQUESTS = st.one_of(LANED, LANED, LANELESS, ROUTED_AGAIN)
SOME_REQUESTS = st.lists(REQUESTS, min_size=1, max_size=2).map(tuple)
ROUTINGS = st.one_of(
    st.builds(Routing, SOME_REQUESTS),
    st.builds(Routing, reason=st.just("nobody wants it"), dead=st.booleans()),
)


def write(ref: EntityRef, action: WriteAction, title: str) -> EntityWrite:
    entity = Entity(ref.identifier, ref.blueprint, title=title) if action is WriteAction.UPSERT else None
    return EntityWrite(ref, action, action.value, entity)


SOME_REFS = st.sets(st.sampled_from(REFS))
TITLES = st.sampled_from(("x", "y"))
CHANGES = st.sampled_from((WriteAction.UPSERT, WriteAction.UPSERT, WriteAction.DELETE))
WRITES = st.lists(
    st.builds(write, st.sampled_from(REFS), CHANGES | st.sampled_from(WriteAction), TITLES),
    max_size=2,
    unique_by=lambda made: made.ref,
).map(tuple)
CHANGES_OF_ONE = st.builds(write, st.just(REFS[0]), CHANGES, TITLES)
DELAYS = st.sampled_from((0.0, 0.0, 3.0, 20.0))
COMPLETIONS = st.builds(Completed, WRITES, SOME_REFS.map(sorted).map(tuple), VERSIONS)
SETTLEMENTS: st.SearchStrategy[Settlement] = st.one_of(
    COMPLETIONS,
    COMPLETIONS,
    st.builds(Retry, DELAYS, st.just("failed"), WRITES),
    st.builds(Released, DELAYS, st.just("released")),
    st.builds(Dead, st.just("dead"), WRITES),
    st.builds(Dead, st.just("dead")),
    st.builds(Ignored, st.just("ignored")),
    st.builds(Rejected, st.just("rejected")),
    st.builds(Rerouted, st.lists(REQUESTS, max_size=2).map(tuple), st.just("rerouted")),
)
DEAD_FILTERS = st.builds(
    RunFilter, processor=st.none() | PROCESSORS, error=st.sampled_from((None, None, "dead", "else"))
)
