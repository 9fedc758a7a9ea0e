"""What an operator does about check-ins that could not be read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
from werkzeug.serving import make_server

from infra.part import service_app
from infra.store import CARRIERS
from schemas.base import decode
from schemas.catalogue import EVENTS
from schemas.people import RecordSeen
from services.risk.aside_model import entries, set_aside
from services.risk.model import Course
from tests.infra.test_cli import NOWHERE, nothing_set, reopened, run, surroundings
from tests.services.risk.mothers import a_rough_day
from tests.world import World

__all__ = ["nothing_set", "run"]

ORDERS = b'{"id": "a", "craving": "\x1b[2J\xff'


@pytest.fixture
def door(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Risk at a port of the loopback, and an operator's shell that knows it."""
    server = make_server("127.0.0.1", 0, service_app(world.services["risk"], world.log), threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    surroundings(monkeypatch, world, PEERS=f"risk=http://127.0.0.1:{server.port}")
    yield
    server.shutdown()
    thread.join()


def kept_aside(body: Any, client: str = "maya") -> str:
    """One that an earlier version could not read."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    id = set_aside(client, raw, f"print of {raw!r}", ["craving"])
    assert id is not None
    return id


def state_of(world: World, id: str) -> Any:
    reopened(world)
    return entries().find_one({"_id": id})["state"]


@pytest.mark.usefixtures("door")
def test_they_are_listed_without_a_word_of_anybodys(run: Any, world: World) -> None:
    assert run("check-ins", "aside", "list").stdout == ""
    reopened(world)
    id = kept_aside(a_rough_day(note="my own words"))
    answer = run("check-ins", "aside", "list")
    assert answer.exit_code == 0, answer.output
    (line,) = answer.stdout.splitlines()
    assert (line.split("\t")[0], line.split("\t")[1], line.split("\t")[3]) == (id, "maya", "craving")
    assert "words" not in answer.output


@pytest.mark.usefixtures("door")
def test_the_doctor_speaks_of_them_only_when_there_are_any(run: Any, world: World) -> None:
    assert "check-ins" not in run("doctor").stdout
    reopened(world)
    kept_aside(a_rough_day())
    assert "WRONG  check-ins: 1 could not be read and are set aside" in run("doctor").stdout


@pytest.mark.usefixtures("door")
def test_one_is_shown_and_the_look_is_on_its_way_into_the_ledger(run: Any, world: World) -> None:
    id = kept_aside(ORDERS)
    answer = run("check-ins", "aside", "show", id)
    assert answer.exit_code == 0, answer.output
    assert answer.stdout == '{"id": "a", "craving": "\\x1b[2J\\xff\n', "no byte of it gives the terminal orders"
    reopened(world)
    told = [
        decode(bytes(entry["value"]), entry["headers"], EVENTS)
        for carrier in world.services["risk"].store.collection(CARRIERS).find()
        for entry in carrier["outbox"]
    ]
    looks = [event for event in told if isinstance(event, RecordSeen)]
    assert [(look.viewer_id, look.subject_id, look.what) for look in looks] == [
        ("operator", "maya", "check-in set aside")
    ]


@pytest.mark.usefixtures("door")
def test_one_that_is_not_there_is_said_in_words(run: Any) -> None:
    answer = run("check-ins", "aside", "show", "nothing")
    assert (answer.exit_code, answer.stderr) == (2, "There is none with this id.\n")


@pytest.mark.usefixtures("door")
def test_what_can_be_read_now_is_taken_once_and_kept_as_taken(run: Any, world: World) -> None:
    day = a_rough_day()
    id = kept_aside(day)
    answer = run("check-ins", "aside", "retry")
    assert (answer.exit_code, answer.stdout) == (0, f"{id}\ttaken\n1 taken, 0 not\n"), answer.output
    assert state_of(world, id) == "taken"
    course = Course.load("maya")
    assert course is not None
    assert [check_in.id for check_in in course.check_ins] == [day["id"]]
    assert len(course.alerts) == 1
    assert run("check-ins", "aside", "retry").stdout == "0 taken, 0 not\n"


@pytest.mark.usefixtures("door")
def test_one_without_a_moment_stands_at_the_one_at_which_it_came(run: Any, world: World) -> None:
    id = kept_aside(a_rough_day())
    came = entries().find_one({"_id": id})["at"]
    assert run("check-ins", "aside", "retry", id).exit_code == 0
    reopened(world)
    course = Course.load("maya")
    assert course is not None
    assert course.check_ins[0].at == came


@pytest.mark.usefixtures("door")
def test_what_still_cannot_be_read_waits_on_and_is_kept_once(run: Any, world: World) -> None:
    bad, worse = kept_aside({"id": "a", "craving": 11}), kept_aside(ORDERS)
    for _ in range(2):
        answer = run("check-ins", "aside", "retry")
        assert answer.exit_code == 1, answer.output
        assert answer.stdout == f"{bad}\t422 craving\n{worse}\t400\n0 taken, 2 not\n"
    assert state_of(world, bad) == state_of(world, worse) == "waiting"
    assert entries().count_documents({}) == 2


@pytest.mark.usefixtures("door")
def test_only_those_named_are_tried(run: Any, world: World) -> None:
    one, other = kept_aside(a_rough_day()), kept_aside(a_rough_day())
    answer = run("check-ins", "aside", "retry", one, "another")
    assert answer.exit_code == 1
    assert answer.stdout == f"another\tnone waits under this id\n{one}\ttaken\n1 taken, 1 not\n"
    assert (state_of(world, one), state_of(world, other)) == ("taken", "waiting")


@pytest.mark.usefixtures("door")
def test_what_nobody_can_read_any_more_waits_no_more(run: Any, world: World) -> None:
    id = kept_aside(a_rough_day())
    world.services["risk"].vault.destroy("maya")
    assert "erased" in run("check-ins", "aside", "show", id).stderr
    assert "erased" in run("check-ins", "aside", "retry").stdout
    assert state_of(world, id) == "erased"


@pytest.mark.parametrize("command", [["list"], ["show", "x"], ["retry"]])
def test_a_store_that_is_away_is_said_in_words(
    run: Any, world: World, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.cli.PATIENCE_SECONDS", 1)
    surroundings(monkeypatch, world, STORE_URL=NOWHERE, PEERS="risk=http://127.0.0.1:9")
    answer = run("check-ins", "aside", *command)
    assert answer.exit_code == 2
    assert "The store does not answer" in answer.stderr


def test_a_door_that_is_not_there_or_not_known_is_said_in_words(
    run: Any, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = kept_aside(a_rough_day())
    surroundings(monkeypatch, world)
    assert "ALONGSIDE_PEERS" in run("check-ins", "aside", "retry").stderr
    surroundings(monkeypatch, world, PEERS="risk=http://127.0.0.1:9")
    answer = run("check-ins", "aside", "retry")
    assert (answer.exit_code, "risk does not answer" in answer.stderr) == (2, True), answer.output
    assert state_of(world, id) == "waiting"
