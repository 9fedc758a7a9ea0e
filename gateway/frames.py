"""WebSocket frames (RFC 6455, section 5): written, and cut out of what arrives.

Nearly all that arrives is one whole masked text a frame. That is opened here; anything else stays as it came, whole, for
the library, which alone knows what is right and what is wrong about it.
"""

from __future__ import annotations

_WHOLE_TEXT = 0x81
_FINAL = 0x80
_CONTROL = 0x08


class TooLong(Exception):
    """A frame that says it is longer than anybody may send."""


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
        """``size_most`` is in bytes, of one frame."""
        self._size_most = size_most
        self._rest = b""
        self._within_parts = False

    def cut(self, data: bytes) -> list[str | bytes]:
        """The frames that are complete now: a text that was opened, or the bytes of any other frame.

        Raises:
            TooLong: nothing after it can be read.
        """
        data = self._rest + data
        found: list[str | bytes] = []
        at, end = 0, len(data)
        while end - at >= 2:
            size, head = data[at + 1] & 0x7F, at + 2
            if size >= 126:
                head += 2 if size == 126 else 8
                size = int.from_bytes(data[at + 2 : head], "big")
            key = head + 4 if data[at + 1] & 0x80 else head
            if key + size > end:
                if size > self._size_most and head <= end:
                    raise TooLong
                break
            found.append(self._opened(data, at, head, key, key + size))
            at = key + size
        self._rest = data[at:]
        return found

    def _opened(self, data: bytes, at: int, head: int, begin: int, end: int) -> str | bytes:
        first = data[at]
        if first == _WHOLE_TEXT and begin > head and not self._within_parts and _is_shortest(head - at, end - begin):
            try:
                return _unmasked(data[head:begin], data[begin:end]).decode()
            except UnicodeDecodeError:
                return data[at:end]
        if not first & _CONTROL:
            self._within_parts = not first & _FINAL
        return data[at:end]


def _is_shortest(head: int, size: int) -> bool:
    return head == (2 if size < 126 else 4 if size < 65_536 else 10)


def _unmasked(mask: bytes, masked: bytes) -> bytes:
    size = len(masked)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(masked, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")
