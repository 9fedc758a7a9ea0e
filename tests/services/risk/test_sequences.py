"""No sequence of check-ins, repeats and lost answers leaves an urgent day without a human or a running clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Literal
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.errors import AutoReconnect

from schemas.base import now
from schemas.fields import written
from schemas.risk import AlertRaised, CheckInRecorded
from services.risk.model import Course
from tests.services.risk.mothers import a_check_in, a_desperate_day, a_rough_day
from tests.world import Caller, World, an_id

Fault = Literal["none", "write lost", "answer lost"]
DAYS = {"calm": a_check_in, "rough": a_rough_day, "desperate": a_desperate_day}

said = st.tuples(
    st.just("say"),
    st.sampled_from(sorted(DAYS)),
    st.sampled_from(["none", "write lost", "answer lost"]),
    st.integers(0, 3),
)
done = st.tuples(st.sampled_from(["acknowledge", "close", "repeat", "tick"]), st.just(""), st.just("none"), st.just(0))
acts = st.lists(said | done, min_size=1, max_size=8)


@contextmanager
def failing(fault: Fault) -> Iterator[None]:
    """The next write of a course is lost, or is made and its answer is lost; those after it go through."""
    if fault == "none":
        yield
        return
    commit, pending = Course.commit, [fault]

    def broken(self: Course, cause: str | None = None) -> None:
        lost = pending.pop() if pending else None
        if lost == "write lost":
            raise AutoReconnect
        commit(self, cause)
        if lost == "answer lost":
            raise AutoReconnect

    with patch.object(Course, "commit", broken):
        yield


def say(client: Caller, day: dict[str, Any], fault: Fault) -> Any:
    """As a phone does it: the same check-in again until it is answered."""
    with failing(fault):
        while (answer := client.post("/check-ins", day)).status_code == 503:
            pass
    assert answer.status_code in (200, 201), answer.text
    return answer.json


@pytest.fixture
def cast(world: World) -> World:
    world.join("coach", "sam")
    world.join("supervisor", "ines")
    return world


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts)
def test_whatever_is_said_repeated_and_lost_an_urgent_day_has_a_human_or_a_running_clock(
    cast: World, acts: list[tuple[str, str, Fault, int]]
) -> None:
    name = an_id()
    cast.join("client", name)
    cast.assign(name, "sam")
    client, sam = cast.caller(name, "client"), cast.caller("sam", "coach")
    sent: list[dict[str, Any]] = []
    unanswered = False
    for act, kind, fault, ago in acts:
        if act == "say":
            sent.append(DAYS[kind](at=written(now() - timedelta(days=ago))))
            band = say(client, sent[-1], fault)["band"]
            unanswered = unanswered or band in ("high", "urgent")
        elif act == "repeat" and sent:
            assert client.post("/check-ins", sent[-1]).status_code == 200
        elif act == "tick":
            cast.tick(now() + timedelta(hours=1))
        elif (alert := open_alert(name)) is not None:
            body = {"outcome": "talked"} if act == "close" else None
            assert sam.post(f"/alerts/{alert.id}/{act}", body).status_code in (200, 409)
            unanswered = unanswered and act != "close"
        alert = open_alert(name)
        assert (alert is not None) == unanswered
        if alert is not None:
            assert alert.next_at is not None
            assert alert.told == ["sam"] or "ines" in alert.told
    recorded = cast.events(CheckInRecorded, lambda event: event.client_id == name)
    assert sorted(event.check_in_id for event in recorded) == sorted(day["id"] for day in sent)
    course = Course.load(name)
    assert course is None or len(cast.events(AlertRaised, lambda e: e.client_id == name)) == len(course.alerts)


def open_alert(client: str) -> Any:
    course = Course.load(client)
    return course.open_alert() if course else None
