"""An alert ends at a human: coach, another coach on duty, the supervisors, and again until somebody answers."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from textwrap import dedent
from threading import Barrier
from typing import Any

import pytest
from prometheus_client import REGISTRY

from schemas.base import now
from schemas.coaching import AssignmentEnded, ClientAssigned, CoachWentOffDuty, CoachWentOnDuty
from schemas.people import GrantEnded
from schemas.risk import AlertEscalated, AlertRaised
from services.people.handlers import end_what_has_run_out
from services.risk.handlers import ask_the_next_human
from services.risk.model import Course
from tests.services.risk.mothers import a_desperate_day, a_rough_day
from tests.world import Caller, World, an_id, environment_of


@pytest.fixture
def cast(world: World) -> World:
    """Maya with Sam; Rosa and Kim are coaches too, and Ines supervises. Nobody is on duty."""
    world.join("client", "maya", "theo")
    world.join("coach", "sam", "rosa", "kim")
    world.join("supervisor", "ines")
    world.assign("maya", "sam")
    return world


def alert_of(client: str = "maya") -> Any:
    course = Course.load(client)
    assert course is not None
    return course.open_alert()


def bad_day(world: World, client: str = "maya") -> None:
    assert world.caller(client, "client").post("/check-ins", a_rough_day()).status_code == 201
    world.settle()


def when_due(client: str = "maya") -> datetime:
    due: datetime = alert_of(client).due_at
    return due + timedelta(milliseconds=1)


def pass_over(world: World, client: str = "maya") -> AlertEscalated:
    """Let the clock run out once; what was told."""
    before = len(world.events(AlertEscalated))
    world.tick(when_due(client))
    (told,) = world.events(AlertEscalated)[before:]
    return told


def sees(world: World, person: str, role: str, client: str = "maya") -> bool:
    return world.caller(person, role).get(f"/clients/{client}/risk").status_code == 200


def test_nothing_escalates_before_its_time(cast: World) -> None:
    cast.on_duty("rosa")
    bad_day(cast)
    cast.tick(alert_of().due_at - timedelta(seconds=1))
    assert cast.events(AlertEscalated) == []
    assert alert_of().rung == "coach"


def test_nobody_answers_and_the_cover_then_the_supervisors_are_asked_then_told_again(cast: World) -> None:
    cast.on_duty("rosa")
    bad_day(cast)

    cover = pass_over(cast)
    assert (cover.rung, cover.tell) == ("cover", ["rosa"])
    assert cover.due_at > cover.at

    supervisor = pass_over(cast)
    assert (supervisor.rung, supervisor.tell) == ("supervisor", ["ines"])

    for _ in range(2):
        again = pass_over(cast)
        assert (again.rung, again.tell) == ("supervisor", ["sam", "rosa", "ines"])
    assert alert_of().told == ["sam", "rosa", "ines"]
    assert alert_of().state == "open"


def test_a_coach_off_duty_is_not_asked_to_cover(cast: World) -> None:
    cast.on_duty("rosa")
    assert cast.caller("rosa", "coach").put("/me/availability", {"on_duty": False}).status_code == 200
    cast.settle()
    bad_day(cast)
    assert pass_over(cast).rung == "supervisor"


def test_the_coach_who_did_not_answer_is_not_their_own_cover(cast: World) -> None:
    cast.on_duty("sam")
    bad_day(cast)
    told = pass_over(cast)
    assert (told.rung, told.tell) == ("supervisor", ["ines"])


def test_the_coach_on_duty_with_fewer_open_alerts_is_asked_first(cast: World) -> None:
    cast.on_duty("kim", "rosa")
    bad_day(cast, "theo")
    (first,) = cast.events(AlertRaised)
    (busy,) = first.tell
    cast.join("client", "ravi")
    bad_day(cast, "ravi")
    assert cast.events(AlertRaised)[-1].tell == [({"kim", "rosa"} - {busy}).pop()]


def test_without_another_coach_or_a_supervisor_the_coach_is_told_again(world: World) -> None:
    world.join("client", "maya")
    world.join("coach", "sam")
    world.assign("maya", "sam")
    bad_day(world)
    for _ in range(2):
        told = pass_over(world)
        assert (told.rung, told.tell) == ("coach", ["sam"])
    assert alert_of().told == ["sam"]


def test_a_client_without_a_coach_reaches_a_coach_on_duty(cast: World) -> None:
    cast.on_duty("rosa")
    bad_day(cast, "theo")
    (raised,) = cast.events(AlertRaised)
    assert (raised.rung, raised.tell) == ("cover", ["rosa"])
    assert sees(cast, "rosa", "coach", "theo")


def test_a_client_without_a_coach_and_nobody_on_duty_reaches_the_supervisors(cast: World) -> None:
    bad_day(cast, "theo")
    (raised,) = cast.events(AlertRaised)
    assert (raised.rung, raised.tell) == ("supervisor", ["ines"])


def test_with_nobody_at_all_the_alert_stays_due_is_counted_and_goes_to_the_first_human_known(world: World) -> None:
    world.join("client", "maya")
    answer = world.caller("maya", "client").post("/check-ins", a_desperate_day())
    assert answer.status_code == 201
    assert answer.json["cards"][1]["kind"] == "crisis", "help is in the answer itself"
    (raised,) = world.events(AlertRaised)
    assert (raised.rung, raised.tell) == ("nobody", [])

    world.tick(now() + timedelta(seconds=1))
    assert REGISTRY.get_sample_value("alongside_alerts_unrouted") == 1
    assert alert_of().due_at <= now()
    assert world.events(AlertEscalated) == []

    world.join("supervisor", "ines")
    world.tick(now() + timedelta(seconds=1))
    (told,) = world.events(AlertEscalated)
    assert (told.rung, told.tell) == ("supervisor", ["ines"])
    assert REGISTRY.get_sample_value("alongside_alerts_unrouted") == 0
    (alert,) = world.caller("ines", "supervisor").get("/alerts").json["items"]
    assert alert["client_id"] == "maya"


def test_an_alert_for_which_nobody_is_known_is_not_written_again_at_every_tick(world: World) -> None:
    world.join("client", "maya")
    bad_day(world)
    before = Course.raw().find_one({"_id": "maya"})
    for _ in range(3):
        world.tick(now() + timedelta(seconds=1))
    assert Course.raw().find_one({"_id": "maya"}) == before


def test_an_alert_of_nobody_goes_to_the_coach_who_is_assigned_next(world: World) -> None:
    world.join("client", "maya")
    world.join("coach", "sam")
    bad_day(world)
    world.assign("maya", "sam")
    world.tick(now() + timedelta(seconds=1))
    (told,) = world.events(AlertEscalated)
    assert (told.rung, told.tell) == ("coach", ["sam"])


def test_whoever_covers_sees_the_client_until_the_alert_is_closed(cast: World) -> None:
    cast.on_duty("rosa")
    bad_day(cast)
    assert not sees(cast, "rosa", "coach")
    alert_id = pass_over(cast).alert_id
    assert sees(cast, "rosa", "coach")
    assert not sees(cast, "kim", "coach")

    rosa = cast.caller("rosa", "coach")
    assert rosa.post(f"/alerts/{alert_id}/acknowledge").json["acknowledged_by"] == "rosa"
    cast.settle()
    assert sees(cast, "rosa", "coach")
    assert cast.caller("sam", "coach").post(f"/alerts/{alert_id}/acknowledge").status_code == 409
    assert rosa.post(f"/alerts/{alert_id}/close", {"outcome": "talked"}).status_code == 200
    cast.settle()
    assert not sees(cast, "rosa", "coach")
    assert sees(cast, "sam", "coach")


def test_the_cover_grant_ends_by_itself_after_a_day_in_which_nobody_was_asked_again(cast: World) -> None:
    cast.on_duty("rosa")
    bad_day(cast)
    alert_id = pass_over(cast).alert_id
    cast.caller("rosa", "coach").post(f"/alerts/{alert_id}/acknowledge")
    end_what_has_run_out(now() + timedelta(hours=23))
    cast.settle()
    assert sees(cast, "rosa", "coach")
    end_what_has_run_out(now() + timedelta(hours=25))
    cast.settle()
    assert not sees(cast, "rosa", "coach")
    (ended,) = cast.events(GrantEnded)
    assert (ended.holder_id, ended.subject_id, ended.scope) == ("rosa", "maya", "cover")
    assert (alert_of().state, alert_of().told) == ("open", ["sam"]), "who sees nothing cannot be the one who is on it"


def test_whoever_is_asked_again_sees_the_client_for_as_long_as_the_alert_is_open(cast: World) -> None:
    bad_day(cast)
    alert_id = pass_over(cast).alert_id
    assert cast.caller("ines", "supervisor").post(f"/alerts/{alert_id}/acknowledge").status_code == 200
    cast.tick(now() + timedelta(hours=5))
    cast.tick(now() + timedelta(hours=25))
    assert sees(cast, "ines", "supervisor")


def test_a_supervisor_who_is_asked_again_after_the_grant_ran_out_sees_the_client_again(cast: World) -> None:
    bad_day(cast)
    alert_id = pass_over(cast).alert_id
    assert cast.caller("ines", "supervisor").post(f"/alerts/{alert_id}/acknowledge").status_code == 200
    end_what_has_run_out(now() + timedelta(hours=25))
    cast.settle()
    assert not sees(cast, "ines", "supervisor")
    assert cast.caller("maya", "client").post("/check-ins", a_desperate_day()).status_code == 201
    told = pass_over(cast)
    assert (told.alert_id, told.tell) == (alert_id, ["ines"])
    assert sees(cast, "ines", "supervisor")


def test_the_supervisor_who_was_asked_sees_the_client(cast: World) -> None:
    bad_day(cast)
    assert not sees(cast, "ines", "supervisor")
    pass_over(cast)
    assert sees(cast, "ines", "supervisor")


def test_a_coach_with_two_assignments_of_one_client_stays_the_coach_when_one_ends(cast: World) -> None:
    second = cast.assign("maya", "sam")
    assert cast.caller("ines", "supervisor").post(f"/assignments/{second}/end").status_code == 200
    cast.settle()
    assert sees(cast, "sam", "coach")
    bad_day(cast)
    (raised,) = cast.events(AlertRaised)
    assert (raised.rung, raised.tell) == ("coach", ["sam"])


def test_after_the_assignment_ended_the_coach_is_asked_no_more(cast: World) -> None:
    (assigned,) = cast.events(ClientAssigned)
    cast.caller("ines", "supervisor").post(f"/assignments/{assigned.assignment_id}/end")
    cast.settle()
    assert not sees(cast, "sam", "coach")
    bad_day(cast)
    (raised,) = cast.events(AlertRaised)
    assert raised.tell == ["ines"]


def test_the_newest_coach_is_asked_first(cast: World) -> None:
    cast.assign("maya", "rosa")
    bad_day(cast)
    (raised,) = cast.events(AlertRaised)
    assert raised.tell == ["rosa"]


def test_an_assignment_heard_twice_is_one(cast: World) -> None:
    (assigned,) = cast.events(ClientAssigned)
    ended = AssignmentEnded(
        id=an_id(), at=now(), version=2, assignment_id=assigned.assignment_id, client_id="maya", coach_id="sam"
    )
    cast.publish(ended, assigned)
    cast.settle()
    course = Course.load("maya")
    assert course is not None
    assert course.coaches() == []


def test_duty_follows_the_newest_word_of_a_coach_however_late_the_older_comes(cast: World) -> None:
    off = CoachWentOffDuty(id=an_id(), at=now(), version=9, coach_id="rosa")
    late = CoachWentOnDuty(id=an_id(), at=now(), version=8, coach_id="rosa")
    cast.publish(off, late)
    cast.settle()
    bad_day(cast, "theo")
    (raised,) = cast.events(AlertRaised)
    assert raised.tell == ["ines"]


def test_deadlines_that_race_in_one_process_escalate_exactly_once(cast: World) -> None:
    cast.on_duty("rosa", "kim")
    bad_day(cast)
    moment = when_due()
    together = Barrier(4)

    def act() -> None:
        together.wait()
        ask_the_next_human(moment)

    with ThreadPoolExecutor(4) as pool:
        for racing in [pool.submit(act) for _ in range(4)]:
            racing.result()
    (told,) = cast.events(AlertEscalated)
    assert told.rung == "cover"
    assert alert_of().told == ["sam", *told.tell]


RACER = """
    import os, sys
    from datetime import datetime
    from infra.settings import read_settings
    from services.risk import service

    service.load().open(read_settings())
    service.store.ping()
    from services.risk.handlers import ask_the_next_human

    print("ready", flush=True)
    sys.stdin.readline()
    ask_the_next_human(datetime.fromisoformat(sys.argv[1]))
"""


def test_deadlines_that_race_in_two_processes_escalate_exactly_once(cast: World) -> None:
    cast.on_duty("rosa", "kim")
    bad_day(cast)
    command = [sys.executable, "-c", dedent(RACER), when_due().isoformat()]
    racers = [
        subprocess.Popen(
            command, env=environment_of(cast.settings), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for racer in racers:
        with racer:
            assert racer.wait(60) == 0
    # Their outboxes are for whoever relays; nobody does there, so the sweep here does.
    course = Course.raw().find_one({"_id": "maya"})
    assert course is not None
    told = [entry for entry in course["outbox"] if entry["headers"]["ce_type"] == AlertEscalated.type_name()]
    assert len(told) == 1
    assert alert_of().rung == "cover"
    assert len(alert_of().told) == 2


def test_a_stranger_who_was_never_asked_has_no_alerts(cast: World) -> None:
    bad_day(cast)
    stranger: Caller = cast.caller("kim", "coach")
    assert stranger.get("/alerts").json == {"items": [], "next": None}
