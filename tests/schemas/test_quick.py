"""The quick way and the schema agree: on every event there is, and on whatever else is put in their place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from schemas.base import Event
from schemas.catalogue import EVENTS
from schemas.quick import Doubt, Quick
from tests.schemas.events import any_event

every_kind = pytest.mark.parametrize("kind", EVENTS.values(), ids=lambda kind: kind.__name__)

STRANGE: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2**70),
    st.floats(),
    st.text(st.characters(), max_size=70),
    st.sampled_from(
        ["a\n", "a\x00", "\ud800", "2026-01-31T09:30:00.123Z", "2026-01-31T09:30:00.123z", "2026-02-31", ""]
    ),
    st.sampled_from(["0001-01-01T09:30:00.123Z", "9999-12-31T09:30:00.123Z"]),
    st.sampled_from(["2026-01-31T09:30:00+02:00", "2026-W05-6T09:30:00.123Z", "2026-01-31T09:30:00,123Z"]),
    st.lists(st.text(max_size=3) | st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@every_kind
@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.data())
def test_an_event_is_written_and_read_as_the_schema_writes_and_reads_it(kind: type[Event], data: st.DataObject) -> None:
    event, quick, schema = data.draw(any_event(kind)), Quick(kind.Schema()), kind.Schema()
    written = quick.dump(event)
    assert written == schema.dump(event)
    assert kind(**quick.load(written)) == schema.load(written) == event


@every_kind
@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_what_is_taken_quickly_the_schema_takes_and_takes_the_same(kind: type[Event], data: st.DataObject) -> None:
    quick, schema = Quick(kind.Schema()), kind.Schema()
    written = quick.dump(data.draw(any_event(kind)))
    wrong = data.draw(st.sampled_from(sorted(written)))
    if data.draw(st.booleans()):
        written[wrong] = data.draw(STRANGE)
    else:
        del written[wrong]
    try:
        loaded = kind(**quick.load(written))
    except Doubt:
        return
    try:
        assert loaded == schema.load(written, unknown="exclude")
    except ValidationError as error:
        pytest.fail(f"taken although the schema refuses {written!r}: {error}")
