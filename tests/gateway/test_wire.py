"""One WebSocket over a real connection: what is told, what is left out, and what ends it.

The other side is a WebSocket client of another library's making, or bare bytes where a client would not say such a
thing. Whoever reads the messages stands in for python-engineio, which asks for nothing else.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from typing import Any

import engineio.packet
import gevent
import gevent.socket
import pytest
import socketio.packet
from hypothesis import example, given
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    Request,
    TextMessage,
)

from gateway import wire
from gateway.wire import SOCKET, WAITING_MOST, Json, Outbox, WebSocket, understood

BUFFER = 16 * 1024
SIZE_MOST = 4096
ASK = '421["typing",{}]'
FIN, TEXT, MORE, BYTES, CLOSE, PING = 0x80, 1, 0, 2, 8, 9


class Reader:
    """What python-engineio is for a WebSocket: reads until the end, here with an answer of ours to each message."""

    max_http_buffer_size = SIZE_MOST

    def __init__(self) -> None:
        self.queue = Outbox()
        self.heard: list[str] = []
        self.answer: Callable[[str], None] = lambda _: None
        self.closed = False
        self.status: str | None = None

    def read(self, web: WebSocket) -> list[Any]:
        while (message := web.wait()) is not None:
            self.heard.append(message)
            self.answer(message)
        return []

    def close(self, wait: bool, abort: bool) -> None:
        self.closed = True

    def run(self, environ: dict[str, Any]) -> None:
        WebSocket(self.read, self)(environ, lambda status, _: setattr(self, "status", status))


class Line:
    """A connection with our side running at one end, and the test at the other."""

    def __init__(self) -> None:
        self.ours, self.theirs = gevent.socket.socketpair()
        # Small, so that a reader who does not read is noticed after little.
        self.ours.setsockopt(gevent.socket.SOL_SOCKET, gevent.socket.SO_SNDBUF, BUFFER)
        self.theirs.setsockopt(gevent.socket.SOL_SOCKET, gevent.socket.SO_RCVBUF, BUFFER)
        self.reader = Reader()
        self.outbox = self.reader.queue
        self.client = WSConnection(ConnectionType.CLIENT)
        self.got: list[Event] = []

    def open(self) -> Line:
        greeting = self.client.send(Request(host="here", target="/"))
        self.job = gevent.spawn(self.reader.run, environ_of(greeting, self.ours))
        self.take_until(lambda: any(isinstance(one, AcceptConnection) for one in self.got))
        self.got = [one for one in self.got if not isinstance(one, AcceptConnection)]
        return self

    def end(self) -> None:
        self.theirs.close()
        self.job.join(10)
        self.ours.close()

    # -- the other side

    def say(self, *events: Event) -> None:
        self.theirs.sendall(b"".join(self.client.send(event) for event in events))

    def say_bytes(self, data: bytes) -> None:
        self.theirs.sendall(data)

    def take(self, most: int = 4096) -> bool:
        """Read a little; False at the end."""
        try:
            data = self.theirs.recv(most)
        except ConnectionResetError:
            data = b""
        if data:
            self.client.receive_data(data)
        self.got += self.client.events()
        return bool(data)

    def take_until(self, condition: Callable[[], Any]) -> None:
        with gevent.Timeout(20):
            while not condition():
                assert self.take(), self.got

    def take_all(self) -> None:
        """Read until our side has hung up."""
        with gevent.Timeout(20):
            while self.take():
                continue

    def texts(self) -> list[str]:
        whole, part = [], ""
        for one in self.got:
            if isinstance(one, TextMessage):
                part += one.data
                if one.message_finished:
                    whole.append(part)
                    part = ""
        return whole

    def told(self) -> list[Any]:
        """The events that were told, as name and data."""
        return [json.loads(text[2:]) for text in self.texts()]

    def goodbye(self) -> int:
        """The code with which our side left."""
        (code,) = [one.code for one in self.got if isinstance(one, CloseConnection)]
        return int(code)


def environ_of(greeting: bytes, connection: Any) -> dict[str, Any]:
    lines = greeting.decode().split("\r\n")[1:]
    fields = dict(line.split(": ", 1) for line in lines if line)
    return {SOCKET: connection, **{f"HTTP_{name.upper().replace('-', '_')}": text for name, text in fields.items()}}


def frame(kind: int, payload: bytes = b"", mask: bool = True) -> bytes:
    """A frame as a client sends it, with a mask that changes nothing; ``kind`` is the whole first byte."""
    size = len(payload)
    length = bytes([size]) if size < 126 else b"\x7e" + struct.pack("!H", size)
    masked = bytes([length[0] | (0x80 if mask else 0)]) + length[1:]
    return bytes([kind]) + masked + (b"\x00" * 4 if mask else b"") + payload


def on_and_on(line: Line, data: bytes) -> None:
    """Write the same until the connection takes no more."""
    while True:
        line.theirs.send(data)


def turns(count: int = 100) -> None:
    """Let the event loop run until it has nothing to do, over and over: what could happen by itself has happened."""
    for _ in range(count):
        gevent.idle()


@pytest.fixture
def lines() -> Iterator[Callable[[], Line]]:
    opened: list[Line] = []

    def make() -> Line:
        opened.append(Line().open())
        return opened[-1]

    yield make
    for line in opened:
        line.end()


@pytest.fixture
def line(lines: Callable[[], Line]) -> Line:
    return lines()


def number(count: int, words: str = "x" * 1000) -> bytes:
    return wire.event("message", {"seq": count, "text": words})


def seqs(line: Line) -> list[int]:
    return [data["seq"] for name, data in line.told() if name == "message"]


# -- what is told


@pytest.mark.parametrize("size", [0, 1, 100, 125, 126, 127, 65_520, 65_535, 65_536, 70_000])
def test_a_frame_of_every_length_arrives_as_it_was(line: Line, size: int) -> None:
    line.outbox.send(wire.event("message", "x" * size))
    line.take_until(line.told)
    assert line.told() == [["message", "x" * size]]


def test_what_leaves_in_many_partial_writes_arrives_whole_and_in_order(line: Line) -> None:
    for count in range(2000):
        line.outbox.send(number(count))
    line.take_until(lambda: len(line.texts()) == 2000)
    assert seqs(line) == list(range(2000))
    assert line.outbox._writable is None


def test_acknowledgements_and_packets_of_the_library_keep_their_order(line: Line) -> None:
    line.outbox.put(engineio.packet.Packet(engineio.packet.PING))
    line.outbox.send(wire.acknowledgement(7, {"ok": True}))
    line.outbox.tell(wire.event("ready", {}))
    line.take_until(lambda: len(line.texts()) == 3)
    assert line.texts() == ["2", '437[{"ok":true}]', '42["ready",{}]']


def test_what_waited_before_the_connection_was_open_comes_behind_the_greeting() -> None:
    line = Line()
    line.outbox.send(number(1))
    line.open()
    line.take_until(line.told)
    line.end()
    assert seqs(line) == [1]


# -- a slow reader


def test_a_slow_reader_is_told_to_sync_and_what_waits_for_it_stays_bounded(line: Line) -> None:
    most = 0
    for count in range(5000):
        line.outbox.tell(number(count))
        most = max(most, len(line.outbox._waiting))
        if count % 50 == 0:
            turns(1)
    assert WAITING_MOST < most <= WAITING_MOST + len(number(5000))
    line.take_until(lambda: ["sync", {}] in line.told())
    line.outbox.tell(number(5000))
    line.take_until(lambda: seqs(line)[-1:] == [5000])
    told = line.told()
    at = told.index(["sync", {}])
    # What is left out is behind all that came, and in front of all that comes.
    assert [data["seq"] for _, data in told[:at]] == list(range(at))
    assert [data["seq"] for _, data in told[at + 1 :]] == [5000]
    assert 0 < at < 5000


def test_a_reader_that_falls_behind_again_is_told_to_sync_again(line: Line) -> None:
    for round in range(1, 4):
        for count in range(1000):
            line.outbox.tell(number(count))
        line.take_until(lambda round=round: line.told().count(["sync", {}]) == round)
    turns()
    assert line.told().count(["sync", {}]) == 3


def test_what_must_not_be_left_out_is_not(line: Line) -> None:
    for count in range(1000):
        line.outbox.tell(number(count))
        line.outbox.send(wire.acknowledgement(count, {"ok": True}))
    line.take_until(lambda: '43999[{"ok":true}]' in line.texts())
    acknowledged = [text for text in line.texts() if text.startswith("43")]
    assert acknowledged == [f'43{count}[{{"ok":true}}]' for count in range(1000)]
    assert len(line.texts()) < 2000


def test_whoever_does_not_read_is_not_read_from(line: Line) -> None:
    """The answers to one small packet of questions could be a hundred times a bound that is looked at too seldom."""
    answer = wire.acknowledgement(1, {"text": "x" * 100_000})
    line.reader.answer = lambda _: line.outbox.send(answer)
    line.say(*[TextMessage(data=ASK) for _ in range(50)])
    turns()
    assert line.outbox.full
    assert len(line.outbox._waiting) <= WAITING_MOST + len(answer)
    assert 0 < len(line.reader.heard) < 10
    # Nor is anything more taken out of the connection: in the end the other side cannot even write.
    line.theirs.settimeout(0.0)
    with pytest.raises(BlockingIOError):
        on_and_on(line, frame(FIN | TEXT, ASK.encode()))
    line.theirs.settimeout(None)
    line.take_until(lambda: len(line.texts()) >= 50)
    assert len(line.reader.heard) >= 50


def test_pings_without_end_from_somebody_who_does_not_read_are_not_answered_without_end(line: Line) -> None:
    line.theirs.settimeout(0.0)
    sent = 0
    for _ in range(10_000):
        try:
            sent += line.theirs.send(frame(FIN | PING, b"x" * 125) * 20)
        except BlockingIOError:
            turns(1)
        assert len(line.outbox._waiting) <= WAITING_MOST + 127
    assert sent > WAITING_MOST


def test_a_reader_that_never_reads_costs_the_others_nothing(lines: Callable[[], Line]) -> None:
    silent, awake = lines(), lines()
    reading = gevent.spawn(awake.take_until, lambda: len(awake.texts()) == 3000)
    for count in range(3000):
        one = number(count)
        silent.outbox.tell(one)
        awake.outbox.tell(one)
        turns(1)
    reading.join(20)
    assert seqs(awake) == list(range(3000))
    assert silent.outbox.full
    assert not silent.reader.closed


def test_somebody_who_vanishes_while_much_waits_leaves_nothing_behind(line: Line) -> None:
    for count in range(1000):
        line.outbox.tell(number(count))
    turns()
    line.theirs.close()
    line.job.join(10)
    assert line.reader.closed
    assert line.outbox._writable is None
    assert not line.outbox._waiting
    line.outbox.tell(number(1))
    turns()


def test_the_library_ends_a_connection_whose_reader_does_not_read(line: Line) -> None:
    for count in range(1000):
        line.outbox.send(number(count))
    line.say(TextMessage(data=ASK))
    turns()
    # None is how the library's queue learns of the end.
    line.outbox.put(None)
    line.job.join(10)
    assert line.job.ready()
    assert line.reader.heard == []


# -- what is heard


def test_a_message_in_pieces_with_a_ping_in_between_is_one_message(line: Line) -> None:
    parts = [ASK[:3], "", ASK[3:9], ASK[9:]]
    for part in parts[:-1]:
        line.say(TextMessage(data=part, message_finished=False), Ping(payload=b"are you there"))
    line.say(TextMessage(data=parts[-1]))
    line.take_until(lambda: sum(isinstance(one, Pong) for one in line.got) == 3)
    turns()
    assert line.reader.heard == [ASK]
    assert {bytes(one.payload) for one in line.got if isinstance(one, Pong)} == {b"are you there"}


def test_a_message_that_arrives_byte_by_byte_is_one_message(line: Line) -> None:
    for byte in frame(FIN | TEXT, '421["typing",{"of":"☃"}]'.encode()):
        line.say_bytes(bytes([byte]))
        turns(3)
    assert line.reader.heard == ['421["typing",{"of":"☃"}]']


def test_the_longest_message_is_heard_and_a_longer_one_ends_the_connection(line: Line) -> None:
    longest = f'42["{"x" * (SIZE_MOST - 7)}"]'
    line.say(TextMessage(data=longest), TextMessage(data=longest + " "))
    line.take_all()
    assert line.reader.heard == [longest]
    assert line.goodbye() == 1009
    assert line.reader.closed


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (frame(TEXT, b"42"), frame(MORE, b"x" * 1000)),
        (frame(TEXT, b"42"), frame(MORE, b"x")),
        (frame(TEXT, b"42"), frame(MORE)),
        (frame(TEXT, b"42"), frame(MORE) + frame(FIN | PING)),
        (bytes([FIN | TEXT, 0xFF]) + struct.pack("!Q", 2**62) + b"\x00" * 4, b"x" * 1000),
    ],
    ids=["great parts", "small parts", "empty parts", "empty parts and pings", "one part"],
)
def test_a_message_without_end_ends_the_connection(line: Line, first: bytes, more: bytes) -> None:
    line.say_bytes(first)
    saying = gevent.spawn(on_and_on, line, more)
    line.take_all()
    saying.join(10)
    assert isinstance(saying.exception, OSError)
    assert line.reader.closed
    assert line.reader.heard == []
    assert line.goodbye() == 1009


def test_bytes_are_passed_over(line: Line) -> None:
    said = '451-3["typing",{"of":{"_placeholder":true,"num":0}}]'
    line.say(TextMessage(data=said), BytesMessage(data=b"x" * 100_000), BytesMessage(data=b""), TextMessage(data=ASK))
    line.say(CloseConnection(code=1000))
    line.take_all()
    assert line.reader.heard == ['423["typing",{"of":{"_placeholder":true,"num":0}}]', ASK]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(FIN | TEXT, ASK.encode(), mask=False), 1002),
        (frame(FIN | 0x40 | TEXT, ASK.encode()), 1002),
        (frame(FIN | 0x20 | TEXT, ASK.encode()), 1002),
        (frame(FIN | 0x10 | TEXT, ASK.encode()), 1002),
        *[(frame(FIN | kind), 1002) for kind in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)],
        (frame(PING), 1002),
        (frame(CLOSE), 1002),
        (frame(FIN | PING, b"x" * 126), 1002),
        (frame(FIN | MORE, b"x"), 1002),
        (frame(TEXT, b"x") + frame(FIN | TEXT, b"x"), 1002),
        (frame(FIN | CLOSE, b"\x03"), 1002),
        (frame(FIN | CLOSE, struct.pack("!H", 999)), 1002),
        (frame(FIN | CLOSE, struct.pack("!H", 1005)), 1002),
        (frame(FIN | CLOSE, struct.pack("!H", 5000)), 1002),
        (frame(FIN | CLOSE, struct.pack("!H", 1000) + b"\xff"), 1007),
        (frame(FIN | TEXT, b"\xff\xfe"), 1007),
        (frame(FIN | TEXT, b"\xed\xa0\x80"), 1007),
        (bytes([FIN | TEXT, 0xFE]) + struct.pack("!H", 5), 1002),
        (bytes([FIN | TEXT, 0xFF]) + b"\xff" * 8, 1002),
        (b"GET / HTTP/1.1\r\n\r\n", 1002),
        (frame(FIN | TEXT, b""), 1007),
        (frame(FIN | TEXT, b"nonsense"), 1007),
    ],
)
def test_what_is_no_frame_or_no_packet_ends_the_connection_and_says_why(line: Line, data: bytes, code: int) -> None:
    line.say_bytes(frame(FIN | TEXT, ASK.encode()) + data + frame(FIN | TEXT, ASK.encode()))
    line.take_all()
    assert line.goodbye() == code
    assert line.reader.heard == [ASK]
    assert line.reader.closed


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999, None])
def test_a_goodbye_is_answered_and_nothing_is_heard_behind_it(line: Line, code: int | None) -> None:
    goodbye = frame(FIN | CLOSE, struct.pack("!H", code) if code else b"")
    line.say_bytes(goodbye + frame(FIN | TEXT, ASK.encode()) + goodbye + frame(FIN | PING))
    line.take_all()
    assert line.goodbye() == (code or 1005)
    assert line.reader.heard == []
    assert line.reader.closed


def test_our_own_goodbye_comes_behind_what_was_told() -> None:
    line = Line().open()
    line.reader.answer = lambda _: line.job.kill(block=False)
    line.outbox.send(number(1))
    line.say(TextMessage(data=ASK))
    line.take_all()
    assert seqs(line) == [1]
    assert line.goodbye() == 1000
    line.end()


@pytest.mark.parametrize(
    "wrong",
    [
        {"HTTP_SEC_WEBSOCKET_KEY": None},
        {"HTTP_SEC_WEBSOCKET_VERSION": "8"},
        {"HTTP_CONNECTION": "close"},
        {"HTTP_UPGRADE": "h2c"},
        {"HTTP_HOST": "a\x00b"},
        {"HTTP_X": "a\r\nb"},
    ],
    ids=str,
)
def test_a_greeting_that_is_none_is_answered_with_400_and_leaves_no_socket(wrong: dict[str, str | None]) -> None:
    line = Line()
    environ = {**environ_of(line.client.send(Request(host="here", target="/")), line.ours), **wrong}
    line.reader.run({name: value for name, value in environ.items() if value is not None})
    assert line.reader.status == "400 Bad Request"
    assert line.reader.closed
    line.ours.close()
    line.theirs.close()


def test_somebody_who_is_gone_before_the_greeting_is_no_error() -> None:
    line = Line()
    line.theirs.close()
    line.reader.run(environ_of(line.client.send(Request(host="here", target="/")), line.ours))
    assert line.reader.closed
    line.ours.close()


# -- packets


@pytest.mark.parametrize(
    "text",
    ["1", "3", "40", '40{"token":"x"}', "41", '42["typing",{}]', '427["a"]', "42[1]", "42[null,{}]", '42["\\ud800"]'],
)
def test_a_packet_of_a_client_is_understood(text: str) -> None:
    assert understood(text) == text


PIECES = ["4", "2", "5", "1-", "/a,", "[", "]", "{", "}", '"x"', ",", "{}", '["a"]', "9" * 20, "\x00", "٣", "²", "NaN"]


@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PIECES), max_size=8).map("".join)))
@example("42" + "[" * 30_000)
@example('42["a",' + '{"a":' * 5000)
@example("42[" + "9" * 5000 + "]")
@example("40" + '{"a":' * 900 + "1" + "}" * 900)
@example("٤2[]")
def test_the_library_can_read_whatever_is_understood(text: str) -> None:
    packet = understood(text)
    if packet is None:
        return
    outer = engineio.packet.Packet(encoded_packet=packet)
    if outer.packet_type == engineio.packet.MESSAGE:
        inner = Inner.of(outer.data)
        assert inner.packet_type in (socketio.packet.CONNECT, socketio.packet.DISCONNECT, socketio.packet.EVENT)
        assert inner.namespace is None
        assert inner.packet_type != socketio.packet.EVENT or inner.data[:1]


class Inner(socketio.packet.Packet):  # type: ignore[misc]
    """The library's packet as the gateway sets it up."""

    json = Json

    @classmethod
    def of(cls, text: str) -> Any:
        return cls(encoded_packet=text)
