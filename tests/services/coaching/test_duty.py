"""A coach's own hours: set once, followed by the clock, stood against by a word."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest

from schemas.base import now
from schemas.coaching import AvailabilityEdit, CoachAvailabilityChanged, CoachWentOffDuty, CoachWentOnDuty
from services.coaching.handlers import follow_the_hours
from services.coaching.model import Coach
from services.coaching.rules import WEEKDAYS
from tests.world import Caller, World

OFFICE = [{"start": "09:00", "end": "12:00"}, {"start": "13:00", "end": "17:00"}]
WORK = {"zone": "Europe/London", "hours": dict.fromkeys(WEEKDAYS, OFFICE)}
PATH = "/me/availability"


@pytest.fixture
def team(world: World) -> World:
    """Sam is a coach and has no hours yet."""
    world.join("coach", "sam")
    return world


@pytest.fixture
def sam(team: World) -> Caller:
    return team.caller("sam", "coach")


def edit(coach: Caller, body: dict[str, Any], edition: int = 0) -> Any:
    return coach.put(PATH, body, headers={"If-Match": f'"{edition}"'})


def set_at(world: World, moment: datetime, **body: Any) -> Coach:
    """Sam's hours, set at a moment that is not now."""

    def act(coach: Coach) -> None:
        coach.arrange(AvailabilityEdit.load(body), moment)
        coach.settle(moment)

    coach = Coach.change("sam", act)
    world.settle()
    return coach


def say(on_duty: bool, moment: datetime) -> None:
    """Sam's own word, said at a moment that is not now."""

    def act(coach: Coach) -> None:
        coach.go(on_duty, moment)
        coach.settle(moment)

    Coach.change("sam", act)


def turns(world: World) -> list[str]:
    """Every going on and off duty that was told."""
    world.settle()
    kinds = {CoachWentOnDuty: "on", CoachWentOffDuty: "off"}
    return [kinds[type(event)] for event in world.told if type(event) in kinds]


def london(hour: int, minute: int = 0, day: int = 14) -> datetime:
    """In January, when London keeps UTC. The 14th of 2026 is a Wednesday."""
    return datetime(2026, 1, day, hour, minute, tzinfo=UTC)


# -- setting


def test_what_was_set_is_read_back_and_the_rest_stays(sam: Caller) -> None:
    first = sam.get(PATH)
    assert first.json == {
        "on_duty": False,
        "do_not_disturb_until": None,
        "zone": "UTC",
        "hours": {day: [] for day in WEEKDAYS},
        "holidays": [],
        "capacity": 8,
        "next_change_at": None,
    }
    assert first.headers["ETag"] == '"0"'
    holidays = [{"first": "2026-12-24", "last": "2026-12-26"}]
    answer = edit(sam, {**WORK, "holidays": holidays, "capacity": 3})
    assert answer.status_code == 200
    assert {**WORK, "holidays": holidays, "capacity": 3}.items() <= answer.json.items()
    assert answer.headers["ETag"] == '"1"'
    assert edit(sam, {"capacity": 4}, 1).json == {**answer.json, "capacity": 4}
    assert {**sam.get(PATH).json, "next_change_at": 0} == {**answer.json, "capacity": 4, "next_change_at": 0}


def test_an_edit_names_what_it_edits_and_going_on_duty_does_not_make_it_stale(sam: Caller) -> None:
    assert sam.put(PATH, {"capacity": 3}).status_code == 428
    assert sam.put(PATH, {"on_duty": True}).status_code == 200
    assert sam.put(PATH, {"do_not_disturb_until": None}).status_code == 200
    assert edit(sam, {"capacity": 3}).status_code == 200
    assert edit(sam, {"capacity": 4}).status_code == 412
    assert sam.get(PATH).json["capacity"] == 3
    assert sam.get(PATH).json["on_duty"] is True


def test_the_toggle_alone_keeps_the_hours(sam: Caller) -> None:
    before = edit(sam, WORK).json
    for on_duty in (True, False):
        after = sam.put(PATH, {"on_duty": on_duty}).json
        assert {name: after[name] for name in ("zone", "hours", "holidays", "capacity")} == {
            name: before[name] for name in ("zone", "hours", "holidays", "capacity")
        }


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"zone": "Mars/Olympus"}, ["zone"]),
        ({"zone": None}, ["zone"]),
        ({"hours": None}, ["hours"]),
        ({"capacity": 51}, ["capacity"]),
        ({"capacity": -1}, ["capacity"]),
        ({"capacity": True}, ["capacity"]),
        ({"do_not_disturb_until": "tomorrow"}, ["do_not_disturb_until"]),
        ({"hours": {"someday": []}}, ["hours", "someday"]),
        ({"hours": {"monday": [{"start": "9:00", "end": "12:00"}]}}, ["hours", "monday", "0", "start"]),
        ({"hours": {"monday": [{"start": "24:00", "end": "24:00"}]}}, ["hours", "monday", "0", "start"]),
        ({"hours": {"monday": [{"start": "09:00", "end": "24:01"}]}}, ["hours", "monday", "0", "end"]),
        ({"hours": {"monday": [{"start": "09:00"}]}}, ["hours", "monday", "0", "end"]),
        ({"hours": {"friday": [{"start": "22:00", "end": "06:00"}]}}, ["hours", "friday", "0", "end"]),
        ({"hours": {"friday": [*OFFICE, {"start": "16:00", "end": "18:00"}]}}, ["hours", "friday", "2", "start"]),
        ({"holidays": [{"first": "2026-02-30", "last": "2026-03-01"}]}, ["holidays", "0", "first"]),
        ({"holidays": [{"first": "20260301", "last": "2026-03-01"}]}, ["holidays", "0", "first"]),
        ({"holidays": [{"first": "2026-03-02", "last": "2026-03-01"}]}, ["holidays", "0", "last"]),
    ],
    ids=str,
)
def test_each_mistake_is_named_by_its_place_and_nothing_is_kept(
    sam: Caller, body: dict[str, Any], place: list[str]
) -> None:
    before = sam.get(PATH)
    answer = edit(sam, body)
    assert answer.status_code == 422
    errors = answer.json["errors"]
    for step in place:
        assert list(errors) == [step]
        errors = errors[step]
    assert isinstance(errors, list)
    after = sam.get(PATH)
    assert (after.json, after.headers["ETag"]) == (before.json, before.headers["ETag"])


# -- following


def test_the_clock_puts_a_coach_on_and_off_duty_and_tells_each_once(team: World) -> None:
    set_at(team, london(8), **WORK)
    for hour, minute, expected in [
        (8, 59, []),
        (9, 0, ["on"]),
        (9, 1, ["on"]),
        (12, 0, ["on", "off"]),
        (13, 0, ["on", "off", "on"]),
        (17, 5, ["on", "off", "on", "off"]),
    ]:
        team.tick(london(hour, minute))
        assert turns(team) == expected, (hour, minute)


def test_a_clock_that_stood_still_over_a_whole_interval_tells_nothing_that_is_not_so(team: World) -> None:
    set_at(team, london(8), **WORK)
    team.tick(london(20))
    assert turns(team) == []
    coach = Coach.load("sam")
    assert coach is not None
    assert coach.next_change_at == london(9, day=15)


def test_hours_set_while_they_run_put_the_coach_on_duty_at_once(team: World) -> None:
    assert set_at(team, london(10), **WORK).on_duty
    assert turns(team) == ["on"]


def test_an_explicit_off_stands_until_the_next_interval_and_an_explicit_on_until_its_end(team: World) -> None:
    set_at(team, london(10), **WORK)
    say(False, london(10, 30))
    team.tick(london(12, 30))
    assert turns(team) == ["on", "off"]
    team.tick(london(13))
    assert turns(team) == ["on", "off", "on"]
    team.tick(london(17))
    say(True, london(19))
    team.tick(london(9, day=15))
    team.tick(london(11, 59, day=15))
    assert turns(team) == ["on", "off", "on", "off", "on"]
    team.tick(london(12, day=15))
    assert turns(team) == ["on", "off", "on", "off", "on", "off"]


def test_do_not_disturb_takes_a_coach_off_duty_until_it_ends_and_the_word_on_ends_it(team: World, sam: Caller) -> None:
    sam.put(PATH, {"on_duty": True})
    until = now() + timedelta(hours=1)
    answer = sam.put(PATH, {"do_not_disturb_until": until.isoformat()})
    assert (answer.json["on_duty"], turns(team)) == (False, ["on", "off"])
    assert answer.json["next_change_at"] == answer.json["do_not_disturb_until"]
    team.tick(until - timedelta(seconds=1))
    assert turns(team) == ["on", "off"]
    team.tick(until)
    assert turns(team) == ["on", "off", "on"]

    sam.put(PATH, {"do_not_disturb_until": (now() + timedelta(hours=2)).isoformat()})
    answer = sam.put(PATH, {"on_duty": True})
    assert (answer.json["on_duty"], answer.json["do_not_disturb_until"]) == (True, None)


def test_hours_that_are_taken_away_leave_the_coach_as_it_was_found(team: World, sam: Caller) -> None:
    set_at(team, london(10), **WORK)
    set_at(team, london(11), hours={})
    team.tick(london(23))
    assert turns(team) == ["on"]
    assert sam.get(PATH).json["next_change_at"] is None


def test_a_new_holiday_does_not_undo_a_word_that_still_stands(team: World) -> None:
    set_at(team, london(10), **WORK)
    say(False, london(10, 30))
    set_at(team, london(11), holidays=[{"first": "2026-01-15", "last": "2026-01-15"}])
    assert turns(team) == ["on", "off"]
    team.tick(london(13))
    assert turns(team) == ["on", "off", "on"]
    team.tick(london(17))
    coach = Coach.load("sam")
    assert coach is not None
    assert coach.next_change_at == london(9, day=16)


# -- what others are told


def test_hours_and_do_not_disturb_set_at_once_are_one_word_to_others(team: World, sam: Caller) -> None:
    always = {day: [{"start": "00:00", "end": "24:00"}] for day in WEEKDAYS}
    until = now() + timedelta(hours=1)
    assert edit(sam, {"hours": always, "do_not_disturb_until": until.isoformat()}).json["on_duty"] is False
    assert turns(team) == []
    (told,) = team.events(CoachAvailabilityChanged)
    assert told.back_at == until
    answer = sam.put(PATH, {"on_duty": True, "do_not_disturb_until": until.isoformat()})
    assert (answer.json["on_duty"], turns(team)) == (False, [])


def test_others_learn_when_the_coach_is_back_and_how_many_at_once(team: World) -> None:
    set_at(team, london(8), **WORK, capacity=2)
    team.tick(london(9))
    team.tick(london(12))
    told = [(event.capacity, event.back_at) for event in team.events(CoachAvailabilityChanged)]
    assert told == [(2, london(9)), (2, None), (2, london(13))]


def test_nothing_is_told_of_an_edit_that_changes_nothing_for_others(team: World, sam: Caller) -> None:
    assert edit(sam, {"zone": "Asia/Tokyo", "holidays": [], "capacity": 8}).status_code == 200
    assert team.events(CoachAvailabilityChanged) == []
    assert turns(team) == []


def test_a_coach_without_hours_is_never_said_to_be_back(team: World, sam: Caller) -> None:
    for on_duty in (True, False):
        sam.put(PATH, {"on_duty": on_duty})
    assert team.events(CoachAvailabilityChanged) == []


# -- races


def test_clocks_that_race_put_a_coach_on_duty_exactly_once(team: World) -> None:
    set_at(team, london(8), **WORK)
    together = Barrier(4)

    def act() -> None:
        together.wait()
        follow_the_hours(london(9))

    with ThreadPoolExecutor(4) as pool:
        for racing in [pool.submit(act) for _ in range(4)]:
            racing.result()
    assert turns(team) == ["on"]
    before = Coach.raw().find_one({"_id": "sam"})
    follow_the_hours(london(9, 1))
    assert Coach.raw().find_one({"_id": "sam"}) == before


def test_a_clock_that_is_behind_turns_nothing_back(team: World) -> None:
    set_at(team, london(8), **WORK)
    team.tick(london(9))
    team.tick(london(8, 59))
    assert turns(team) == ["on"]


def test_edits_that_race_with_the_same_tag_are_one(team: World) -> None:
    together = Barrier(4)

    def act(capacity: int) -> int:
        mine = team.caller("sam", "coach")
        together.wait()
        return int(edit(mine, {"capacity": capacity}).status_code)

    with ThreadPoolExecutor(4) as pool:
        found = sorted(pool.map(act, range(1, 5)))
    assert found == [200, 412, 412, 412]
