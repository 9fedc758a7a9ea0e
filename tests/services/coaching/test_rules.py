"""When a coach answers: hours on the coach's own clock, wherever and however it changes, and the coach's own word."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.coaching.rules import AHEAD, WEEKDAYS, Duty, answers, mistakes, next_change, spans, stands_until

ZONES = (
    "UTC",
    "Europe/London",
    "America/New_York",
    "America/Santiago",
    "Africa/Cairo",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Atlantic/Azores",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
    "Pacific/Kiritimati",
)
NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
assert NOON.weekday() == 0

wall_times = st.integers(0, 24 * 60).map(lambda minutes: f"{minutes // 60:02}:{minutes % 60:02}")
moments = st.integers(0, 3 * 366 * 24 * 60).map(
    lambda minutes: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)


@st.composite
def days(draw: st.DrawFn) -> list[dict[str, str]]:
    """Some intervals that do not overlap, in any order; two may touch."""
    edges = sorted(draw(st.sets(wall_times, max_size=6)))
    gaps = draw(st.lists(st.booleans(), min_size=len(edges), max_size=len(edges)))
    found = [{"start": a, "end": b} for (a, b), taken in zip(pairwise(edges), gaps, strict=False) if taken]
    return draw(st.permutations(found))


weeks = st.fixed_dictionaries({day: days() for day in WEEKDAYS})


@st.composite
def holidays(draw: st.DrawFn) -> list[dict[str, str]]:
    found = []
    for _ in range(draw(st.integers(0, 2))):
        first = date(2024, 1, 1) + timedelta(days=draw(st.integers(0, 1100)))
        last = first + timedelta(days=draw(st.integers(0, 20)))
        found.append({"first": first.isoformat(), "last": last.isoformat()})
    return found


@st.composite
def duties(draw: st.DrawFn) -> tuple[Duty, datetime]:
    """Any duty, and a moment near to which its words end."""
    moment = draw(moments)
    near = st.none() | st.integers(-10_000, 30_000).map(lambda minutes: moment + timedelta(minutes=minutes))
    zone = draw(st.sampled_from(ZONES))
    duty = Duty(draw(st.booleans()), draw(near), draw(near), zone, draw(weeks), draw(holidays()))
    return duty, moment


def a_duty(zone: str = "UTC", said: bool = False, holidays: Any = (), **hours: Any) -> Duty:
    """Hours by weekday, each ``"09:00-12:00"``."""
    by_day = {
        day: [dict(zip(("start", "end"), interval.split("-"), strict=True)) for interval in intervals]
        for day, intervals in hours.items()
    }
    return Duty(said, None, None, zone, by_day, holidays)


def at(zone: str, written: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(written).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


# -- what holds for all


@given(duties())
def test_nothing_changes_before_the_next_change_and_something_does_at_it(case: tuple[Duty, datetime]) -> None:
    duty, moment = case
    turn = next_change(duty, moment)
    until = turn or moment + timedelta(days=30)
    step = max(timedelta(minutes=1), (until - moment) / 200)
    sampled = moment
    while sampled < until:
        assert answers(duty, sampled) == answers(duty, moment)
        sampled += step
    if turn is not None:
        assert turn > moment
        assert answers(duty, turn - timedelta(milliseconds=1)) == answers(duty, moment)
        assert answers(duty, turn) != answers(duty, moment)


@given(duties())
def test_hours_are_what_the_coachs_own_clock_shows(case: tuple[Duty, datetime]) -> None:
    duty, moment = case
    assume(duty.has_hours)
    hours = duty._replace(holds_until=None, quiet_until=None)
    local = moment.astimezone(ZoneInfo(duty.zone))
    # On a day without a change of the clock there is one way to read a clock.
    day_long = datetime.combine(local.date() + timedelta(days=1), time(), local.tzinfo).astimezone(
        UTC
    ) - datetime.combine(local.date(), time(), local.tzinfo).astimezone(UTC)
    assume(day_long == timedelta(hours=24))
    today = local.date().isoformat()
    off = any(holiday["first"] <= today <= holiday["last"] for holiday in duty.holidays)
    clock = local.strftime("%H:%M")
    inside = any(i["start"] <= clock < i["end"] for i in duty.hours[WEEKDAYS[local.weekday()]])
    assert answers(hours, moment) == (inside and not off)


@given(duties())
def test_spans_are_in_order_apart_from_each_other_and_exactly_when_the_coach_answers(
    case: tuple[Duty, datetime],
) -> None:
    duty, moment = case
    hours = duty._replace(holds_until=None, quiet_until=None)
    found = list(islice(spans(hours, moment), 20))
    assert all(moment < span.end and span.start < span.end for span in found)
    assert all(one.end < other.start for one, other in pairwise(found))
    # The last one may reach to where hours are no longer read.
    for span in found[:-1]:
        assert answers(hours, max(moment, span.start))
        assert answers(hours, span.end - timedelta(milliseconds=1))
        assert not answers(hours, span.end)


@given(duties(), st.booleans())
def test_a_word_counts_at_once_and_no_longer_than_until_the_hours_say_the_same(
    case: tuple[Duty, datetime], said: bool
) -> None:
    duty, moment = case
    until = stands_until(duty, said, moment)
    spoken = duty._replace(said=said, holds_until=until, quiet_until=None)
    assert answers(spoken, moment) == said
    if until is None:
        assert not duty.has_hours
    else:
        assert until > moment
        if until < moment + timedelta(days=300):
            # On ends with hours; off ends with their beginning.
            assert answers(spoken, until) != said


@given(weeks)
def test_hours_that_do_not_overlap_are_taken_in_any_order(week: dict[str, list[dict[str, str]]]) -> None:
    assert mistakes(week) == {}


# -- by example


def test_an_interval_begins_with_its_first_minute_and_ends_before_its_last() -> None:
    duty = a_duty("Europe/London", monday=["09:00-12:30", "14:00-17:00"])
    day = "2026-06-15T"
    for clock, expected in {
        "08:59": False,
        "09:00": True,
        "12:29": True,
        "12:30": False,
        "13:59": False,
        "14:00": True,
        "17:00": False,
    }.items():
        assert answers(duty, at("Europe/London", day + clock)) is expected, clock
    assert next_change(duty, NOON) == at("Europe/London", day + "14:00")


def test_a_night_of_two_intervals_has_no_seam_at_midnight() -> None:
    duty = a_duty(monday=["20:00-24:00"], tuesday=["00:00-06:00"])
    evening = datetime(2026, 6, 15, 21, tzinfo=UTC)
    assert next_change(duty, evening) == datetime(2026, 6, 16, 6, tzinfo=UTC)


def test_whoever_answers_round_the_clock_never_changes() -> None:
    duty = a_duty(**{day: ["00:00-24:00"] for day in WEEKDAYS})
    assert answers(duty, NOON)
    assert next_change(duty, NOON) is None


@pytest.mark.parametrize(
    ("interval", "start", "end"),
    [
        # Clocks go from 02:00 to 03:00 on 8 March 2026.
        ("01:00-04:00", "01:00", "04:00"),
        ("02:00-04:00", "03:00", "04:00"),
        ("02:30-05:00", "03:30", "05:00"),
        ("01:00-02:30", "01:00", "03:30"),
    ],
)
def test_when_an_hour_is_skipped(interval: str, start: str, end: str) -> None:
    zone = "America/New_York"
    duty = a_duty(zone, sunday=[interval])
    (span, *_) = spans(duty, at(zone, "2026-03-07T12:00"))
    assert span == (at(zone, f"2026-03-08T{start}"), at(zone, f"2026-03-08T{end}"))


def test_an_interval_that_lies_in_the_skipped_hour_is_no_time_at_all() -> None:
    zone = "America/New_York"
    duty = a_duty(zone, sunday=["02:30-03:00"])
    (span, *_) = spans(duty, at(zone, "2026-03-07T12:00"))
    assert span.start == at(zone, "2026-03-15T02:30")


def test_when_an_hour_comes_twice_a_time_in_it_is_the_first() -> None:
    # Clocks go from 02:00 to 01:00 on 1 November 2026.
    zone = "America/New_York"
    duty = a_duty(zone, sunday=["00:00-01:30", "01:45-03:00"])
    first, second = islice(spans(duty, at(zone, "2026-10-31T12:00")), 2)
    assert first == (at(zone, "2026-11-01T00:00"), at(zone, "2026-11-01T01:30"))
    assert second == (at(zone, "2026-11-01T01:45"), at(zone, "2026-11-01T03:00"))
    assert second.end - second.start == timedelta(hours=2, minutes=15)


def test_holidays_are_days_of_the_coachs_own_calendar() -> None:
    zone = "Pacific/Auckland"
    duty = a_duty(
        zone,
        holidays=[{"first": "2026-12-25", "last": "2026-12-26"}],
        **{day: ["00:00-24:00"] for day in WEEKDAYS},
    )
    begins = at(zone, "2026-12-25T00:00")
    assert begins.date() == date(2026, 12, 24)
    assert next_change(duty, begins - timedelta(days=3)) == begins
    assert next_change(duty, begins) == at(zone, "2026-12-27T00:00")


def test_do_not_disturb_is_stronger_than_a_word_and_than_hours() -> None:
    quiet = NOON + timedelta(hours=1)
    for duty in (a_duty(said=True), a_duty(monday=["09:00-17:00"])):
        assert answers(duty, NOON)
        disturbed = duty._replace(quiet_until=quiet)
        assert not answers(disturbed, NOON)
        assert next_change(disturbed, NOON) == quiet


def test_do_not_disturb_that_outlasts_the_hours_changes_with_the_next_ones() -> None:
    duty = a_duty(monday=["09:00-17:00"])._replace(quiet_until=NOON + timedelta(hours=8))
    assert next_change(duty, NOON) == datetime(2026, 6, 22, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "hour", "until"),
    [
        (False, 10, "2026-06-15T14:00"),
        (False, 13, "2026-06-15T14:00"),
        (False, 15, "2026-06-22T09:00"),
        (True, 7, "2026-06-15T12:00"),
        (True, 10, "2026-06-15T12:00"),
        (True, 18, "2026-06-22T12:00"),
    ],
)
def test_off_stands_until_hours_begin_again_and_on_until_hours_end(said: bool, hour: int, until: str) -> None:
    duty = a_duty(monday=["09:00-12:00", "14:00-17:00"])
    moment = datetime(2026, 6, 15, hour, tzinfo=UTC)
    assert stands_until(duty, said, moment) == at("UTC", until)


def test_a_word_against_hours_that_never_come_does_not_stand_for_ever() -> None:
    duty = a_duty(monday=["09:00-12:00"], holidays=[{"first": "2026-01-01", "last": "2036-01-01"}])
    assert stands_until(duty, True, NOON) == NOON + AHEAD


@pytest.mark.parametrize(
    ("intervals", "wrong"),
    [
        (["09:00-09:00"], {"0": "end"}),
        (["22:00-06:00"], {"0": "end"}),
        (["09:00-12:00", "11:59-13:00"], {"1": "start"}),
        (["11:59-13:00", "09:00-12:00"], {"0": "start"}),
        (["09:00-17:00", "10:00-11:00", "12:00-13:00"], {"1": "start", "2": "start"}),
        (["09:00-12:00", "09:00-12:00"], {"1": "start"}),
        (["09:00-12:00", "13:00-08:00", "11:00-14:00"], {"1": "end", "2": "start"}),
        (["09:00-12:00", "12:00-13:00", "13:00-24:00"], {}),
    ],
)
def test_what_cannot_be_meant_is_found_at_its_place(intervals: list[str], wrong: dict[str, str]) -> None:
    found = mistakes(a_duty(tuesday=intervals, friday=["09:00-17:00"]).hours)
    assert {place: field for place, why in found.get("tuesday", {}).items() for field in why} == wrong
    assert found.keys() <= {"tuesday"}
