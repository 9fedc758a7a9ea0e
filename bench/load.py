"""A load generator for chat that is not the bottleneck: one thread, frames written by hand, nothing parsed beyond need.

It runs in a process of its own, ``python -m bench.load``: a ``Plan`` as JSON on its input, a ``Result`` as JSON on its
output. The same generator drives the product and the bare relay.
"""

from __future__ import annotations

import base64
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field

WARM_UP_SECONDS = 1.0
LAST_ANSWERS_SECONDS = 20.0
# The protocol asks for a mask, and a mask of zeros leaves the words as they are, which costs nothing.
_MASK = bytes(4)
_OPENING = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_MY_ID = b'"client_message_id":"'


class Phone:
    """One Socket.IO connection over a WebSocket."""

    def __init__(self, port: int, token: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""
        self._unread: deque[bytes] = deque()
        self._open(port)
        self.wait_for(b"0")
        self.send(b"40" + json.dumps({"token": token}).encode())
        self.wait_for(b"40")

    def send(self, packet: bytes) -> None:
        size = len(packet)
        head = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
        self.socket.sendall(head + _MASK + packet)

    def read(self) -> list[bytes]:
        """The packets that arrived, after waiting for something. Raises ``ConnectionError`` when the server left."""
        arrived = self.socket.recv(262_144)
        if not arrived:
            raise ConnectionError("the server closed the connection")
        self._rest += arrived
        return self._cut()

    def wait_for(self, beginning: bytes) -> bytes:
        """The next packet that begins so; those before it are dropped. Raises ``TimeoutError`` after 20 s."""
        while True:
            while self._unread:
                packet = self._unread.popleft()
                if packet.startswith(b"44"):
                    raise ConnectionError(packet.decode())
                if packet.startswith(beginning):
                    return packet
            self._unread.extend(self.read())

    def close(self) -> None:
        self.socket.close()

    def _open(self, port: int) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(_OPENING.format(port=port, key=key).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            arrived = self.socket.recv(4096)
            if not arrived:
                raise ConnectionError("no WebSocket here")
            answer += arrived
        head, _, self._rest = answer.partition(b"\r\n\r\n")
        if b" 101 " not in head:
            raise ConnectionError(head.decode("latin-1"))
        # The server may have spoken in the same breath.
        self._unread.extend(self._cut())

    def _cut(self) -> list[bytes]:
        data, at, packets = self._rest, 0, []
        while len(data) - at >= 2:
            size, head = data[at + 1] & 0x7F, 2
            if size >= 126:
                head = 4 if size == 126 else 10
                size = int.from_bytes(data[at + 2 : at + head], "big")
            if len(data) < at + head + size:
                break
            kind, packet = data[at] & 0x0F, data[at + head : at + head + size]
            at += head + size
            if kind == 8:
                raise ConnectionError("the server closed the WebSocket")
            if packet == b"2":
                self.send(b"3")
            else:
                packets.append(packet)
        self._rest = data[at:]
        return packets


@dataclass
class Plan:
    """What to send: with a ``rate`` that many messages a second over all pairs, without one as many as the window lets.

    Attributes:
        pairs: token of the sender, token of the receiver, and their conversations, which take turns.
        label: makes the message ids of this run its own.
    """

    port: int
    pairs: list[tuple[str, str, list[str]]]
    seconds: float
    label: str
    window: int = 8
    text_bytes: int = 200
    rate: float | None = None


@dataclass
class Result:
    """What came of it. Times are in milliseconds; ``core`` is the share of one core that the generator itself took."""

    per_second: float
    acked_p50: float
    acked_p99: float
    arrived_p50: float
    arrived_p99: float
    sent: int
    refused: int
    missing: int
    out_of_order: int
    core: float


@dataclass
class Pair:
    """A sender, a receiver, and the messages between them."""

    sender: Phone
    receiver: Phone
    conversations: list[str]
    sent_at: list[float] = field(default_factory=list)
    acked: int = 0
    arrived: int = 0
    out_of_order: int = 0
    latest: dict[int, int] = field(default_factory=dict)


class Load:
    """One run of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._text = ("So far so good today. " * 400)[: plan.text_bytes]
        self._selector = selectors.DefaultSelector()
        self._acked_after: list[tuple[float, float]] = []
        self._arrived_after: list[float] = []
        self._refused = 0
        self._pairs = [Pair(Phone(plan.port, one), Phone(plan.port, two), c) for one, two, c in plan.pairs]
        for pair in self._pairs:
            for phone in (pair.sender, pair.receiver):
                self._selector.register(phone.socket, selectors.EVENT_READ, (phone, pair))

    def run(self) -> Result:
        began, cpu = time.perf_counter(), time.process_time()
        self._measure_from = began + WARM_UP_SECONDS
        self._until = self._measure_from + self._plan.seconds
        if self._plan.rate is None:
            for pair in self._pairs:
                for _ in range(self._plan.window):
                    self._send(pair, time.perf_counter())
            while (now := time.perf_counter()) < self._until:
                self._listen(self._until - now)
        else:
            self._send_at(self._plan.rate, began)
        core = (time.process_time() - cpu) / (time.perf_counter() - began)
        deadline = time.perf_counter() + LAST_ANSWERS_SECONDS
        while self._missing() and time.perf_counter() < deadline:
            self._listen(0.1)
        return self._result(core)

    def _send_at(self, rate: float, began: float) -> None:
        count = 0
        while (now := time.perf_counter()) < self._until:
            due = began + count / rate
            if now >= due:
                # From the moment it was due: a generator that is late must not make the server look quick.
                self._send(self._pairs[count % len(self._pairs)], due)
                count += 1
            else:
                self._listen(due - now)

    def _listen(self, seconds: float) -> None:
        for key, _ in self._selector.select(max(0.0, seconds)):
            phone, pair = key.data
            for packet in phone.read():
                if phone is pair.sender and packet.startswith(b"43"):
                    self._note_ack(pair, packet)
                elif phone is pair.receiver and packet.startswith(b'42["message"'):
                    self._note_arrival(pair, packet)

    def _send(self, pair: Pair, moment: float) -> None:
        number = len(pair.sent_at)
        pair.sent_at.append(moment)
        pair.sender.send(
            (
                f'42{number}["message.send",{{'
                f'"conversation_id":"{pair.conversations[number % len(pair.conversations)]}",'
                f'"client_message_id":"{self._plan.label}.{number}","text":"{self._text}"}}]'
            ).encode()
        )

    def _note_ack(self, pair: Pair, packet: bytes) -> None:
        now = time.perf_counter()
        pair.acked += 1
        self._refused += b'"ok":true' not in packet
        self._acked_after.append((now, now - pair.sent_at[int(packet[2 : packet.index(b"[")])]))
        if self._plan.rate is None and now < self._until:
            self._send(pair, now)

    def _note_arrival(self, pair: Pair, packet: bytes) -> None:
        start = packet.index(_MY_ID) + len(_MY_ID)
        label, _, number = packet[start : packet.index(b'"', start)].decode().rpartition(".")
        if label != self._plan.label:
            return
        which = int(number) % len(pair.conversations)
        pair.out_of_order += int(number) <= pair.latest.get(which, -1)
        pair.latest[which] = int(number)
        pair.arrived += 1
        if pair.sent_at[int(number)] >= self._measure_from:
            self._arrived_after.append(time.perf_counter() - pair.sent_at[int(number)])

    def _missing(self) -> int:
        return sum(2 * len(pair.sent_at) - pair.acked - pair.arrived for pair in self._pairs)

    def _result(self, core: float) -> Result:
        measured = [after for at, after in self._acked_after if self._measure_from <= at < self._until]
        return Result(
            per_second=len(measured) / self._plan.seconds,
            acked_p50=percentile(measured, 50),
            acked_p99=percentile(measured, 99),
            arrived_p50=percentile(self._arrived_after, 50),
            arrived_p99=percentile(self._arrived_after, 99),
            sent=sum(len(pair.sent_at) for pair in self._pairs),
            refused=self._refused,
            missing=self._missing(),
            out_of_order=sum(pair.out_of_order for pair in self._pairs),
            core=core,
        )


def percentile(seconds: list[float], percent: float) -> float:
    """In milliseconds, the value that ``percent`` of them do not exceed."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000 if ordered else float("nan")


def run(plan: Plan) -> Result:
    """Run a plan in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(asdict(plan)),
        capture_output=True,
        text=True,
        timeout=plan.seconds + LAST_ANSWERS_SECONDS + 60,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the load generator failed: {done.stderr[-2000:]}")
    return Result(**json.loads(done.stdout))


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    asked["pairs"] = [tuple(pair) for pair in asked["pairs"]]
    json.dump(asdict(Load(Plan(**asked)).run()), sys.stdout)
