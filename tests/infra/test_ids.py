"""Ids that sort by the time they were made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from infra.ids import derived_id, id_at, new_id
from schemas.base import now

# Naive, as hypothesis asks for its bounds.
BETWEEN = {
    "min_value": datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None),
    "max_value": datetime(2200, 1, 1, tzinfo=UTC).replace(tzinfo=None),
}
parts = st.lists(st.text("abcdef0123456789-", min_size=1, max_size=12), min_size=1, max_size=3)


def test_later_ids_are_greater_and_none_comes_twice() -> None:
    ids = [new_id() for _ in range(5000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_an_id_is_a_uuid_of_version_seven() -> None:
    assert UUID(new_id()).version == 7
    assert len(new_id()) == 36


def test_an_id_lies_between_the_moments_around_it() -> None:
    before = id_at(now() - timedelta(milliseconds=2))
    made = new_id()
    after = id_at(now() + timedelta(milliseconds=2))
    assert before < made < after


@given(st.datetimes(timezones=st.just(UTC), **BETWEEN), st.integers(1, 10**9))
def test_ids_of_moments_sort_as_the_moments_do(moment: datetime, later: int) -> None:
    assert id_at(moment) < id_at(moment + timedelta(milliseconds=later))
    assert UUID(id_at(moment)).version == 7


@given(parts, parts)
def test_a_derived_id_is_the_same_for_the_same_parts_and_for_no_others(one: list[str], other: list[str]) -> None:
    assert derived_id(*one) == derived_id(*one)
    assert (derived_id(*one) == derived_id(*other)) == (one == other)
