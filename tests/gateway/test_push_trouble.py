"""Whatever FCM answers, or does not: no address is ended wrongly, nobody else waits, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gateway import post, senders, service
from gateway.senders import FcmSender
from schemas.base import now
from tests.app import until
from tests.fcm import (
    HANG_UP,
    INVALID,
    SENDER_ID_MISMATCH,
    SILENCE,
    UNAVAILABLE,
    UNREGISTERED,
    Answer,
    Fcm,
    failure,
    fcm_standin,
    sent,
    too_many,
)
from tests.push import a_phone_of, make_due, pushing
from tests.store import EmbeddedStore

PASSES = {
    "503": (UNAVAILABLE, None),
    "503 with a time": (failure(503, "UNAVAILABLE", "UNAVAILABLE", retry_after="40"), 40),
    "429": (too_many(), 60),
    "429 with a time": (too_many("90"), 90),
    "500": (failure(500, "INTERNAL", "INTERNAL"), None),
    "401": (failure(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"), 300),
    "403": (failure(403, "PERMISSION_DENIED"), 300),
    "404 of a project": (failure(404, "NOT_FOUND"), 300),
    "404 of a proxy": (Answer(404, b"<html>No such page</html>"), 300),
    "garbage": (Answer(200, b"<html>Sign in to this network</html>"), None),
    "garbage with 502": (Answer(502, b'{"error": "bad gateway"}'), None),
    "half an answer": (Answer(200, b'{"name": '), None),
    "it hangs up": (HANG_UP, None),
    "nothing at all": (SILENCE, None),
}


@pytest.fixture
def fcm(embedded_store: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fcm]:
    monkeypatch.setattr(senders, "_TIMEOUT_SECONDS", 1)
    with fcm_standin() as standin:
        sender = FcmSender(None, standin.url, None)
        monkeypatch.setattr(post, "sender", lambda: sender)
        with pushing(embedded_store.url, tmp_path / "log.sqlite", monkeypatch):
            yield standin
        sender.close()


def delivery_of(person: str) -> dict[str, object]:
    (delivery,) = post.deliveries().find({"person": person})
    return dict(delivery)


def step() -> None:
    for one in post.POSTS.values():
        one.step(0.01)


def push_to_both(fcm: Fcm, trouble: Answer) -> tuple[str, str]:
    """Sam, with whom there is trouble, and then Rosa are told of a thing; returns their addresses."""
    sams, rosas = a_phone_of("sam"), a_phone_of("rosa")
    fcm.answer(trouble, sams)
    post.make("cause", "goal", "goal", list(service.store.collection("devices").find().sort("person", -1)))
    until(lambda: step() or delivery_of("rosa")["state"] == "sent", "nobody else waits")
    until(lambda: step() or not post.POSTS["person"].on_the_way, "there is an outcome")
    return sams, rosas


def asked_for(fcm: Fcm, address: str) -> int:
    return sum(message.get("fid") == address for message in fcm.messages)


@pytest.mark.parametrize("trouble", PASSES)
def test_what_passes_is_waited_for_and_then_sent(fcm: Fcm, trouble: str) -> None:
    answer, pause = PASSES[trouble]
    began = now()
    sams, _ = push_to_both(fcm, answer)
    waiting = delivery_of("sam")
    assert (waiting["state"], waiting["claim"]) == ("made", None)
    assert waiting["why"]
    due = waiting["due"]["person"]  # type: ignore[index]
    if pause is None:
        assert now() - timedelta(seconds=5) < due <= now() + timedelta(seconds=post.FIRST_PAUSE_SECONDS)
    else:
        assert began + timedelta(seconds=pause) <= due <= now() + timedelta(seconds=pause)
    assert service.store.collection("devices").count_documents({"person": "sam"}) == 1
    before = asked_for(fcm, sams)
    fcm.answer(sent(), sams)
    make_due(person="sam")
    assert delivery_of("sam")["state"] == "sent"
    assert asked_for(fcm, sams) == before + 1


@pytest.mark.parametrize("answer", [INVALID, Answer(413, b"")], ids=["400", "413"])
def test_what_can_never_work_fails_and_leaves_the_device(fcm: Fcm, answer: Answer) -> None:
    sams, _ = push_to_both(fcm, answer)
    failed = delivery_of("sam")
    assert failed["state"] == "failed"
    assert failed["why"]
    assert service.store.collection("devices").count_documents({"person": "sam"}) == 1
    make_due()
    assert asked_for(fcm, sams) == 1


@pytest.mark.parametrize("answer", [UNREGISTERED, SENDER_ID_MISMATCH], ids=["unregistered", "of another sender"])
def test_only_an_address_that_fcm_no_longer_knows_is_ended(fcm: Fcm, answer: Answer) -> None:
    push_to_both(fcm, answer)
    assert delivery_of("sam")["state"] == "failed"
    assert {device["person"] for device in service.store.collection("devices").find()} == {"rosa"}
