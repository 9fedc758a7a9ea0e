"""How events are written on the log and read back, by every kind there is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import marshmallow
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event, to_binary_event
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.base import Event, Shape, Unknown, Unreadable, decode, encode, now
from schemas.catalogue import EVENTS
from schemas.fields import Id, written
from schemas.people import PersonJoined, RecordSeen
from schemas.risk import AlertRaised
from tests.schemas import golden
from tests.schemas.events import any_event

KINDS = sorted(EVENTS.values(), key=lambda kind: kind.__name__)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
any_kind = st.sampled_from(KINDS).flatmap(any_event)


def an_alert() -> AlertRaised:
    example = golden.example(AlertRaised)
    assert isinstance(example, AlertRaised)
    return example


@every_kind
@settings(max_examples=20)
@given(data=st.data())
def test_an_event_is_read_as_it_was_written(kind: type[Event], data: st.DataObject) -> None:
    event = data.draw(any_event(kind))
    value, headers = encode(event)
    assert decode(value, headers, EVENTS) == event


@given(any_kind, st.text("abcdef-0123456789", min_size=1, max_size=64))
def test_the_request_that_caused_an_event_travels_beside_it(event: Event, request_id: str) -> None:
    assert encode(event, request_id)[1]["ce_requestid"] == request_id
    assert "ce_requestid" not in encode(event)[1]


@given(any_kind, st.dictionaries(st.from_regex(r"zz_[a-z]{1,10}", fullmatch=True), st.none() | st.integers()))
def test_a_field_that_this_version_does_not_know_is_ignored(event: Event, more: dict[str, Any]) -> None:
    value, headers = encode(event)
    assert decode(json.dumps({**json.loads(value), **more}).encode(), headers, EVENTS) == event


def test_the_attributes_win_over_data_that_names_them_too() -> None:
    value, headers = encode(an_alert())
    doubled = json.dumps({**json.loads(value), "id": "another", "version": 99}).encode()
    assert decode(doubled, headers, EVENTS) == an_alert()


@pytest.mark.parametrize("headers", [{}, {"ce_type": "alongside.risk.NotInventedYet"}, {"ce_type": ""}])
def test_an_unknown_type_is_unknown(headers: dict[str, str]) -> None:
    with pytest.raises(Unknown):
        decode(b"{}", headers, EVENTS)


@pytest.mark.parametrize(
    "value",
    [b"", b"{", b"null", b"[]", b'"text"', b"\xff\xfe", b"[" * 5000, b"{}", b'{"alert_id": 3}'],
    ids=repr,
)
def test_data_that_does_not_fit_a_known_type_is_unreadable(value: bytes) -> None:
    with pytest.raises(Unreadable, match="AlertRaised"):
        decode(value, encode(an_alert())[1], EVENTS)


@pytest.mark.parametrize("attribute", ["ce_id", "ce_time", "ce_sequence"])
@pytest.mark.parametrize("wrong", [None, "", "\x00", "yesterday at nine", "-1", "0"])
def test_a_missing_or_wrong_attribute_is_unreadable(attribute: str, wrong: str | None) -> None:
    value, headers = encode(an_alert())
    changed = {name: text for name, text in headers.items() if name != attribute}
    if wrong is not None:
        changed[attribute] = wrong
    if attribute == "ce_id" and wrong in ("0",):
        assert decode(value, changed, EVENTS).id == wrong
        return
    with pytest.raises(Unreadable):
        decode(value, changed, EVENTS)


@settings(max_examples=300)
@given(
    st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(repr).map(str.encode)
)
def test_whatever_lies_on_the_log_is_an_event_or_unreadable_and_nothing_else(value: bytes) -> None:
    try:
        event = decode(value, encode(an_alert())[1], EVENTS)
    except Unreadable:
        return
    assert isinstance(event, AlertRaised)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("alert_id", "two words"),
        ("alert_id", "x" * 65),
        ("alert_id", "trailing\n"),
        ("band", "dreadful"),
        ("tell", ["fine", ""]),
        ("version", 0),
        ("client_id", None),
    ],
)
def test_an_event_that_its_schema_refuses_is_never_written(field: str, wrong: Any) -> None:
    with pytest.raises(marshmallow.ValidationError) as refused:
        encode(type(an_alert())(**{**vars(an_alert()), field: wrong}))
    assert field in refused.value.messages_dict


@every_kind
def test_a_golden_sample_is_still_read_as_the_same_event(kind: type[Event]) -> None:
    kept = golden.read(kind)
    assert decode(kept.value, kept.headers, EVENTS) == golden.example(kind)


@every_kind
def test_the_same_event_is_still_written_as_its_golden_sample(kind: type[Event]) -> None:
    assert encode(golden.example(kind), golden.REQUEST_ID) == tuple(golden.read(kind))


def test_no_golden_sample_is_without_its_event() -> None:
    kept = {path.stem for path in golden.FOLDER.glob("*.json")}
    assert kept == {kind.__name__ for kind in KINDS}, "an event on the log is for ever: bring its class back"


def test_a_missing_golden_sample_says_how_to_make_it() -> None:
    class NotSampledYet(Event):
        topic: ClassVar[str] = "people"
        key: ClassVar[str] = "person_id"
        person_id: Id

    with pytest.raises(AssertionError, match=r"NotSampledYet .*python -m tests\.schemas\.golden"):
        golden.read(NotSampledYet)


def test_a_golden_sample_that_is_there_is_never_written_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(golden, "FOLDER", tmp_path)
    assert sorted(golden.add_missing()) == sorted(f"{kind.__name__}.json" for kind in KINDS)
    (tmp_path / "AlertRaised.json").write_text("as it was")
    assert golden.add_missing() == []
    assert (tmp_path / "AlertRaised.json").read_text() == "as it was"


@every_kind
def test_the_official_library_reads_the_same_attributes_and_data(kind: type[Event]) -> None:
    event = golden.example(kind)
    value, headers = encode(event, "request-9")
    message = KafkaMessage(headers={name: text.encode() for name, text in headers.items()}, key=None, value=value)

    read = from_binary_event(message)

    assert read.get_specversion() == "1.0"
    assert read.get_id() == event.id
    assert read.get_type() == kind.type_name()
    assert read.get_source() == f"/{kind.topic}"
    assert read.get_subject() == event.partition_key
    assert read.get_time() == event.at
    assert read.get_datacontenttype() == "application/json"
    assert read.get_extension("sequence") == str(event.version)
    assert read.get_extension("requestid") == "request-9"
    assert read.get_data() == {
        name: field for name, field in event.dump().items() if name not in ("id", "at", "version")
    }


@every_kind
def test_what_the_official_library_writes_is_read_as_the_same_event(kind: type[Event]) -> None:
    event = golden.example(kind)
    value, headers = encode(event)
    message = KafkaMessage(headers={name: text.encode() for name, text in headers.items()}, key=None, value=value)
    again = to_binary_event(from_binary_event(message))
    assert decode(again.value, {name: text.decode() for name, text in again.headers.items()}, EVENTS) == event


def test_a_moment_keeps_its_milliseconds_and_no_more() -> None:
    moment = datetime(2026, 1, 31, 9, 30, 0, 123456, tzinfo=UTC)
    event = PersonJoined(id="e", at=moment, version=1, person_id="p", role="client")
    read = decode(*encode(event), EVENTS)
    assert read.at == moment.replace(microsecond=123000)
    assert now().microsecond % 1000 == 0


def test_a_moment_is_written_in_utc_whatever_its_zone() -> None:
    from zoneinfo import ZoneInfo

    assert written(datetime(2026, 7, 1, 1, 30, tzinfo=ZoneInfo("Europe/London"))) == "2026-07-01T00:30:00.000Z"
    assert written(datetime(2026, 1, 1, tzinfo=UTC) - timedelta(microseconds=1)) == "2025-12-31T23:59:59.999Z"


def test_the_words_of_a_look_are_the_only_line_an_event_has() -> None:
    seen = RecordSeen(id="e", at=now(), version=1, viewer_id="sam", subject_id="maya", what="check-ins")
    assert decode(*encode(seen), EVENTS) == seen


def test_a_shape_with_a_type_that_no_field_is_known_for_is_refused_when_it_is_declared() -> None:
    with pytest.raises(TypeError, match="no field is known"):

        class Odd(Shape):
            thing: complex


def test_a_record_is_frozen() -> None:
    with pytest.raises(AttributeError):
        an_alert().band = "steady"  # type: ignore[misc]
