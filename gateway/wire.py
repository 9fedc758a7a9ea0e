"""What carries one socket: WebSocket frames straight on gevent, with a bound on what waits for a slow reader.

python-engineio asks its driver for a queue and a WebSocket. The ones it brings send each frame by one ``send``, which
may write a part of it; the rest is lost, and to a reader whose buffer is full the stream makes no sense from there on.
They also let what waits for such a reader grow without end. Here whatever gathers in one turn of the event loop leaves
in one write, what does not fit waits for the reader to make room, and past a bound hints are left out: the reader is
told to ``sync`` once there is room, and asks for what it missed.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent
import orjson
from gevent.event import Event
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Ping,
    TextMessage,
)
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from gateway.frames import Cutter, frame

# A phone that is behind by more than this is quicker served by what it asks for.
WAITING_MOST = 256 * 1024
RECEIVED_AT_ONCE = 16 * 1024
WRITABLE = 2
SOCKET = "alongside.socket"
"""Where the HTTP handler leaves the connection for the WebSocket."""

# Connect, leave, an event (also one with bytes), pong and goodbye, with the JSON that they carry.
_PACKET = re.compile(r"40(\{.*)?|41|4(?:2|5[0-9]{1,9}-)([0-9]{0,15})(\[.*)|3|1", re.DOTALL)


class Json:
    """JSON for sockets: fast, and for what the fast one refuses, the standard one, so that it can be answered."""

    @staticmethod
    def dumps(data: Any, **_: Any) -> str:
        return written(data).decode()

    @staticmethod
    def loads(text: str | bytes, **_: Any) -> Any:
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return json.loads(text)


def written(data: Any) -> bytes:
    """JSON in UTF-8."""
    try:
        return orjson.dumps(data)
    except TypeError:
        return json.dumps(data).encode()


def understood(text: str) -> str | None:
    """A packet that a client of ours sends, or None.

    The library takes a few others that nobody needs here, and stumbles over what is none of them. An event with bytes
    is read without them: no event of ours has any, so that the field is refused by its name.
    """
    packet = _PACKET.fullmatch(text)
    if packet is None:
        return None
    auth, id, event = packet.groups()
    try:
        said = Json.loads(auth or event or "{}")
    except (ValueError, RecursionError):
        return None
    if said == []:
        return None
    return text if event is None else f"42{id}{event}"


def event(name: str, data: Any) -> bytes:
    """The frame of a Socket.IO event."""
    return frame(b"42" + written([name, data]))


def acknowledgement(id: int, answer: Any) -> bytes:
    """The frame that acknowledges the event that came with ``id``."""
    return frame(b"43%d" % id + written([answer]))


class Outbox:
    """What waits to leave on one connection; the queue of python-engineio, which nothing is ever taken out of."""

    def __init__(self, *_: Any) -> None:
        self._waiting = bytearray()
        self._connection: Any = None
        self._writable: Any = None
        self._due = False
        self._missed = False
        self._ended = Event()
        self._room: Event | None = None

    # -- what is put in

    def tell(self, frame: bytes) -> None:
        """Send a hint, or leave it out where the reader is too far behind."""
        if len(self._waiting) > WAITING_MOST:
            self._missed = True
        else:
            self.send(frame)

    def send(self, frame: bytes) -> None:
        """Send what must not be left out."""
        self._waiting += frame
        if not self._due and self._writable is None and self._connection is not None:
            self._due = True
            gevent.get_hub().loop.run_callback(self._flush)

    @property
    def full(self) -> bool:
        return len(self._waiting) > WAITING_MOST

    def wait_for_room(self) -> bool:
        """Return when the reader has taken enough, or with False at the end. Whoever does not listen is not heard."""
        while self.full and not self._ended.is_set():
            self._room = Event()
            self._room.wait()
        self._room = None
        return not self._ended.is_set()

    # -- the queue that python-engineio knows

    def put(self, packet: Any) -> None:
        if packet is None:
            self._end()
        else:
            text = packet.encode()
            self.send(frame(text if isinstance(text, bytes) else text.encode()))

    def get(self, *_: Any, **__: Any) -> None:
        """The library's writer has nothing to write; it only learns of the end."""
        self._ended.wait()

    def task_done(self) -> None:
        pass

    def join(self) -> None:
        pass

    # -- what leaves

    def open(self, connection: Any, greeting: bytes) -> None:
        """From now on over this connection: the greeting first, then what has gathered."""
        self._connection = connection
        self._waiting[:0] = greeting
        self._flush()

    def close(self) -> None:
        """Send what can be sent at once, and nothing more."""
        if self._connection is not None:
            self._flush()
        self._stop_waiting()
        self._waiting.clear()
        self._connection = None
        self._end()

    def _end(self) -> None:
        self._ended.set()
        if self._room is not None:
            self._room.set()

    def _flush(self) -> None:
        self._due = False
        if self._connection is None or not self._waiting:
            return
        try:
            sent = self._connection.send(self._waiting, timeout=0.0)
        except BlockingIOError:
            sent = 0
        except OSError:
            # The other side is gone, and the reading greenlet hears so for itself.
            self._waiting.clear()
            sent = 0
        del self._waiting[:sent]
        if self._waiting:
            self._wait_until_writable()
        else:
            self._stop_waiting()
        if self._missed and not self.full:
            self._missed = False
            self.send(event("sync", {}))
        if self._room is not None and not self.full:
            self._room.set()

    def _wait_until_writable(self) -> None:
        if self._writable is None:
            self._writable = gevent.get_hub().loop.io(self._connection.fileno(), WRITABLE)
            self._writable.start(self._flush)

    def _stop_waiting(self) -> None:
        if self._writable is not None:
            self._writable.stop()
            self._writable.close()
            self._writable = None


class WebSocket:
    """One WebSocket, as python-engineio asks for it: called with the request, then ``wait`` and ``close``.

    No compression is agreed on: it would take a quarter of a megabyte for each connection.
    """

    def __init__(self, handler: Callable[[WebSocket], Any], server: Any) -> None:
        """``handler`` is the bound method of the library's socket that reads until the end."""
        self._handler = handler
        self._owner = handler.__self__  # type: ignore[attr-defined]
        self._outbox: Outbox = self._owner.queue
        self._protocol = WSConnection(ConnectionType.SERVER)
        # One less, as the parts of a longer message are counted with one for each.
        self._cutter = Cutter(server.max_http_buffer_size - 1)
        self._arrived: deque[Any] = deque()
        self._begun: list[str] = []
        self._size = 0
        self._size_most = server.max_http_buffer_size
        self._open = False

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        self._connection = environ[SOCKET]
        try:
            self._protocol.receive_data(_request(environ))
            greeting = self._protocol.send(AcceptConnection())
        except (RemoteProtocolError, LocalProtocolError):
            self._owner.close(wait=False, abort=True)
            start_response("400 Bad Request", [("Content-Length", "0")])
            return [b""]
        self._open = True
        self._outbox.open(self._connection, greeting)
        try:
            return self._handler(self)
        finally:
            # Also where the library failed, when it would leave the socket behind as connected: a connected phone is
            # not pushed to.
            self._owner.close(wait=False, abort=True)
            self.close()

    def wait(self) -> str | None:
        """The next message, or None at the end."""
        while self._open and self._outbox.wait_for_room():
            if self._arrived:
                if (message := self._handled(self._arrived.popleft())) is not None:
                    return message
            else:
                self._receive()
        return None

    def close(self) -> None:
        """Say goodbye and end the connection; whoever waits in ``wait`` hears the end."""
        self._leave(CloseReason.NORMAL_CLOSURE)
        self._outbox.close()
        # Where it is not connected any more, that is what was asked for.
        with suppress(OSError):
            self._connection.shutdown(2)

    def _leave(self, why: int) -> None:
        if self._open:
            self._open = False
            # Unless the other side said goodbye first.
            with suppress(LocalProtocolError):
                self._outbox.send(self._protocol.send(CloseConnection(why)))

    def _receive(self) -> None:
        try:
            data = self._connection.recv(RECEIVED_AT_ONCE)
        except OSError:
            data = b""
        if not data:
            self._open = False
            return
        self._arrived.extend(self._cutter.cut(data))

    def _handled(self, arrived: Any) -> str | None:
        if isinstance(arrived, str):
            return self._packet(arrived)
        if isinstance(arrived, bytes):
            # Of a frame of another kind: what it says is the protocol's to know.
            self._protocol.receive_data(arrived)
            self._arrived.extendleft(reversed(list(self._protocol.events())))
        elif isinstance(arrived, Ping):
            self._outbox.send(self._protocol.send(arrived.response()))
        elif isinstance(arrived, CloseConnection):
            # Theirs, or the protocol's own about a frame that is none.
            self._leave(arrived.code)
        elif isinstance(arrived, TextMessage):
            return self._whole(arrived)
        # Bytes are passed over: they belong to an event that was answered without them, or to nothing.
        return None

    def _whole(self, part: TextMessage) -> str | None:
        """A message once all of it is here. One that is too long, or no packet, ends the connection."""
        self._begun.append(part.data)
        # An empty part counts too, so that even those come to an end.
        self._size += len(part.data) + 1
        if self._size > self._size_most:
            self._leave(CloseReason.MESSAGE_TOO_BIG)
            return None
        if not part.message_finished:
            return None
        text = "".join(self._begun)
        self._begun, self._size = [], 0
        return self._packet(text)

    def _packet(self, text: str) -> str | None:
        packet = understood(text)
        if packet is None:
            self._leave(CloseReason.INVALID_FRAME_PAYLOAD_DATA)
        return packet


def _request(environ: dict[str, Any]) -> bytes:
    """The head of the request, which the HTTP server has read, as the protocol wants to read it."""
    names = (name for name in environ if name.startswith("HTTP_"))
    lines = [f"{name[5:].replace('_', '-')}: {environ[name]}" for name in names]
    return "\r\n".join(["GET / HTTP/1.1", *lines, "", ""]).encode("latin-1")
