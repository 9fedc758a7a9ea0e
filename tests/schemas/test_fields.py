"""What a body may not hold, and that the answer names the field."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from marshmallow import ValidationError

from schemas.base import Shape
from schemas.chat import NewConversation, NewMessage, QuietHours
from schemas.fields import Hours, Id, Language, Line, Login, Moment, RiskySituation, Scale, Text, Zone
from schemas.goals import NewGoal
from schemas.people import NewPerson
from schemas.risk import NewCheckIn

HUGE = 10**400
LONE = "half \ud800 of a pair"


class Form(Shape):
    """One field of every kind, none of them required."""

    id: Id = "x"
    at: Moment | None = None
    scale: Scale = 0
    hours: Hours = 0.0
    risky: RiskySituation | None = None
    text: Text = "x"
    line: Line = "x"
    login: Login = "xx"
    zone: Zone = "UTC"
    language: Language = "en"
    truth: bool = False
    ids: list[Id] | None = None


WRONG: list[tuple[str, Any]] = [
    ("id", ""),
    ("id", "x" * 65),
    ("id", "x\n"),
    ("id", "x\x00"),
    ("id", "-x"),
    ("id", "два"),
    ("id", LONE),
    ("id", 3),
    ("id", None),
    ("at", "2026-01-31"),
    ("at", "2026-01-31T09:30:00"),
    ("at", "0001-01-01T00:00:00+23:59"),
    ("at", "9999-12-31T23:59:59-23:59"),
    ("at", "0001-01-01T00:00:00Z"),
    ("at", "9999-12-31T23:59:59Z"),
    ("at", 1769851800),
    ("at", "2026-02-30T00:00:00Z"),
    ("at", "\x00"),
    ("scale", -1),
    ("scale", 11),
    ("scale", HUGE),
    ("scale", 3.5),
    ("scale", "3"),
    ("scale", True),
    ("scale", float("nan")),
    ("scale", float("inf")),
    ("scale", [3]),
    ("hours", -0.1),
    ("hours", 24.1),
    ("hours", HUGE),
    ("hours", -HUGE),
    ("hours", float("nan")),
    ("hours", float("inf")),
    ("hours", "8"),
    ("hours", True),
    ("risky", 11),
    ("risky", -1),
    ("risky", HUGE),
    ("risky", "yes"),
    ("risky", 3.0),
    ("text", ""),
    ("text", "x" * 8001),
    ("text", "a\x00b"),
    ("text", LONE),
    ("text", "\udfff"),
    ("text", 3),
    ("text", ["x"]),
    ("line", "x" * 201),
    ("line", "\x00"),
    ("login", "x"),
    ("login", "Sam"),
    ("login", "sam\n"),
    ("login", "sam smith"),
    ("zone", "Europe/Atlantis"),
    ("zone", ""),
    ("zone", "../etc/passwd"),
    ("zone", LONE),
    ("language", "e"),
    ("language", "english please"),
    ("language", "en\n"),
    ("truth", 1),
    ("truth", "true"),
    ("truth", 0),
    ("truth", None),
    ("ids", ["fine", "not fine"]),
    ("ids", "fine"),
    ("ids", [None]),
]


@pytest.mark.parametrize(("field", "wrong"), WRONG, ids=lambda value: repr(value)[:30])
def test_a_wrong_value_is_refused_and_its_field_is_named(field: str, wrong: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        Form.load({field: wrong})
    assert list(refused.value.messages_dict) == [field]


@pytest.mark.parametrize(
    ("field", "right"),
    [
        ("id", "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"),
        ("id", "x" * 64),
        ("at", "2026-01-31T09:30:00+05:30"),
        ("scale", 0),
        ("scale", 10),
        ("hours", 7),
        ("hours", 7.5),
        ("risky", True),
        ("risky", 0),
        ("risky", 10),
        ("text", "x" * 8000),
        ("text", "\U0001f600 naïve\n第二行"),
        ("zone", "Europe/London"),
        ("language", "pt-BR"),
        ("truth", True),
        ("ids", []),
    ],
)
def test_a_right_value_is_taken(field: str, right: Any) -> None:
    taken = getattr(Form.load({field: right}), field)
    assert taken == (datetime(2026, 1, 31, 4, 0, tzinfo=UTC) if field == "at" else right)


def test_all_wrong_fields_are_named_at_once() -> None:
    with pytest.raises(ValidationError) as refused:
        NewCheckIn.load({"id": "", "craving": 11, "mood": "fine", "surprise": 1})
    assert set(refused.value.messages_dict) == {"id", "craving", "mood", "surprise"}


def test_an_unknown_field_is_refused_at_the_edge_and_inside() -> None:
    with pytest.raises(ValidationError) as refused:
        NewCheckIn.load({"id": "c", "craving": 1, "used": {"what": "x", "days": 1, "where": "y"}})
    assert "where" in refused.value.messages_dict["used"]


@pytest.mark.parametrize("body", [None, [], "text", 3, True])
def test_a_body_that_is_no_object_is_refused(body: Any) -> None:
    with pytest.raises(ValidationError):
        NewGoal.load(body)


def test_what_is_left_out_takes_its_default_and_what_is_required_is_named() -> None:
    assert NewCheckIn.load({"id": "c", "craving": 3}).note is None
    with pytest.raises(ValidationError) as refused:
        NewCheckIn.load({})
    assert set(refused.value.messages_dict) == {"id", "craving"}


def test_a_word_that_python_keeps_for_itself_is_plain_on_the_wire() -> None:
    assert NewConversation.load({"id": "c", "with": "sam"}).with_ == "sam"
    assert NewConversation(id="c", with_="sam").dump() == {"id": "c", "with": "sam"}


@pytest.mark.parametrize("wrong", ["24:00", "7:00", "07:60", "07:00\n", "0700", ""])
def test_a_wall_time_that_no_clock_shows_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError, match="start"):
        QuietHours.load({"start": wrong, "end": "07:00"})


def test_a_password_is_never_written_out() -> None:
    person = NewPerson(id="p", role="client", login="maya", password="ten letters", display_name="Maya")
    assert "password" not in person.dump()


texts = st.text(min_size=1, max_size=100)


@given(texts)
@example("\x00")
@example("\ud800")
def test_text_is_kept_as_it_was_written_or_refused_by_name(text: str) -> None:
    body = {"client_message_id": "m", "text": text}
    storable = "\x00" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
    if storable:
        assert NewMessage.load(body).text == text
    else:
        with pytest.raises(ValidationError, match="text"):
            NewMessage.load(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*Form.Schema().fields, "other"]), json_values, max_size=4))
def test_any_json_is_taken_or_refused_and_nothing_else_is_raised(body: dict[str, Any]) -> None:
    wrong = Form.Schema().validate(body)
    if wrong:
        assert set(wrong) <= set(body)
    else:
        form = Form.load(body)
        assert Form.load(form.dump()) == form
