"""Frames by hand say what the library says of them, however they arrive."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request, TextMessage
from wsproto.frame_protocol import FrameProtocol

from gateway.frames import Cutter, frame

MOST = 70_000
KEY = b"\x01\x80\xff\x10"


def masked(first: int, payload: bytes, key: bytes = KEY) -> bytes:
    """A frame as a phone sends it."""
    size = len(payload)
    head = bytes((first, 0x80 | size)) if size < 126 else bytes((first, 0xFE)) + size.to_bytes(2, "big")
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


def cut_at(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[one:two] for one, two in zip(edges, edges[1:], strict=False)]


def joined(found: list[str | bytes]) -> list[str | bytes]:
    """The same with the bytes between two texts in one: the library does not care where they were cut."""
    told: list[str | bytes] = []
    for one in found:
        if isinstance(one, bytes) and told and isinstance(told[-1], bytes):
            told[-1] += one
        else:
            told.append(one)
    return told


def as_the_library_reads(data: bytes) -> list[Any]:
    """Texts of whole messages, and the kind of every other event."""
    client, server = WSConnection(ConnectionType.CLIENT), WSConnection(ConnectionType.SERVER)
    server.receive_data(client.send(Request(host="here", target="/")))
    list(server.events())
    server.send(AcceptConnection())
    server.receive_data(data)
    return [event.data if isinstance(event, TextMessage) else type(event).__name__ for event in server.events()]


FRAMES = st.one_of(
    st.text(max_size=300).map(lambda text: masked(0x81, text.encode())),
    st.just(masked(0x81, b"so far so good " * 4000)),
    st.tuples(st.sampled_from([0x01, 0x02, 0x80, 0x82, 0x89, 0x8A]), st.binary(max_size=100)).map(
        lambda parts: masked(*parts)
    ),
    st.binary(max_size=20).map(lambda junk: masked(0x81, junk)),
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(FRAMES, max_size=6), st.lists(st.integers(0, 10**6), max_size=8))
def test_what_arrives_is_cut_into_the_same_frames_wherever_the_network_cuts_it(
    frames: list[bytes], places: list[int]
) -> None:
    at_once, piece_by_piece = Cutter(MOST), Cutter(MOST)
    whole = at_once.cut(b"".join(frames))
    pieces = [found for piece in cut_at(b"".join(frames), places) for found in piece_by_piece.cut(piece)]
    assert joined(pieces) == joined(whole)
    assert len(whole) == len(frames)
    for found, sent in zip(whole, frames, strict=True):
        # A text was opened as the library opens it; anything else is handed on as it came.
        assert found == sent or [found] == as_the_library_reads(sent)


def test_a_part_of_a_message_is_never_taken_for_a_whole_one() -> None:
    first, second, last = masked(0x01, b"one "), masked(0x81, b"between"), masked(0x80, b"two")
    assert Cutter(MOST).cut(first + second + last) == [first, second, last]
    assert Cutter(MOST).cut(first + last + second) == [first, last, "between"]


@pytest.mark.parametrize(
    "wrong",
    [
        b"\x81\x02hi",
        masked(0xC1, b"compressed"),
        b"\x81\xfe\x00\x02" + KEY + b"hi",
        masked(0x81, b"\xff\xfe"),
    ],
    ids=["without a mask", "reserved bits", "a length that is not the shortest", "no UTF-8"],
)
def test_what_the_library_has_to_judge_is_left_to_it(wrong: bytes) -> None:
    assert Cutter(MOST).cut(wrong) == [wrong]


def test_what_is_too_long_for_here_is_left_to_the_library_as_it_comes() -> None:
    cutter, head = Cutter(MOST), b"\x81\xff" + (MOST + 1).to_bytes(8, "big") + KEY
    assert cutter.cut(head) == [head]
    assert cutter.cut(b"a" * 100) == [b"a" * 100]


@given(st.sampled_from([0, 1, 125, 126, 65_535, 65_536]))
def test_a_frame_of_ours_is_read_by_the_library_as_it_was(size: int) -> None:
    reader = FrameProtocol(client=True, extensions=[])
    reader.receive_bytes(frame(b"a" * size))
    assert "".join(part.payload for part in reader.received_frames()) == "a" * size
