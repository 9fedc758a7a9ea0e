"""A client's course, whatever happens in it and in whatever order. No store: a course decides in memory."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.base import Event, decode, now
from schemas.catalogue import EVENTS
from schemas.risk import AlertEscalated, AlertHandedOver, AlertRaised, AlertWorsened, Band, Closing
from services.risk import service
from services.risk.alert_model import WrongState
from services.risk.check_in_model import CheckIn
from services.risk.ladder_rules import Clock, Ladder
from services.risk.model import Course
from services.risk.rules import Verdict, worse

service.load()
SECONDS = {"urgent": 300, "high": 1800}
people = st.lists(st.sampled_from(["sam", "rosa", "kim", "ines", "otto"]), max_size=3, unique=True)
FOLLOW_UP = 14400


def a_clock(later: timedelta = timedelta(0)) -> Clock:
    return Clock(now() + later, SECONDS, FOLLOW_UP)


def a_ladder(on_duty: list[str], supervisors: list[str], on_call: list[str]) -> Ladder:
    return Ladder(
        a_clock(), lambda told: [p for p in on_duty if p not in told][:1], lambda: supervisors, lambda: on_call
    )


ladders = st.builds(a_ladder, people, people, people)
bands = st.sampled_from(["steady", "watch", "high", "urgent"])
acts = st.lists(
    st.one_of(
        st.tuples(st.just("observe"), bands, ladders, st.booleans()),
        st.tuples(st.just("escalate"), st.booleans(), ladders),
        st.tuples(st.sampled_from(["acknowledge", "close", "give up"]), st.sampled_from(["sam", "rosa"])),
        st.tuples(st.just("hand over"), st.sampled_from(["sam", "rosa"]), st.sampled_from(["kim", "ines"])),
        st.tuples(st.sampled_from(["assign", "release", "withdraw"]), st.sampled_from(["sam", "rosa"])),
    ),
    max_size=25,
)


def a_check_in(number: int, band: Band) -> CheckIn:
    return CheckIn(id=f"c{number}", at=now(), received_at=now(), fingerprint=band)


def told(course: Course) -> list[Event]:
    return [decode(entry["value"], entry["headers"], EVENTS) for entry in course._recorded()]


def do(course: Course, number: int, act: tuple[Any, ...]) -> None:
    alert = course.open_alert()
    if act[0] == "observe":
        course.observe(a_check_in(number, act[1]), Verdict(act[1], ["why"], lasting=act[3]), lambda: act[2])
    elif act[0] == "escalate":
        clock = a_clock(timedelta(days=1 if act[1] else -1))
        course.escalate(act[2]._replace(clock=clock))
    elif act[0] == "assign":
        course.assign(f"a{number}", act[1])
    elif act[0] == "release":
        theirs = [kept["id"] for kept in course.assignments if kept["coach"] == act[1] and not kept["ended"]]
        course.release(theirs[0] if theirs else f"a{number}", act[1], now())
    elif act[0] == "withdraw":
        course.withdraw(act[1], now())
    elif alert is not None:
        try:
            do_alert(course, alert.id, act)
        except WrongState:
            assert alert.state != "open" or act[0] == "give up"


def do_alert(course: Course, alert_id: str, act: tuple[Any, ...]) -> None:
    if act[0] == "acknowledge":
        course.acknowledge(alert_id, act[1], a_clock())
    elif act[0] == "hand over":
        course.hand_over(alert_id, act[1], act[2], a_clock())
    else:
        course.close(alert_id, act[1], Closing(outcome="talked" if act[0] == "close" else "no_answer"), now())


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
            assert (kept.state == "closed") == (kept.next_at is None), "until it is closed a clock runs"
            assert (kept.state == "open") == (kept.due_at is not None), "a phone sees the clock of an open one"
            assert kept.trail, "every step is in the trail"
            assert (kept.state == "acknowledged") == bool(kept.acknowledged_by and kept.state != "closed")
            assert (kept.rung == "nobody") == (not kept.told), "nobody is told only where nobody is known"
            assert len(set(kept.told)) == len(kept.told)
        if act[0] == "observe" and worse(act[1], "watch") and (alert or not act[3]):
            assert alert is not None
            assert not worse(act[1], alert.band)
        if before is not None and alert is not None:
            assert alert.id == before.id
            assert not worse(before.band, alert.band), "an alert never calms down by itself"
        for event in told(course)[said:]:
            if isinstance(event, (AlertRaised, AlertWorsened, AlertEscalated, AlertHandedOver)):
                assert alert is not None
                assert set(event.tell) <= set(alert.told), "whoever is told may read it"
                assert event.tell or event.rung == "nobody"


@pytest.mark.parametrize("band", ["high", "urgent"])
def test_a_bad_day_is_told_in_the_same_write_that_keeps_it(band: Band) -> None:
    course = Course(id="maya")
    course.assign("a", "sam")
    course.observe(a_check_in(1, band), Verdict(band, ["why"]), lambda: a_ladder([], [], []))
    assert [type(event).__name__ for event in told(course)] == ["CheckInRecorded", "AlertRaised"]
    assert {event.version for event in told(course)} == {1}
    (alert,) = course.alerts
    assert alert.due_at - alert.raised_at == timedelta(seconds=SECONDS[band])


def a_course(*bands: Band) -> Course:
    course = Course(id="maya")
    course.assign("a", "sam")
    for number, band in enumerate(bands):
        course.observe(a_check_in(number, band), Verdict(band, ["why"]), lambda: a_ladder([], ["ines"], []))
    return course


def close(course: Course) -> None:
    alert = course.open_alert()
    assert alert is not None
    course.close(alert.id, "sam", Closing(outcome="talked"), now())


def test_weeks_that_a_human_has_looked_at_raise_no_second_alert_within_seven_days() -> None:
    weeks = Verdict("high", ["the weeks"], lasting=True)
    course = a_course()
    course.observe(a_check_in(1, "high"), weeks, lambda: a_ladder([], [], []))
    close(course)
    course.observe(a_check_in(2, "high"), weeks, lambda: a_ladder([], [], []))
    assert course.open_alert() is None
    course.alerts[0].closed_at -= timedelta(days=8)
    course.observe(a_check_in(3, "high"), weeks, lambda: a_ladder([], [], []))
    assert course.open_alert() is not None


def test_what_is_said_today_raises_an_alert_however_lately_one_was_closed() -> None:
    course = a_course("high")
    close(course)
    course.observe(a_check_in(9, "high"), Verdict("high", ["why"]), lambda: a_ladder([], [], []))
    assert course.open_alert() is not None


def test_nobody_reached_does_not_close_an_urgent_alert() -> None:
    course = a_course("urgent")
    alert = course.open_alert()
    assert alert is not None
    with pytest.raises(WrongState, match="Nobody was reached"):
        course.close(alert.id, "sam", Closing(outcome="no_answer"), now())
    assert alert.state == "open"


def test_a_night_in_which_nobody_answers_is_one_line_of_the_trail_with_a_count() -> None:
    course = a_course("urgent")
    for hours in range(1, 40):
        course.escalate(a_ladder([], ["ines"], [])._replace(clock=a_clock(timedelta(hours=hours))))
    alert = course.open_alert()
    assert alert is not None
    assert [(step["what"], step["rung"], step["times"]) for step in alert.trail] == [
        ("raised", "coach", 1),
        ("asked", "supervisor", 1),
        ("asked", "supervisor", 38),
    ]


def test_a_corrected_check_in_is_kept_and_counts_no_more() -> None:
    course = a_course("steady")
    course.correct("c0", a_check_in(1, "watch"), Verdict("watch", ["why"]), lambda: a_ladder([], [], []))
    assert [kept.id for kept in course.check_ins] == ["c0", "c1"]
    assert [kept.id for kept in course.valid()] == ["c1"]
    assert (course.check_in("c0").corrected_by, course.check_in("c1").corrects) == ("c1", "c0")
    with pytest.raises(WrongState):
        course.correct("c0", a_check_in(2, "watch"), Verdict("watch", ["why"]), lambda: a_ladder([], [], []))


def test_a_correction_never_takes_back_the_asking_of_a_human() -> None:
    course = a_course("urgent")
    course.correct("c0", a_check_in(1, "steady"), Verdict("steady", []), lambda: a_ladder([], [], []))
    alert = course.open_alert()
    assert alert is not None
    assert (alert.band, alert.state) == ("urgent", "open")
    assert alert.trail[-1]["what"] == "corrected"
