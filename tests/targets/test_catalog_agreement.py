"""The catalog says the same in each of its databases: outcomes, refusals in their words, entities and relations."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.targets.catalogs import database
from tests.targets.test_catalog_semantics import CHANGES, NOW, OPTIONS, Catalog
from tidegate.core.entities import Entity, EntityRef
from tidegate.core.ports import Change, ChangeOutcome, Delete, Upsert
from tidegate.core.resources import TargetOptions
from tidegate.targets.catalog.lookups import named_entities

Batch = tuple[str, list[Change]]


@st.composite
def batches(draw: st.DrawFn) -> list[Batch]:
    """Batches of two integrations, with fences in no order."""
    found: list[Batch] = []
    for _ in range(draw(st.integers(1, 3))):
        changes: Sequence[Entity | EntityRef] = draw(CHANGES)
        fences = draw(st.lists(st.integers(1, 9), min_size=len(changes), max_size=len(changes)))
        asked: list[Change] = [
            Upsert(change, fence) if isinstance(change, Entity) else Delete(change, fence)
            for change, fence in zip(changes, fences, strict=True)
        ]
        found.append((draw(st.sampled_from(["main", "other"])), asked))
    return found


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Catalog]]:
    with ExitStack() as stack:
        yield [
            Catalog(stack.enter_context(database(kind, tmp_path_factory.mktemp(kind))))
            for kind in ("sqlite", "postgres")
        ]


def outcomes(catalog: Catalog, work: list[Batch], options: TargetOptions) -> list[ChangeOutcome]:
    """As a writer does: all that a batch names is read ahead, and the batch travels as one part."""
    found: list[ChangeOutcome] = []
    for source, changes in work:
        with catalog.database.part():
            if catalog.store.reads_ahead:
                catalog.store.read_ahead(named_entities(changes, catalog.store), source)
            found += [catalog.apply(change, options, source) for change in changes]
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(work=batches(), options=OPTIONS)
def test_both_databases_answer_the_same(
    both: list[Catalog], work: list[Batch], options: TargetOptions
) -> None:
    answers = []
    for catalog in both:
        with catalog.empty():
            said = outcomes(catalog, work, options)
            fences = set(catalog.database.rows("SELECT blueprint, identifier, source, fence FROM fences"))
            rows = set(catalog.database.rows("SELECT blueprint, identifier, fence, source FROM entities"))
            answers.append((said, catalog.documents(), catalog.edges(), fences, rows))
    assert answers[0] == answers[1], NOW
