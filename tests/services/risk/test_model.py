"""A client's course, whatever happens in it and in whatever order. No store: a course decides in memory."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.base import Event, decode, now
from schemas.catalogue import EVENTS
from schemas.risk import AlertEscalated, AlertRaised, AlertWorsened, Band
from services.risk import service
from services.risk.model import CheckIn, Course, Ladder, WrongState
from services.risk.rules import Verdict, worse

service.load()
SECONDS = {"urgent": 300, "high": 1800}
people = st.lists(st.sampled_from(["sam", "rosa", "kim", "ines", "otto"]), max_size=3, unique=True)
ladders = st.builds(Ladder, on_duty=people, supervisors=people, seconds=st.just(SECONDS))
bands = st.sampled_from(["steady", "watch", "high", "urgent"])
acts = st.lists(
    st.one_of(
        st.tuples(st.just("observe"), bands, ladders),
        st.tuples(st.just("escalate"), st.booleans(), ladders),
        st.tuples(st.sampled_from(["acknowledge", "close"]), st.sampled_from(["sam", "rosa"])),
        st.tuples(st.sampled_from(["assign", "release"]), st.sampled_from(["sam", "rosa"])),
    ),
    max_size=25,
)


def a_check_in(number: int, band: Band) -> CheckIn:
    return CheckIn(id=f"c{number}", at=now(), received_at=now(), band=band, fingerprint="x")


def told(course: Course) -> list[Event]:
    return [decode(entry["value"], entry["headers"], EVENTS) for entry in course._recorded()]


def do(course: Course, number: int, act: tuple[Any, ...]) -> None:
    alert = course.open_alert()
    if act[0] == "observe":
        course.observe(a_check_in(number, act[1]), Verdict(act[1], ["why"]), act[2])
    elif act[0] == "escalate":
        course.escalate(now() + timedelta(days=1 if act[1] else -1), act[2])
    elif act[0] == "assign":
        course.assign(f"a{number}", act[1])
    elif act[0] == "release":
        theirs = [kept["id"] for kept in course.assignments if kept["coach"] == act[1] and not kept["ended"]]
        course.release(theirs[0] if theirs else f"a{number}", act[1])
    elif alert is not None:
        try:
            course.acknowledge(alert.id, act[1]) if act[0] == "acknowledge" else course.close(
                alert.id, act[1], "talked"
            )
        except WrongState:
            assert alert.state != "open"


@settings(max_examples=200, deadline=None)
@given(acts)
def test_whatever_happens_a_bad_day_has_a_human_or_a_running_clock(acts: list[tuple[Any, ...]]) -> None:
    course = Course(id="maya")
    for number, act in enumerate(acts):
        before, said = course.open_alert(), len(told(course))
        do(course, number, act)
        alert = course.open_alert()

        assert sum(kept.state != "closed" for kept in course.alerts) <= 1
        for kept in course.alerts:
            assert (kept.state == "open") == (kept.due_at is not None), "open means that a clock runs"
            assert (kept.state == "acknowledged") == bool(kept.acknowledged_by and kept.state != "closed")
            assert (kept.rung == "nobody") == (not kept.told), "nobody is told only where nobody is known"
            assert len(set(kept.told)) == len(kept.told)
        if act[0] == "observe" and worse(act[1], "watch"):
            assert alert is not None
            assert not worse(act[1], alert.band)
        if before is not None and alert is not None and act[0] != "close":
            assert alert.id == before.id
            assert not worse(before.band, alert.band), "an alert never calms down by itself"
        for event in told(course)[said:]:
            if isinstance(event, (AlertRaised, AlertWorsened, AlertEscalated)):
                assert alert is not None
                assert set(event.tell) <= set(alert.told), "whoever is told may read it"
                assert event.tell or event.rung == "nobody"


@pytest.mark.parametrize("band", ["high", "urgent"])
def test_a_bad_day_is_told_in_the_same_write_that_keeps_it(band: Band) -> None:
    course = Course(id="maya")
    course.assign("a", "sam")
    course.observe(a_check_in(1, band), Verdict(band, ["why"]), Ladder([], [], SECONDS))
    assert [type(event).__name__ for event in told(course)] == ["CheckInRecorded", "AlertRaised"]
    assert {event.version for event in told(course)} == {1}
    (alert,) = course.alerts
    assert alert.due_at - alert.raised_at == timedelta(seconds=SECONDS[band])
