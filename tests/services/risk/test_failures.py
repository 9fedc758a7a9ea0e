"""Where an alert ends when something fails: one test for each row of the table in docs/alerts.md."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from prometheus_client import REGISTRY

from infra.log import LogDown
from infra.store import clock_of
from infra.worker import Relay
from schemas.base import now
from schemas.coaching import ClientAssigned
from schemas.fields import written
from schemas.people import GrantGiven
from schemas.risk import AlertEscalated, AlertRaised
from services.risk import service
from services.risk.handlers import ask_the_next_human
from services.risk.model import Course
from tests.services.risk.mothers import a_check_in, a_desperate_day, a_rough_day
from tests.world import World, an_id, environment_of

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def cast(world: World) -> World:
    """Maya with Sam; Rosa and Kim are coaches too, Ines supervises, and Kim is on call. Nobody is on duty."""
    world.join("client", "maya", "theo")
    world.join("coach", "sam", "rosa", "kim")
    world.join("supervisor", "ines")
    world.assign("maya", "sam")
    named = world.caller("ines", "supervisor").put("/on-call", {"people": ["kim"]}, headers={"If-Match": '"0"'})
    assert named.status_code == 200
    return world


def check_in(world: World, day: dict[str, Any] | None = None, client: str = "maya") -> Any:
    """A bad day is taken; the alert in the store."""
    assert world.caller(client, "client").post("/check-ins", day or a_desperate_day()).status_code == 201
    return alert_of(client)


def alert_of(client: str = "maya") -> Any:
    course = Course.load(client)
    assert course is not None
    return course.open_alert()


def pass_over(world: World, client: str = "maya") -> tuple[str, list[str]]:
    """Let the clock run out once; the rung that was asked, and who."""
    world.tick(alert_of(client).next_at + timedelta(milliseconds=1))
    told = world.events(AlertEscalated)[-1]
    return told.rung, told.tell


def test_every_row_of_the_table_in_the_docs_names_a_test_that_exists() -> None:
    table = (ROOT / "docs" / "alerts.md").read_text()
    rows = re.findall(r"^\| (\d+) \|.*`(tests/[\w/]+\.py)::(\w+)` \|$", table, re.MULTILINE)
    assert [int(number) for number, _, _ in rows] == list(range(1, 13))
    missing = [name for _, path, name in rows if f"def {name}(" not in (ROOT / path).read_text()]
    assert missing == []


def test_no_coach_the_alert_goes_to_whoever_is_on_duty_and_up_from_there(cast: World) -> None:
    cast.on_duty("rosa")
    check_in(cast, client="theo")
    (raised,) = cast.events(AlertRaised)
    assert (raised.rung, raised.tell) == ("cover", ["rosa"])
    assert pass_over(cast, "theo") == ("supervisor", ["ines"])
    assert pass_over(cast, "theo") == ("on_call", ["kim"])


def test_no_human_known_at_all_the_alert_stays_due_and_an_operator_sees_it(world: World) -> None:
    world.join("client", "maya")
    answer = world.caller("maya", "client").post("/check-ins", a_desperate_day())
    assert "crisis" in [card["kind"] for card in answer.json["cards"]]
    world.tick(now() + timedelta(seconds=1))
    assert REGISTRY.get_sample_value("alongside_alerts_unrouted") == 1
    world.join("supervisor", "ines")
    world.tick(now() + timedelta(seconds=2))
    assert world.events(AlertEscalated)[-1].tell == ["ines"]


def test_a_coach_off_duty_is_told_all_the_same_and_the_clock_does_the_rest(cast: World) -> None:
    cast.on_duty("rosa")
    check_in(cast)
    (raised,) = cast.events(AlertRaised)
    assert (raised.rung, raised.tell) == ("coach", ["sam"])
    assert pass_over(cast) == ("cover", ["rosa"])


def test_all_asleep_the_alert_climbs_to_the_on_call_contact_and_wakes_everybody_until_one_answers(cast: World) -> None:
    check_in(cast)
    assert pass_over(cast) == ("supervisor", ["ines"])
    assert pass_over(cast) == ("on_call", ["kim"])
    for _ in range(3):
        assert pass_over(cast) == ("on_call", ["sam", "ines", "kim"])
        assert alert_of().state == "open"
    kim = cast.caller("kim", "coach")
    assert kim.post(f"/alerts/{alert_of().id}/acknowledge").status_code == 200


def test_broker_down_the_alert_is_kept_its_clock_runs_and_all_is_told_when_the_log_is_back(
    cast: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise LogDown("away")

    with monkeypatch.context() as broken:
        broken.setattr(cast.log, "publish", away)
        check_in(cast)
        with pytest.raises(LogDown):
            cast.settle()
        late = alert_of().next_at + timedelta(milliseconds=1)
        for tick in service.ticks:
            tick.act(late)
        assert alert_of().rung == "supervisor"
        assert cast.caller("ines", "supervisor").get("/alerts").json["items"] != [], "fetching shows it meanwhile"
    assert [raised.tell for raised in cast.events(AlertRaised)] == [["sam"]]
    assert [told.tell for told in cast.events(AlertEscalated)] == [["ines"]]


def test_clock_skew_deadlines_are_set_and_kept_by_the_clock_of_the_store(
    cast: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process an hour ahead neither gives a coach an hour more nor asks the next human at once."""
    before = clock_of(service.store.records)
    ahead = now() + timedelta(hours=1)
    for module in ("api", "check_in_model"):
        monkeypatch.setattr(f"services.risk.{module}.now", lambda: ahead)
    alert = check_in(cast)
    after = clock_of(service.store.records)
    patience = timedelta(seconds=cast.settings.alert_seconds["urgent"])
    assert before + patience <= alert.due_at <= after + patience


WRITES_AND_DIES = """
    import os, sys, json
    from infra.access import Tokens
    from infra.log import open_log
    from infra.part import service_app
    from infra.settings import read_settings
    from infra.web import IDENTITY_HEADER
    from services.risk import service

    settings = read_settings()
    service.load().open(settings)
    door = service_app(service, open_log(settings.log_url)).test_client()
    token = Tokens(settings.secret, "risk").sign("maya", "client", "s", 60)
    answer = door.post("/v1/check-ins", json=json.loads(sys.argv[1]), headers={IDENTITY_HEADER: token})
    print(answer.status_code, flush=True)
    os._exit(9)
"""


def test_killed_between_write_and_tell_another_process_tells_it_once(cast: World) -> None:
    day = '{"id": "day-1", "craving": 10, "confidence": 0}'
    command = [sys.executable, "-c", dedent(WRITES_AND_DIES), day]
    died = subprocess.run(command, env=environment_of(cast.settings), capture_output=True, text=True, timeout=60)
    assert (died.returncode, died.stdout) == (9, "201\n"), died.stderr
    Relay(service.store, cast.log).sweep(older_than=0)
    (raised,) = cast.events(AlertRaised)
    assert raised.tell == ["sam"]


def test_phone_offline_a_coach_who_missed_every_hint_finds_the_alert_by_asking(cast: World) -> None:
    """Nothing listens on any socket here and no device is known: the clock goes on, and REST has the truth."""
    day = a_desperate_day(at=written(now() - timedelta(hours=9)))
    check_in(cast, day)
    assert pass_over(cast) == ("supervisor", ["ines"])
    for person, role in (("sam", "coach"), ("ines", "supervisor")):
        (found,) = cast.caller(person, role).get("/alerts?state=open").json["items"]
        assert (found["client_id"], found["rung"]) == ("maya", "supervisor")


def test_doubled_event_changes_nothing_the_second_time(cast: World) -> None:
    (assigned,) = cast.events(ClientAssigned)
    alert = check_in(cast)
    pass_over(cast)
    grants = len(cast.events(GrantGiven))
    told = [*cast.events(AlertRaised), *cast.events(AlertEscalated)]
    cast.publish(assigned, *told)
    cast.settle()
    assert len(cast.events(GrantGiven)) == grants
    course = Course.load("maya")
    assert course is not None
    assert ([kept.id for kept in course.alerts], course.coaches()) == ([alert.id], ["sam"])


def test_doubled_check_in_is_one_alert(cast: World) -> None:
    day = a_desperate_day()
    check_in(cast, day)
    assert cast.caller("maya", "client").post("/check-ins", day).status_code == 200
    assert len(cast.events(AlertRaised)) == 1


def test_revoked_grant_the_alert_goes_on_to_somebody_who_may_see_it(cast: World) -> None:
    check_in(cast)
    cast.settle()
    sam = cast.caller("sam", "coach")
    sam.post(f"/alerts/{alert_of().id}/acknowledge")
    (assigned,) = cast.events(ClientAssigned)
    ended = cast.caller("ines", "supervisor").post(f"/assignments/{assigned.assignment_id}/end")
    assert ended.status_code == 200
    cast.settle()
    assert sam.get("/alerts").json["items"] == []
    cast.tick(clock_of(service.store.records) + timedelta(seconds=1))
    told = cast.events(AlertEscalated)[-1]
    assert (told.rung, told.tell) == ("supervisor", ["ines"])


def test_erased_person_the_alert_still_reaches_a_human_and_can_be_closed(cast: World) -> None:
    """It holds no written words, so it stays readable; what was written is gone for everybody."""
    alert = check_in(cast, a_desperate_day(note="a secret"))
    cast.settle()
    service.vault.destroy("maya")
    assert pass_over(cast) == ("supervisor", ["ines"])
    ines = cast.caller("ines", "supervisor")
    assert ines.get(f"/alerts/{alert.id}").json["reasons"] == alert.reasons
    assert ines.get("/check-ins?client_id=maya").status_code == 404
    assert cast.caller("maya", "client").post("/check-ins", a_check_in(id=an_id(), note="x")).status_code == 404
    assert ines.post(f"/alerts/{alert.id}/close", {"outcome": "not_needed"}).status_code == 200
    assert alert_of() is None


def test_one_alert_that_cannot_be_escalated_keeps_none_behind_it_waiting(
    cast: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast.assign("theo", "rosa")
    check_in(cast)
    check_in(cast, client="theo")
    cast.settle()
    late = max(alert_of(name).next_at for name in ("maya", "theo")) + timedelta(milliseconds=1)
    escalate = Course.escalate

    def broken(self: Course, ladder: Any) -> None:
        if self.id == "maya":
            raise ZeroDivisionError("a bug of ours")
        escalate(self, ladder)

    with monkeypatch.context() as patched:
        patched.setattr(Course, "escalate", broken)
        with pytest.raises(ZeroDivisionError):
            ask_the_next_human(late)
    assert (alert_of("theo").rung, alert_of("maya").rung) == ("supervisor", "coach")


def test_a_rough_day_is_told_to_the_coach_in_the_quiet_of_the_night_too(cast: World) -> None:
    """Quiet hours are a device's; which kinds override them is `gateway/post.py`'s, and an alert is one of them."""
    check_in(cast, a_rough_day())
    (raised,) = cast.events(AlertRaised)
    assert raised.hint is not None
    assert raised.hint.push == "alert"
