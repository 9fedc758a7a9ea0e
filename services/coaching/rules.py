"""When a coach answers: the coach's own hours, and the coach's own word. Judgement only; nothing is kept or told here.

Hours are wall times in the coach's zone.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from schemas.clocks import moment_of

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# How far ahead hours are read. Whoever is away for longer is looked after again then.
AHEAD = timedelta(days=400)


class Duty(NamedTuple):
    """All that decides whether a coach answers.

    Attributes:
        said: the coach's own last word: on or off.
        holds_until: how long that word stands against the hours; None: it does not.
        quiet_until: do not disturb until then.
        zone: IANA name.
        hours: by weekday, intervals ``{"start": "HH:MM", "end": "HH:MM"}``; without any, the word alone decides.
        holidays: ``{"first": "YYYY-MM-DD", "last": "YYYY-MM-DD"}``, days without hours.
    """

    said: bool
    holds_until: datetime | None
    quiet_until: datetime | None
    zone: str
    hours: Mapping[str, Sequence[Mapping[str, str]]]
    holidays: Sequence[Mapping[str, str]]

    @property
    def has_hours(self) -> bool:
        return any(self.hours.values())


class Span(NamedTuple):
    """From ``start`` up to and without ``end``, in UTC."""

    start: datetime
    end: datetime


def answers(duty: Duty, moment: datetime) -> bool:
    """Whether the coach answers at this moment."""
    if duty.quiet_until is not None and moment < duty.quiet_until:
        return False
    if not duty.has_hours or (duty.holds_until is not None and moment < duty.holds_until):
        return duty.said
    return any(span.start <= moment < span.end for span in _given(duty, moment, timedelta(days=2)))


def next_change(duty: Duty, moment: datetime) -> datetime | None:
    """When ``answers`` will first say otherwise than at this moment; None when that is not within ``AHEAD``."""
    now = answers(duty, moment)
    return next((edge for edge in _edges(duty, moment) if answers(duty, edge) != now), None)


def stands_until(duty: Duty, said: bool, moment: datetime) -> datetime | None:
    """How long a word said at this moment stands against the hours.

    Off stands until hours begin again, on until hours end: so nobody stays off, or on, because a day was different.
    None without hours.
    """
    if not duty.has_hours:
        return None
    edges = (span.end if said else span.start for span in spans(duty, moment) if said or span.start > moment)
    return next(edges, moment + AHEAD)


def spans(duty: Duty, moment: datetime) -> Iterator[Span]:
    """The times that the hours give, those that end after ``moment``, in order. No two touch."""
    held: Span | None = None
    for span in _given(duty, moment, AHEAD):
        if held is not None and span.start > held.end:
            yield held
            held = None
        held = span if held is None else Span(held.start, max(held.end, span.end))
    if held is not None:
        yield held


def mistakes(hours: Mapping[str, Sequence[Mapping[str, str]]]) -> dict[str, dict[str, dict[str, list[str]]]]:
    """What cannot be meant, by weekday, place in its list (from 0) and field: an end before its start, an overlap."""
    found = {day: _mistakes_of_a_day(intervals) for day, intervals in hours.items()}
    return {day: wrong for day, wrong in found.items() if wrong}


def _mistakes_of_a_day(intervals: Sequence[Mapping[str, str]]) -> dict[str, dict[str, list[str]]]:
    wrong: dict[str, dict[str, list[str]]] = {}
    ended = "00:00"
    for place, interval in sorted(enumerate(intervals), key=lambda numbered: (numbered[1]["start"], numbered[0])):
        if interval["end"] <= interval["start"]:
            wrong[str(place)] = {"end": ["Must be after start. A night is two: until 24:00, and from 00:00."]}
        elif interval["start"] < ended:
            wrong[str(place)] = {"start": ["Must not be before the end of another one."]}
        ended = max(ended, interval["end"])
    return wrong


def _edges(duty: Duty, moment: datetime) -> Iterator[datetime]:
    """Every moment from here on at which something may change, in order."""
    words = sorted(until for until in (duty.quiet_until, duty.holds_until) if until is not None and until > moment)
    hours = (edge for span in spans(duty, moment) for edge in span if edge > moment)
    return heapq.merge(words, hours)


def _given(duty: Duty, moment: datetime, ahead: timedelta) -> Iterator[Span]:
    """The single intervals that end after ``moment``, in order. Where clocks change, two may touch or overlap."""
    zone = ZoneInfo(duty.zone)
    yesterday = moment.astimezone(zone).date() - timedelta(days=1)
    for number in range(ahead.days + 1):
        day = yesterday + timedelta(days=number)
        if any(holiday["first"] <= day.isoformat() <= holiday["last"] for holiday in duty.holidays):
            continue
        for interval in sorted(duty.hours.get(WEEKDAYS[day.weekday()], ()), key=lambda interval: interval["start"]):
            span = Span(moment_of(day, interval["start"], zone), moment_of(day, interval["end"], zone))
            if span.start < span.end and span.end > moment:
                yield span
