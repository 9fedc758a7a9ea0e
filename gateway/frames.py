"""WebSocket frames (RFC 6455, section 5): written, and cut out of what arrives.

Nearly all that arrives is one whole masked text a frame. That is opened here; anything else stays as it came, for the
library, which alone knows what is right and what is wrong about it.
"""

from __future__ import annotations

_WHOLE_TEXT = 0x81
_FINAL = 0x80
_MASKED = 0x80
_CONTROL = 0x08


def frame(payload: bytes) -> bytes:
    """A whole text without a mask, as a server sends it."""
    size = len(payload)
    if size < 126:
        return b"\x81" + bytes((size,)) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


class Cutter:
    """What arrives on one connection, frame by frame."""

    def __init__(self, size_most: int) -> None:
        """``size_most`` is in bytes, of a text that is opened here."""
        self._size_most = size_most
        self._rest = b""
        # Of a frame that is not opened here, how many bytes are still to come.
        self._owed = 0
        self._within_parts = False

    def cut(self, data: bytes) -> list[str | bytes]:
        """What is complete now: each text that was opened, and in between the bytes of other frames as they come."""
        data = self._rest + data
        found: list[str | bytes] = []
        at = 0
        while at < len(data):
            if self._owed:
                found.append(data[at : at + self._owed])
                at += len(found[-1])
                self._owed -= len(found[-1])
                continue
            frame = _head(data, at)
            if frame is None:
                break
            begin, end = frame
            if not self._is_plain(data, at, begin, end):
                self._leave_to_the_library(data[at], end - at)
            elif end > len(data):
                break
            elif (text := _text(data, begin, end)) is None:
                self._owed = end - at
            else:
                found.append(text)
                at = end
        self._rest = data[at:]
        return found

    def _is_plain(self, data: bytes, at: int, begin: int, end: int) -> bool:
        """A whole text, masked, its length written in the shortest way, and not in the middle of another message."""
        size = end - begin
        shortest = 6 if size < 126 else 8 if size < 65_536 else 14
        return (
            data[at] == _WHOLE_TEXT
            and data[at + 1] & _MASKED != 0
            and begin - at == shortest
            and size <= self._size_most
            and not self._within_parts
        )

    def _leave_to_the_library(self, first: int, size: int) -> None:
        self._owed = size
        if not first & _CONTROL:
            self._within_parts = not first & _FINAL


def _head(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the payload of the frame begins and ends; None where too little has arrived to know."""
    if len(data) - at < 2:
        return None
    size, begin = data[at + 1] & 0x7F, at + 2
    if size >= 126:
        begin += 2 if size == 126 else 8
        if begin > len(data):
            return None
        size = int.from_bytes(data[at + 2 : begin], "big")
    begin += 4 if data[at + 1] & _MASKED else 0
    return begin, begin + size


def _text(data: bytes, begin: int, end: int) -> str | None:
    """The text of a masked payload; None where it is no UTF-8."""
    size = end - begin
    key = (data[begin - 4 : begin] * (size // 4 + 1))[:size]
    plain = int.from_bytes(data[begin:end], "little") ^ int.from_bytes(key, "little")
    try:
        return plain.to_bytes(size, "little").decode()
    except UnicodeDecodeError:
        return None
