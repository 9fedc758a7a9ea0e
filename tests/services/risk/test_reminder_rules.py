"""When a client is to be reminded, on the client's own clock, wherever and however it changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.risk.reminder_rules import LATE, day_of, is_of_the_day, is_still_of_use, newest_by, next_after

ZONES = (
    "UTC",
    "Europe/London",
    "America/New_York",
    "America/Santiago",
    "Africa/Cairo",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kiritimati",
)
zones = st.sampled_from(ZONES)
walls = st.integers(0, 24 * 60 - 1).map(lambda minutes: f"{minutes // 60:02}:{minutes % 60:02}")
# Samoa went without a whole day at the end of 2011.
moments = st.sampled_from((datetime(2011, 12, 25, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))).flatmap(
    lambda start: st.integers(0, 366 * 24 * 60).map(lambda minutes: start + timedelta(minutes=minutes))
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@given(walls, zones, moments)
def test_the_next_one_is_after_the_moment_and_not_far(wall: str, zone: str, moment: datetime) -> None:
    at = next_after(wall, zone, moment)
    assert moment < at <= moment + timedelta(hours=50)
    assert newest_by(wall, zone, at) == at


@given(walls, zones, moments)
def test_the_newest_is_not_after_the_moment_and_none_lies_between(wall: str, zone: str, moment: datetime) -> None:
    at = newest_by(wall, zone, moment)
    assert at <= moment < next_after(wall, zone, at)


@given(walls, zones, moments)
def test_clocks_say_the_time_or_it_is_skipped_there_on_that_day(wall: str, zone: str, moment: datetime) -> None:
    local = next_after(wall, zone, moment).astimezone(ZoneInfo(zone))
    midnight = datetime(local.year, local.month, local.day, tzinfo=ZoneInfo(zone))
    clocks_change = midnight.utcoffset() != local.utcoffset() or local.hour == 0
    assert f"{local:%H:%M}" == wall or clocks_change or zone == "Pacific/Apia"


@given(walls, zones, moments)
def test_one_after_the_other_there_is_one_for_each_day(wall: str, zone: str, moment: datetime) -> None:
    days, at = [], moment
    for _ in range(10):
        at = next_after(wall, zone, at)
        days.append(day_of(at, zone))
    assert days == sorted(set(days))
    assert (days[-1] - days[0]).days in (9, 10)


def test_a_time_that_comes_twice_is_kept_the_first_time_and_once() -> None:
    first = next_after("01:30", "America/New_York", utc("2026-11-01T00:00"))
    assert first == utc("2026-11-01T05:30")
    assert next_after("01:30", "America/New_York", first) == utc("2026-11-02T06:30")


def test_a_time_that_is_skipped_comes_as_long_after_midnight_as_it_would_have() -> None:
    assert next_after("02:30", "America/New_York", utc("2026-03-08T00:00")) == utc("2026-03-08T07:30")


@pytest.mark.parametrize(
    ("at", "moment", "of_use"),
    [
        ("2026-05-01T08:00", "2026-05-01T08:00", True),
        ("2026-05-01T08:00", "2026-05-01T22:59", True),
        ("2026-05-01T08:00", "2026-05-01T23:00", False),
        ("2026-05-01T22:59", "2026-05-01T23:10", True),
        ("2026-05-01T22:59", "2026-05-01T23:20", False),
    ],
)
def test_a_missed_one_is_of_use_until_its_day_has_ended_there(at: str, moment: str, of_use: bool) -> None:
    assert timedelta(minutes=11) < LATE < timedelta(minutes=21)
    assert is_still_of_use(utc(at), "Europe/London", utc(moment)) == of_use


def test_a_day_is_the_day_on_the_clients_own_clock() -> None:
    evening = utc("2026-05-01T20:00")
    assert is_of_the_day([utc("2026-04-30T23:30")], evening, "Europe/London")
    assert not is_of_the_day([utc("2026-04-30T23:30")], evening, "UTC")
    assert not is_of_the_day([], evening, "UTC")
