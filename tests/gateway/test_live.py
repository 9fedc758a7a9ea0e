"""Sockets from outside: what is malformed harms nobody, and nobody hears what is not theirs."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import websocket

from gateway.live import NEEDS
from tests.app import App, Phone, new_id, until


@dataclass
class Pair:
    """A client and a coach who are connected and talk."""

    client: Phone
    coach: Phone
    conversation: str

    def assert_unharmed(self) -> None:
        """Both still talk, and were told of nothing else in between."""
        before = len(self.coach.heard("message"))
        text = new_id()
        sent = self.client.send(self.conversation, text)
        self.coach.wait_for("message", lambda message: message["text"] == text)
        assert self.coach.heard("message")[before:] == [sent]
        assert self.client.connected
        assert self.coach.connected


@pytest.fixture(scope="module")
def people(the_app: App) -> tuple[Phone, Phone]:
    return the_app.pair()


@pytest.fixture
def fresh_pair(app: App) -> Pair:
    """Two whom no other test has met."""
    client, coach = app.pair()
    conversation = app.talk(client, coach)
    return Pair(client.connect(), coach.connect(), conversation)


@pytest.fixture
def pair(app: App, people: tuple[Phone, Phone]) -> Pair:
    """The same two for every test, with a new conversation and nothing told yet."""
    conversation = app.talk(*people)
    for phone in people:
        phone.connect()
        phone.told.clear()
    return Pair(*people, conversation)


@contextmanager
def raw_socket(app: App, token: str | None = None) -> Iterator[websocket.WebSocket]:
    """A bare WebSocket to the gateway; with a token, connected as its person."""
    connection = websocket.create_connection(
        f"ws://127.0.0.1:{app.port}/socket.io/?EIO=4&transport=websocket", timeout=10
    )
    try:
        assert connection.recv().startswith("0{")
        if token is not None:
            connection.send("40" + json.dumps({"token": token}))
            assert connection.recv().startswith("40{")
            assert '"ready"' in connection.recv()
        yield connection
    finally:
        # Not ``close``, which says goodbye first and leaves the socket open where nobody listens any more.
        connection.shutdown()


def everything_from(connection: websocket.WebSocket, seconds: float = 0.5) -> list[Any]:
    """What still comes, until nothing does or the other side hangs up."""
    connection.settimeout(seconds)
    got = []
    try:
        while True:
            frame = connection.recv()
            if not frame:
                return got
            got.append(frame)
    except (websocket.WebSocketException, OSError):
        return got


# -- what is said


WRONG_PAYLOADS: list[Any] = [
    None,
    3,
    "text",
    [],
    [1, 2],
    {},
    {"conversation_id": 1},
    {"conversation_id": "\ud800"},
    {"conversation_id": "a\x00b"},
    {"conversation_id": "x" * 5000},
    {"conversation_id": {"$ne": None}},
    {"conversation_id": "a-conversation-of-nobody", "unknown": 1},
    {"on": "yes"},
    {"on": 1},
]


@pytest.mark.parametrize("event", sorted(NEEDS))
@pytest.mark.parametrize("payload", WRONG_PAYLOADS, ids=lambda payload: ascii(payload)[:40])
def test_a_wrong_payload_is_answered_with_a_problem(pair: Pair, event: str, payload: Any) -> None:
    answer = pair.client.call(event, payload, seconds=5)
    assert answer["ok"] is False
    assert answer["problem"]["status"] in (404, 422)
    assert answer["problem"]["title"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("text", ""),
        ("text", "x" * 8001),
        ("text", "a\x00b"),
        ("text", "\ud800"),
        ("text", None),
        ("text", 3),
        ("text", b"bytes"),
        ("client_message_id", ""),
        ("client_message_id", "a b"),
        ("client_message_id", "x" * 65),
        ("client_message_id", None),
        ("conversation_id", None),
        ("unknown", 1),
    ],
)
def test_a_message_with_a_wrong_field_is_refused_by_its_name(pair: Pair, field: str, value: Any) -> None:
    said = {"conversation_id": pair.conversation, "client_message_id": new_id(), "text": "hello", field: value}
    answer = pair.client.call("message.send", said, seconds=5)
    assert answer["problem"]["status"] == 422
    assert list(answer["problem"]["errors"]) == [field]
    pair.assert_unharmed()
    assert pair.client.call("message.sync", {"conversation_id": pair.conversation})["last_seq"] == 1


@pytest.mark.parametrize(
    ("event", "field", "value"),
    [
        ("message.sync", "after", -1),
        ("message.sync", "after", 2**70),
        ("message.sync", "after", "1"),
        ("message.sync", "after", 1.5),
        ("message.sync", "limit", 0),
        ("message.sync", "limit", 201),
        ("message.sync", "limit", True),
        ("conversation.read", "seq", -1),
        ("conversation.read", "seq", 2**70),
        ("conversation.read", "seq", None),
        ("conversation.delivered", "seq", 1e300),
        ("typing", "on", None),
    ],
)
def test_a_number_out_of_its_range_is_refused_by_its_name(pair: Pair, event: str, field: str, value: Any) -> None:
    answer = pair.client.call(event, {"conversation_id": pair.conversation, field: value}, seconds=5)
    assert answer["problem"]["status"] == 422
    assert field in answer["problem"]["errors"]


@pytest.mark.parametrize(
    "name", ["nonsense", "connect", "disconnect", "message", "ready", "__class__", "*", "", "message.send ", "a" * 9999]
)
def test_an_event_that_there_is_not_answers_404(app: App, pair: Pair, name: str) -> None:
    token = pair.client.token or ""
    with raw_socket(app, token) as connection:
        connection.send("427" + json.dumps([name, {"conversation_id": pair.conversation}]))
        answers = [frame for frame in everything_from(connection) if str(frame).startswith("437")]
        assert [json.loads(answer[3:])[0]["problem"]["status"] for answer in answers] == [404]
    pair.assert_unharmed()


GARBAGE: list[str | bytes] = [
    "",
    "4",
    "42",
    "42[]",
    "42{}",
    "42null",
    "42[1]",
    "42[null,{}]",
    '42[["message.send"],{}]',
    '42{"a":1}',
    '42["message.send"',
    "4299999999999999999999999999999999999[]",
    '42-1["typing",{}]',
    '42/admin,["message.send",{}]',
    "43[]",
    "430[{}]",
    '4399["ack"]',
    "44{}",
    "45",
    "451-",
    '451-["message.send",{"_placeholder":true,"num":0}]',
    '459999999-["message.send",{}]',
    "46",
    "461-[]",
    "47",
    "49",
    "40",
    "40{",
    '40{"token":"x"}',
    "40/admin,{}",
    "40/,{}",
    "41/admin,",
    "0",
    "1x",
    "2",
    "2probe",
    "3",
    "5",
    "6",
    "9",
    "x",
    "\x00",
    "\u2603",
    "42" + "[" * 30_000,
    '42["message.sync",' + '{"a":' * 5000,
    b"",
    b"\x00\x01\x02",
    b"4" + b"\xff" * 100,
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda garbage: ascii(garbage)[:40])
def test_garbage_from_somebody_signed_in_harms_nobody(app: App, pair: Pair, garbage: str | bytes) -> None:
    gateway = app.part("gateway").pid
    with raw_socket(app, pair.client.token) as connection:
        send = connection.send if isinstance(garbage, str) else connection.send_binary
        send(garbage)
        send(garbage)
        everything_from(connection, 0.1)
    pair.assert_unharmed()
    assert app.part("gateway").pid == gateway


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda garbage: ascii(garbage)[:40])
def test_whoever_has_not_signed_in_is_told_nothing(app: App, pair: Pair, garbage: str | bytes) -> None:
    with raw_socket(app) as connection:
        (connection.send if isinstance(garbage, str) else connection.send_binary)(garbage)
        said = {"conversation_id": pair.conversation, "client_message_id": "m", "text": "let me in"}
        for event in NEEDS:
            try:
                connection.send("427" + json.dumps([event, said]))
            except (websocket.WebSocketException, OSError):
                break
        pair.assert_unharmed()
        for frame in everything_from(connection, 0.1):
            assert pair.conversation not in str(frame)
            assert not str(frame).startswith("42[")
    assert pair.client.call("message.sync", {"conversation_id": pair.conversation})["last_seq"] == 1


def test_a_huge_packet_ends_the_socket_that_sent_it_and_no_other(app: App, pair: Pair) -> None:
    with raw_socket(app, pair.client.token) as connection:
        connection.send('42["message.send",{"text":"' + "x" * 1_000_000 + '"}]')
        everything_from(connection, 5)
    pair.assert_unharmed()


@pytest.mark.parametrize("letter", ["\N{SNOWMAN}", "\N{SUNRISE}"])
def test_a_message_of_the_greatest_length_fits_into_a_packet(pair: Pair, letter: str) -> None:
    text = letter * 8000
    assert pair.client.send(pair.conversation, text)["text"] == text
    assert pair.coach.wait_for("message")["text"] == text


def test_a_second_sign_in_on_one_socket_changes_nobody(app: App, pair: Pair) -> None:
    other = app.phone("theo")
    with raw_socket(app, other.token) as connection:
        for token in (pair.client.token, other.token, "x"):
            connection.send("40" + json.dumps({"token": token}))
        connection.send("427" + json.dumps(["message.sync", {"conversation_id": pair.conversation}]))
        pair.client.send(pair.conversation, "not for theo")
        frames = [str(frame) for frame in everything_from(connection)]
        assert not any("not for theo" in frame for frame in frames)
        (answer,) = [frame for frame in frames if frame.startswith("437")]
        assert json.loads(answer[3:])[0]["problem"]["status"] == 404


def test_leaving_the_namespace_ends_what_is_heard_and_said(app: App, pair: Pair) -> None:
    with raw_socket(app, pair.client.token) as connection:
        connection.send("41")
        connection.send("427" + json.dumps(["message.sync", {"conversation_id": pair.conversation}]))
        pair.client.send(pair.conversation, "after leaving")
        assert not any(
            "after leaving" in str(frame) or '"ok":true' in str(frame) for frame in everything_from(connection)
        )
    pair.assert_unharmed()


@pytest.mark.parametrize(
    "frames",
    [
        b"\xff\xff\xff\xff",
        b"\x81\xfe\xff\xff",
        b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x83\x80\x00\x00\x00\x00",
        b"\xc1\x80\x00\x00\x00\x00",
        b"\x88\x80\x00\x00\x00\x00",
        b"\x89\xfe\x10\x00\x00\x00\x00\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x81\x82\x00\x00\x00\x00\xff\xfe",
    ],
)
def test_frames_that_are_none_harm_nobody(app: App, pair: Pair, frames: bytes) -> None:
    with raw_socket(app, pair.client.token) as connection:
        connection.sock.sendall(frames)
        everything_from(connection, 0.2)
    pair.assert_unharmed()


def test_only_websockets_are_let_in(app: App) -> None:
    assert app.stranger().get("/socket.io/?EIO=4&transport=polling").status == 400


@pytest.mark.parametrize("device", ["", "x" * 5000, "a\x00b", "\ud800", 3, {"$ne": 1}, ["a"]])
def test_a_strange_name_of_a_device_keeps_nobody_out(fresh_pair: Pair, device: object) -> None:
    fresh_pair.client.disconnect()
    fresh_pair.coach.wait_for("presence", lambda told: told == {"person_id": fresh_pair.client.id, "on": False})
    fresh_pair.client.connect(device=device)
    fresh_pair.coach.wait_for("presence", lambda told: told == {"person_id": fresh_pair.client.id, "on": True})
    fresh_pair.assert_unharmed()


# -- who may say it


@pytest.mark.parametrize("role", ["client", "coach", "supervisor", "organiser", "admin"])
def test_every_socket_event_answers_404_to_whoever_has_no_grant_for_it(app: App, pair: Pair, role: str) -> None:
    outsider = app.enrol(role).connect()
    walked = set()
    for event, need in NEEDS.items():
        if need == "member" or need != role:
            answer = outsider.call(event, valid(event, pair.conversation))
        else:
            continue
        assert answer == {"ok": False, "problem": answer["problem"]}, event
        assert answer["problem"]["status"] == 404, event
        walked.add(event)
    assert len(walked) >= len(NEEDS) - 1
    outsider.settle()
    assert {told.event for told in outsider.told} == {"ready"}
    pair.assert_unharmed()


def valid(event: str, conversation: str) -> dict[str, Any]:
    """A payload that a member of the conversation could send."""
    return {
        "message.send": {"conversation_id": conversation, "client_message_id": new_id(), "text": "hello"},
        "message.edit": {"conversation_id": conversation, "client_message_id": new_id(), "seq": 1, "text": "hi"},
        "message.take_back": {"conversation_id": conversation, "client_message_id": new_id(), "seq": 1},
        "message.sync": {"conversation_id": conversation, "after": 0, "limit": 10},
        "conversation.delivered": {"conversation_id": conversation, "seq": 0},
        "conversation.read": {"conversation_id": conversation, "seq": 0},
        "typing": {"conversation_id": conversation, "on": True},
        "duty": {"on": False},
    }[event]


def test_every_socket_event_is_done_for_whoever_has_the_grant(pair: Pair) -> None:
    for event in NEEDS:
        assert pair.coach.call(event, valid(event, pair.conversation))["ok"] is True, event


@pytest.mark.parametrize("frame", ["", "x", "\x00", "\u2603"])
def test_a_frame_that_no_library_can_read_ends_its_own_socket_at_once(app: App, fresh_pair: Pair, frame: str) -> None:
    """Left open, it would count as a connected phone, which is not pushed to."""
    other = app.stranger()
    other.take(fresh_pair.client.session)
    fresh_pair.client.disconnect()
    left = {"person_id": other.id, "on": False}
    fresh_pair.coach.wait_for("presence", lambda told: told == left)
    with raw_socket(app, other.token) as connection:
        fresh_pair.coach.wait_for("presence", lambda told: told == {**left, "on": True})
        fresh_pair.coach.told.clear()
        connection.send(frame)
        fresh_pair.coach.wait_for("presence", lambda told: told == left, seconds=10)


def test_sockets_that_vanish_leave_nobody_present(app: App, fresh_pair: Pair) -> None:
    other = app.stranger()
    other.take(fresh_pair.client.session)
    fresh_pair.client.disconnect()
    left = {"person_id": other.id, "on": False}
    fresh_pair.coach.wait_for("presence", lambda told: told == left)
    for _ in range(20):
        with raw_socket(app, other.token) as connection:
            # No goodbye: the phone went into a tunnel.
            connection.sock.shutdown(socket.SHUT_RDWR)
    told = fresh_pair.coach.heard
    until(lambda: told("presence")[-1] == left and len(told("presence")) > 2, "nobody is left")
    fresh_pair.client.connect()
    fresh_pair.assert_unharmed()
