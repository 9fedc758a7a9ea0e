"""A thousand packets of every malformed kind: no crash, no 5xx, no leak, and two who talk meanwhile notice nothing."""

from __future__ import annotations

import base64
import errno
import json
import os
import random
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psutil
import pytest

from gateway.live import NEEDS
from tests.app import App, new_id, until
from tests.faults.talk import talking

PACKETS = 1000
CUT = (errno.ENOTCONN, errno.EPIPE, errno.ECONNRESET)
SEED = int(os.environ.get("ALONGSIDE_FAULT_SEED", "7"))
FIN, TEXT, MORE, BYTES, CLOSE, PING = 0x80, 1, 0, 2, 8, 9
MORE_MEMORY = 24 * 1024 * 1024
"""What a round may leave behind at most: caches that have a bound, and what the allocator keeps."""

Chance = random.Random
Kind = Callable[[Chance], bytes]
PROBE = '42777["message.sync",{"conversation_id":"nothing","after":0,"limit":1}]'


def frame(first: int, payload: bytes = b"", mask: bool = True, length: bytes | None = None) -> bytes:
    """A frame with any first byte, any length field, and a mask that changes nothing."""
    if length is None:
        size = len(payload)
        length = (
            bytes([size])
            if size < 126
            else b"\x7e" + size.to_bytes(2, "big")
            if size < 65_536
            else (b"\x7f" + size.to_bytes(8, "big"))
        )
    marked = bytes([length[0] | (0x80 if mask else 0)]) + length[1:]
    return bytes([first]) + marked + (b"\0" * 4 if mask else b"") + payload


def text(said: str) -> bytes:
    return frame(FIN | TEXT, said.encode("utf-8", "surrogatepass"))


def event(name: Any, *values: Any, id: str = "7") -> bytes:
    return text(f"42{id}{json.dumps([name, *values])}")


# -- what a frame can get wrong


def wrong_frame(chance: Chance) -> bytes:
    payload = chance.randbytes(chance.choice([0, 1, 5, 125]))
    return chance.choice(
        [
            frame(FIN | chance.choice([0x10, 0x20, 0x40, 0x70]) | TEXT, payload),
            frame(FIN | TEXT, payload, mask=False),
            frame(FIN | chance.choice([3, 4, 5, 6, 7, 11, 12, 13, 14, 15]), payload),
            frame(chance.choice([CLOSE, PING, 10]), payload),
            frame(FIN | chance.choice([CLOSE, PING, 10]), b"x" * 300),
            frame(FIN | MORE, payload),
            frame(TEXT, b"42") + frame(FIN | TEXT, payload),
            frame(FIN | CLOSE, chance.choice([b"\x03", b"\x00\x00", b"\x03\xed", b"\xff\xff", b"\x03\xe8\xff"])),
            frame(FIN | TEXT, b"4" + bytes([chance.randrange(0x80, 0x100)]) + b"\xff"),
            frame(FIN | TEXT, b"", length=b"\x7f" + b"\xff" * 8),
            frame(FIN | TEXT, b"x", length=b"\x7e\x00\x01"),
            frame(FIN | BYTES, payload) * 3,
            chance.randbytes(chance.randrange(1, 200)),
            b"GET /v1/me HTTP/1.1\r\nHost: x\r\n\r\n",
        ]
    )


def without_end(chance: Chance) -> bytes:
    part = chance.choice([frame(MORE), frame(MORE, b"x"), frame(MORE) + frame(FIN | PING, b"x" * 125)])
    return frame(TEXT, b'42["typing",') + part * chance.choice([10, 4000])


def too_long(chance: Chance) -> bytes:
    return text('42["message.send",{"text":"' + "x" * chance.choice([70_000, 300_000]) + '"}]')


def a_flood(chance: Chance) -> bytes:
    return chance.choice([frame(FIN | PING, b"x" * 125), text("3"), frame(FIN | 10), frame(FIN | BYTES, b"x")]) * 300


# -- what a packet can get wrong


def wrong_packet(chance: Chance) -> bytes:
    kind = chance.choice([*"0123456789", "40", "41", "42", "43", "44", "45", "46", "47", "49", "b", "x", "\0", "٣", ""])
    rest = chance.choice(["", "null", "{}", "[]", "x", '"', "-1", "1e999", "[" * 30_000, '{"a":' * 5000, "[1]", "{]"])
    return text(kind + rest)


def wrong_namespace(chance: Chance) -> bytes:
    where = chance.choice(["/", "/admin", "/,/", "/" + "x" * 5000, "/?token=x", "//", "/\0", "/☃"])
    said = chance.choice(["", "[]", "{}", '["typing",{}]'])
    return text(f"4{chance.choice('0123456')}{where},{said}")


def wrong_attachments(chance: Chance) -> bytes:
    count = chance.choice(["", "0", "1", "2", "-1", "99999999", "9" * 40, "٣", "1e3"])
    num = chance.choice([0, 1, -1, 10**9, "0", None, [], 1.5])
    said = json.dumps([chance.choice(sorted(NEEDS)), {"text": {"_placeholder": True, "num": num}}])
    bytes_after = [frame(FIN | BYTES, chance.randbytes(20))] * chance.randrange(4)
    return text(f"4{chance.choice('56')}{count}-{chance.choice(['', '1'])}{said}") + b"".join(bytes_after)


def wrong_id(chance: Chance) -> bytes:
    id = chance.choice(["-1", "9" * 15, "9" * 16, "9" * 101, "1.5", "0x1", "٣", "+1", " 1", "1 "])
    return chance.choice([event("typing", {}, id=id), text(f"43{id}[{{}}]"), text(f"46{id}[]")])


def in_base64(chance: Chance) -> bytes:
    return text("b" + chance.choice([base64.b64encode(chance.randbytes(50)).decode(), "====", "x", "☃"]))


# -- what an event can get wrong

WORDS = ["", "x" * 9000, "a\0b", "\ud800", "\udfff\ud800", "☃" * 100, "../..", "$where", "-1", "NaN"]
NUMBERS = [-1, 2**31, 2**63, 2**70, -(2**70), 1.5, 1e308, float("nan"), float("inf"), -0.0]
OTHERS = [None, True, [], {}, [[]], {"$ne": None}, {"": 1}, {"__proto__": {}}, [None] * 1000]
FIELDS = ["conversation_id", "client_message_id", "text", "after", "limit", "seq", "on", "token", "\ud800", "", "$set"]


def wrong_value(chance: Chance) -> Any:
    return chance.choice([*WORDS, *NUMBERS, *OTHERS, nested(chance.choice([100, 900, 5000]))])


def nested(depth: int) -> Any:
    found: Any = 1
    for _ in range(min(depth, 900)):
        found = [found]
    return found


def wrong_event(chance: Chance) -> bytes:
    others = ["connect", "disconnect", "ready", "*", "__init__", None, 1, [], {}]
    name = chance.choice([*sorted(NEEDS), *sorted(NEEDS), *others])
    body = {chance.choice(FIELDS): wrong_value(chance) for _ in range(chance.randrange(6))}
    return event(name, *chance.choice([[], [body], [body], [body], [body, body], [wrong_value(chance)]]))


def wrong_words(chance: Chance) -> bytes:
    return event(
        "message.send", {"conversation_id": new_id(), "client_message_id": new_id(), "text": wrong_value(chance)}
    )


def wrong_connect(chance: Chance) -> bytes:
    auth = chance.choice([{"token": wrong_value(chance)}, {"token": "x", "device": wrong_value(chance)}, {}, [], 1, ""])
    return text("40" + json.dumps(auth))


def leaving_and_on(chance: Chance) -> bytes:
    return text("41") + wrong_event(chance) + chance.choice([b"", text("40"), text("41") * 3, text("1") + text("42[]")])


KINDS: list[Kind] = [
    wrong_frame,
    without_end,
    too_long,
    a_flood,
    wrong_packet,
    wrong_namespace,
    wrong_attachments,
    wrong_id,
    in_base64,
    wrong_event,
    wrong_words,
    wrong_connect,
    leaving_and_on,
]


class Stranger:
    """A bare connection that says what no phone would say."""

    def __init__(self, app: App, token: str | None) -> None:
        self._socket = socket.create_connection(("127.0.0.1", app.port), timeout=20)
        self._got = b""
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            (
                "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
            ).encode()
        )
        assert self._read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        self._read_until(b"}")
        if token is not None:
            self._socket.sendall(text("40" + json.dumps({"token": token})))
            self._read_until(b'"ready"')

    def close(self) -> None:
        self._socket.close()

    def survives(self, data: bytes) -> bool:
        """Whether the connection still answers after this. Raises when it neither answers nor ends."""
        try:
            self._got = b""
            self._socket.sendall(data + text(PROBE) + frame(FIN | PING, b"still there?"))
            self._read_until(b"still there?")
        except (ConnectionError, EOFError):
            return False
        finally:
            assert b"HTTP/1.1 5" not in self._got
        return True

    def _read_until(self, mark: bytes) -> bytes:
        while mark not in self._got:
            data = self._socket.recv(65_536)
            if not data:
                raise EOFError
            self._got += data
        return self._got


def a_thousand(seed: int) -> Iterator[tuple[bool, bytes]]:
    """Each kind as often as the others, from somebody signed in and from somebody who is not."""
    chance = random.Random(seed)
    for number in range(PACKETS):
        yield chance.random() < 0.7, KINDS[number % len(KINDS)](chance)


def attack(app: App, token: str) -> dict[bool, int]:
    """One round; returns how many packets were answered or passed over, and how many ended their connection."""
    ends = {True: 0, False: 0}
    strangers: dict[bool, Stranger] = {}
    for signed_in, data in a_thousand(SEED):
        stranger = strangers.pop(signed_in, None) or Stranger(app, token if signed_in else None)
        survived = stranger.survives(data)
        ends[survived] += 1
        if survived:
            strangers[signed_in] = stranger
        else:
            stranger.close()
    for stranger in strangers.values():
        stranger.close()
    return ends


def open_files(app: App, gateway: psutil.Process) -> int:
    """Without the connections to the store, of which there are as many as were ever needed at once."""
    store = int(app.setting("STORE_URL").rpartition(":")[2].partition("/")[0])
    to_store = [one for one in gateway.net_connections("tcp") if one.raddr and one.raddr.port == store]
    return gateway.num_fds() - len(to_store)


@pytest.mark.timeout(300)
def test_a_thousand_hostile_packets_harm_nobody(app: App) -> None:
    maya = app.phone("maya")
    gateway = app.part("gateway")
    assert maya.token is not None
    logged = len(app.log())
    with talking(app, 1, breath=0.1) as crowd:
        first = attack(app, maya.token)
        until(lambda: len(gateway.net_connections("tcp")) < 100, "the strangers are forgotten")
        memory, files = gateway.memory_info().rss, open_files(app, gateway)
        assert attack(app, maya.token) == first
        until(lambda: open_files(app, gateway) <= files + 5, "no connection is left open")
        assert gateway.memory_info().rss < memory + MORE_MEMORY
    assert sum(first.values()) == PACKETS
    # Both happen often: what is only wrong is answered, and what is no packet ends its own connection.
    assert min(first.values()) > PACKETS / 10
    crowd.assert_whole()
    assert [talker.reconnects for talker in crowd.talkers] == [1, 1]
    assert app.part("gateway").pid == gateway.pid
    for line in app.log()[logged:].splitlines():
        assert "Traceback" not in line
        assert '"level": "error"' not in line


@pytest.mark.parametrize(
    "line", ["", "\r\n", "\0", "GET", "GET / HTTP/9.9", "G\xff / HTTP/1.1", "GET /" + "x" * 99_999]
)
def test_no_request_that_is_none_is_answered_with_5xx(app: App, line: str) -> None:
    with closing(socket.create_connection(("127.0.0.1", app.port), timeout=20)) as connection:
        assert not answer_to(connection, line.encode("latin-1")).startswith(b"HTTP/1.1 5")
    assert app.phone("maya").get("/v1/me").status == 200


def answer_to(connection: socket.socket, line: bytes) -> bytes:
    """What is answered; nothing where the connection is cut instead, which may be before all was sent."""
    try:
        connection.sendall(line + b"\r\nUpgrade: websocket\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(4096)
    except OSError as error:
        if error.errno not in CUT:
            raise
        return b""
