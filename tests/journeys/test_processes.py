"""Several gateway processes behind one port: for people it is one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.app import App, Phone, running, until


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running(tmp_path_factory.mktemp("two"), processes=2) as app:
        yield app


@pytest.fixture
def app(two: App) -> Iterator[App]:
    yield two
    two.hang_up()


def place_of(app: App, phone: Phone) -> int:
    """The pid of the process to which a phone's socket is connected."""
    port = phone.local_port

    def found() -> int | None:
        for process in app.gateways():
            for connection in process.net_connections("tcp"):
                if connection.raddr and connection.raddr.port == port:
                    return process.pid
        return None

    pid: int = until(found, "a process that has the phone's connection")
    return pid


def connect_elsewhere(app: App, phone: Phone, than: int) -> int:
    """Connect until it is at another process than ``than``; which one takes a connection is chance."""

    def elsewhere() -> int | None:
        phone.connect()
        place = place_of(app, phone)
        return place if place != than else None

    pid: int = until(elsewhere, "a connection to another process", 60)
    return pid


@pytest.fixture
def apart(app: App) -> tuple[Phone, Phone, str]:
    """A client and a coach who are connected to different processes, and their conversation."""
    client, coach = app.pair()
    client.connect()
    connect_elsewhere(app, coach, place_of(app, client))
    conversation = app.talk(client, coach)
    client.told.clear()
    coach.told.clear()
    return client, coach, conversation


def test_messages_from_both_processes_are_told_once_and_in_one_order(apart: tuple[Phone, Phone, str]) -> None:
    client, coach, conversation = apart
    answers: list[object] = []
    for number in range(60):
        for phone in (client, coach):
            said = {"conversation_id": conversation, "client_message_id": f"m{number}", "text": str(number)}
            phone.say("message.send", said, answers.append)
    for phone in (client, coach):
        phone.wait_for("message", lambda message: message["seq"] == 120)
        assert [message["seq"] for message in phone.heard("message")] == list(range(1, 121))
    until(lambda: len(answers) == 120, "every message is acknowledged")
    assert client.heard("message") == coach.heard("message")


def test_hints_cross_from_one_process_to_the_other(apart: tuple[Phone, Phone, str]) -> None:
    client, coach, conversation = apart
    client.send(conversation, "hello")
    coach.wait_for("message")
    coach.call("typing", {"conversation_id": conversation, "on": True})
    client.wait_for("typing", lambda typing: typing["person_id"] == coach.id)
    coach.call("conversation.read", {"conversation_id": conversation, "seq": 1})
    client.wait_for("cursor", lambda cursor: cursor["read"] == 1)


def test_whoever_is_still_connected_to_another_process_has_not_gone(app: App, apart: tuple[Phone, Phone, str]) -> None:
    client, coach, conversation = apart
    tablet = app.stranger()
    tablet.take(client.session)
    connect_elsewhere(app, tablet, place_of(app, client))
    coach.wait_for("presence", lambda told: told == {"person_id": client.id, "on": True})
    client.disconnect()
    until(lambda: sockets_open(coach) == 2, "only the coach and the tablet are connected")
    coach.send(conversation, "are you there?")
    tablet.wait_for("message")
    assert {"person_id": client.id, "on": False} not in coach.heard("presence")
    tablet.disconnect()
    coach.wait_for("presence", lambda told: told == {"person_id": client.id, "on": False})


def test_the_figures_of_all_processes_are_added_up(apart: tuple[Phone, Phone, str]) -> None:
    client, coach, conversation = apart
    before = messages_counted(client)
    client.send(conversation, "one")
    coach.send(conversation, "two")
    until(lambda: messages_counted(client) == before + 2, "both are counted")
    assert sockets_open(client) >= 2


def messages_counted(phone: Phone) -> float:
    return figure_of(phone, "alongside_messages_total")


def sockets_open(phone: Phone) -> float:
    return figure_of(phone, "alongside_sockets")


def figure_of(phone: Phone, name: str) -> float:
    found = re.search(rf"^{name} ([0-9.]+)$", phone.get("/metrics").raw.decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_a_process_that_dies_takes_nobody_else_with_it_and_comes_again(tmp_path: Path) -> None:
    with running(tmp_path, processes=2) as app:
        client, coach = app.pair()
        client.connect()
        connect_elsewhere(app, coach, place_of(app, client))
        conversation = app.talk(client, coach)
        victim = psutil.Process(place_of(app, coach))
        victim.kill()
        until(lambda: not coach.connected, "the coach's socket has ended")
        client.send(conversation, "are you there?")
        until(lambda: len(app.gateways()) == 2 and victim.pid not in {p.pid for p in app.gateways()}, "two again")
        coach.connect()
        missed = coach.call("message.sync", {"conversation_id": conversation, "after": 0})
        assert [message["text"] for message in missed["messages"]] == ["are you there?"]
        assert client.connected
        assert app.stop() == 0
