"""A stand-in for FCM with a stated capacity: ``python -m bench.fcm SECONDS AT_ONCE``.

A request takes SECONDS, and AT_ONCE are worked on at a time; whatever comes beyond waits its turn. So the capacity is
AT_ONCE / SECONDS requests per second, and no client can be faster. ``GET`` answers how often each address was sent to.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter, deque
from typing import Any

_SENT = b'{"name":"projects/demo-alongside/messages/0:1500415314455276"}'


class _Capacity:
    """So many at once, each for so long; the rest in the order in which they came."""

    def __init__(self, seconds: float, at_once: int) -> None:
        self.seconds = seconds
        self.times: Counter[str] = Counter()
        self._free = at_once
        self._waiting: deque[_Connection] = deque()

    def take(self, connection: _Connection) -> None:
        if self._free:
            self._free -= 1
            asyncio.get_running_loop().call_later(self.seconds, self._done, connection)
        else:
            self._waiting.append(connection)

    def _done(self, connection: _Connection) -> None:
        connection.answer(_SENT)
        self._free += 1
        if self._waiting:
            self.take(self._waiting.popleft())


class _Connection(asyncio.Protocol):
    def __init__(self, capacity: _Capacity) -> None:
        self._capacity = capacity
        self._unread = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._unread += data
        head, found, rest = self._unread.partition(b"\r\n\r\n")
        if not found:
            return
        if head.startswith(b"GET"):
            self._unread = rest
            self.answer(json.dumps(self._capacity.times).encode())
            return
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        if len(rest) < length:
            return
        self._unread = rest[length:]
        message = json.loads(rest[:length])["message"]
        self._capacity.times[message.get("fid") or message.get("token")] += 1
        self._capacity.take(self)

    def answer(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        if not self._transport.is_closing():
            self._transport.write(head % len(body) + body)


async def _serve(capacity: _Capacity) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(capacity), "127.0.0.1", 0, backlog=512)
    print(f"ready http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(_Capacity(float(sys.argv[1]), int(sys.argv[2]))))
