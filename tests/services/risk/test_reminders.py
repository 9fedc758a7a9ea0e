"""A client is reminded of the check-in once a day, at a time of the own clock, and only when it is of use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest

from schemas.base import now
from schemas.fields import EARLIEST, LATEST, written
from schemas.risk import CheckInDue, ReminderEdit
from services.risk.reminder_handlers import remind
from services.risk.reminder_model import Reminder
from tests.services.risk.mothers import a_check_in, a_rough_day
from tests.world import Caller, World

DAY = timedelta(days=1)


def wish(caller: Caller, at: str = "20:00", timezone: str = "UTC", on: bool = True) -> Any:
    answer = caller.put("/me/reminder", {"at": at, "timezone": timezone, "on": on})
    assert answer.status_code == 200, answer.text
    return answer.json


def due(client: str = "maya") -> datetime:
    reminder = Reminder.load(client)
    assert reminder is not None
    moment: datetime = reminder.due_at
    return moment


def reminded(world: World, moment: datetime) -> list[str]:
    """Whom a round at this moment reminds."""
    before = len(world.events(CheckInDue))
    remind(moment)
    return [event.client_id for event in world.events(CheckInDue)[before:]]


def test_before_it_is_set_there_is_none(maya: Caller) -> None:
    answer = maya.get("/me/reminder")
    assert (answer.status_code, answer.json) == (200, {"at": None, "timezone": None, "on": False, "due_at": None})


def test_a_client_sets_time_and_zone_and_reads_when_the_next_is_due(maya: Caller) -> None:
    said = wish(maya, "07:15", "Asia/Kathmandu")
    assert said == maya.get("/me/reminder").json
    assert (said["at"], said["timezone"], said["on"]) == ("07:15", "Asia/Kathmandu", True)
    assert said["due_at"] == written(due())
    assert now() < due() <= now() + DAY
    assert f"{due():%H:%M}" == "01:30"


def test_switched_off_it_keeps_the_time_and_reminds_of_nothing(cast: World, maya: Caller) -> None:
    wish(maya)
    said = wish(maya, on=False)
    assert (said["at"], said["on"], said["due_at"]) == ("20:00", False, None)
    assert reminded(cast, now() + 3 * DAY) == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"at": "24:00"}, "at"),
        ({"at": "8:00"}, "at"),
        ({"at": None}, "at"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "../etc/passwd"}, "timezone"),
        ({"on": "yes"}, "on"),
        ({"day": "monday"}, "day"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(maya: Caller, wrong: dict[str, Any], field: str) -> None:
    answer = maya.put("/me/reminder", {"at": "20:00", "timezone": "UTC", "on": True, **wrong})
    assert (answer.status_code, list(answer.json["errors"])) == (422, [field])
    assert Reminder.raw().count_documents({}) == 0


@pytest.mark.parametrize("missing", ["at", "timezone", "on"])
def test_it_is_given_whole(maya: Caller, missing: str) -> None:
    body = {"at": "20:00", "timezone": "UTC", "on": True}
    del body[missing]
    answer = maya.put("/me/reminder", body)
    assert (answer.status_code, list(answer.json["errors"])) == (422, [missing])


@pytest.mark.parametrize(("who", "role"), [("sam", "coach"), ("ada", "admin"), ("ines", "supervisor")])
def test_only_clients_have_one_and_only_their_own(cast: World, maya: Caller, who: str, role: str) -> None:
    wish(maya)
    caller = cast.caller(who, role)
    assert caller.get("/me/reminder").status_code == 404
    assert caller.put("/me/reminder", {"at": "20:00", "timezone": "UTC", "on": True}).status_code == 404
    assert cast.caller("theo", "client").get("/me/reminder").json["at"] is None


def test_it_goes_out_once_a_day_to_the_client_alone_and_carries_no_word(cast: World, maya: Caller) -> None:
    wish(maya)
    first = due()
    assert reminded(cast, first - timedelta(seconds=1)) == []
    assert reminded(cast, first) == ["maya"]
    assert reminded(cast, first + timedelta(hours=1)) == []
    assert due() == first + DAY
    assert reminded(cast, first + DAY) == ["maya"]
    one, another = cast.events(CheckInDue)
    assert one.tell == ["maya"]
    assert one.reminder_id == another.reminder_id != "maya"


def test_of_two_processes_that_find_it_due_at_once_one_reminds(cast: World, maya: Caller) -> None:
    wish(maya)
    moment, together = due(), Barrier(4)

    def round_of_a_process(_: int) -> None:
        together.wait()
        remind(moment)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(round_of_a_process, range(4)))
    assert [event.client_id for event in cast.events(CheckInDue)] == ["maya"]


def three_days_ago(client: str = "maya") -> datetime:
    """Put what is due three days back, so that check-ins can be made around it."""
    moment = due(client) - 3 * DAY
    Reminder.change(client, lambda reminder: setattr(reminder, "due_at", moment))
    return moment


def test_whoever_has_checked_in_on_that_day_is_not_reminded_of_it(cast: World, maya: Caller) -> None:
    wish(maya)
    evening = three_days_ago()
    assert maya.post("/check-ins", a_check_in(at=written(evening - timedelta(hours=2)))).status_code == 201
    assert reminded(cast, evening) == []
    assert reminded(cast, evening + DAY) == ["maya"]


def test_the_day_of_a_check_in_is_that_of_its_own_moment_on_the_clients_clock(cast: World, maya: Caller) -> None:
    wish(maya, "20:00", "Pacific/Kiritimati")
    evening = three_days_ago()
    after_midnight, before_midnight = evening - timedelta(hours=19.5), evening + timedelta(hours=3.5)
    assert after_midnight.date() < evening.date(), "in UTC it is the day before"
    maya.post("/check-ins", a_check_in(at=written(after_midnight)))
    assert reminded(cast, evening) == []
    maya.post("/check-ins", a_check_in(at=written(before_midnight)))
    assert reminded(cast, evening + DAY) == ["maya"]


def test_while_a_human_is_asked_to_be_in_touch_nothing_talks_over_them(cast: World, maya: Caller) -> None:
    yesterday = written(now() - 2 * DAY)
    assert maya.post("/check-ins", a_rough_day(at=yesterday)).status_code == 201
    cast.settle()
    wish(maya)
    first = due()
    assert reminded(cast, first) == []
    sam = cast.caller("sam", "coach")
    (alert,) = sam.get("/alerts").json["items"]
    assert sam.post(f"/alerts/{alert['id']}/acknowledge").status_code == 200
    assert reminded(cast, first + DAY) == []
    assert sam.post(f"/alerts/{alert['id']}/close", {"outcome": "talked"}).status_code == 200
    assert reminded(cast, first + 2 * DAY) == ["maya"]


def test_after_days_of_standing_still_one_of_the_same_day_goes_out_and_none_of_the_days_before(
    cast: World, maya: Caller
) -> None:
    wish(maya)
    first = due()
    back = first + 5 * DAY + timedelta(hours=3)
    assert reminded(cast, back) == ["maya"]
    assert reminded(cast, back + timedelta(minutes=1)) == []
    assert due() == first + 6 * DAY


def test_what_was_missed_on_another_day_does_not_go_out_the_morning_after(cast: World, maya: Caller) -> None:
    wish(maya)
    first = due()
    assert reminded(cast, first + timedelta(hours=9)) == []
    assert due() == first + DAY


def test_another_time_on_a_day_that_had_its_reminder_begins_the_day_after() -> None:
    evening = datetime(2026, 5, 1, 20, tzinfo=UTC)
    reminder = Reminder(id="maya")
    for at, moment, next_one in (
        ("20:00", evening - timedelta(hours=1), evening),
        ("20:30", evening - timedelta(minutes=5), evening + timedelta(minutes=30)),
        ("20:00", evening - timedelta(minutes=1), evening),
    ):
        reminder.arrange(ReminderEdit(at=at, timezone="UTC", on=True), moment)
        assert reminder.due_at == next_one
    reminder.ring(evening, [], is_with_a_human=False)
    assert reminder.sent_at == evening
    reminder.arrange(ReminderEdit(at="21:00", timezone="UTC", on=True), evening + timedelta(minutes=1))
    assert reminder.due_at == evening + DAY + timedelta(hours=1)


def test_each_client_is_reminded_at_their_own_time(cast: World, maya: Caller) -> None:
    wish(maya, "20:00", "Europe/London")
    wish(cast.caller("theo", "client"), "20:00", "America/New_York")
    sooner = min(("maya", "theo"), key=due)
    assert due("maya") != due("theo")
    assert reminded(cast, due(sooner)) == [sooner]


@pytest.mark.parametrize("zone", ["Pacific/Pago_Pago", "Asia/Manila", "Pacific/Kiritimati", "America/Metlakatla"])
def test_no_moment_that_somebody_says_keeps_anybody_from_being_reminded(cast: World, maya: Caller, zone: str) -> None:
    for at, status in (
        ("0001-01-01T00:00:00Z", 422),
        (written(EARLIEST), 201),
        ("9999-12-31T23:59:59Z", 422),
        (written(LATEST), 201),
    ):
        answer = maya.post("/check-ins", a_check_in(at=at))
        assert answer.status_code == status, at
        assert status == 201 or list(answer.json["errors"]) == ["at"]
    wish(maya, "20:00", zone)
    wish(cast.caller("theo", "client"), "20:00", zone)
    # A day later, because a check-in of the year 9999 is about the day on which it came.
    assert sorted(reminded(cast, due() + DAY)) == ["maya", "theo"]
