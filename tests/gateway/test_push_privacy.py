"""Over every kind of event: nothing leaves but the contract's four fields, a neutral word and what carries them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from gateway import post, service
from gateway.senders import Sender
from gateway.webpush import new_private_key
from infra.ids import new_id
from schemas.base import Event
from schemas.catalogue import EVENTS
from schemas.chat import MessageSent
from schemas.fields import hints_of
from tests.fcm import Fcm, fcm_standin
from tests.gateway.test_senders import FIXED, strings_of
from tests.push import a_phone_of, hear, pushing, unfold_all
from tests.schemas.events import any_event
from tests.store import EmbeddedStore
from tests.webpush import Browser, PushService, push_service

NEUTRAL = {"en": {"New message", "Reminder", "Update"}, "es": {"Mensaje nuevo", "Recordatorio", "Novedades"}}
# Of a request to a push service: what HTTP and the standards ask for, each with the only values it may have.
CARRIES = {
    "accept-encoding": {"identity"},
    "content-encoding": {"aes128gcm"},
    "content-type": {"application/octet-stream"},
    "ttl": {"86400"},
    "urgency": {"high"},
    "user-agent": {f"python-urllib3/{version('urllib3')}"},
}
VARIES = {"authorization", "content-length", "host", "topic"}


class Outside(NamedTuple):
    """Whoever carries pushes, a phone in Spanish and a browser in English."""

    fcm: Fcm
    service: PushService
    address: str
    browser: Browser


@pytest.fixture(scope="module")
def outside(embedded_store: EmbeddedStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    with ExitStack() as stack, pytest.MonkeyPatch.context() as monkeypatch:
        fcm, browsers = stack.enter_context(fcm_standin()), stack.enter_context(push_service())
        log: Path = tmp_path_factory.mktemp("log") / "log.sqlite"
        given = {"fcm_endpoint": fcm.url, "vapid_private_key": new_private_key()}
        stack.enter_context(pushing(embedded_store.url, log, monkeypatch, **given))
        sender: Sender = post.open_sender(service.settings)
        stack.callback(sender.close)
        monkeypatch.setattr(post, "sender", lambda: sender)
        browser = Browser(f"{browsers.url}/send/{new_id()}")
        address = a_phone_of("sam", "pocket", language="es")
        a_phone_of("sam", "desk", kind="webpush", value=browser.value)
        yield Outside(fcm, browsers, address, browser)


def told_to_sam(event: Event) -> Event:
    """The same event, which tells Sam, who has something to read where it is about messages."""
    if isinstance(event, MessageSent):
        event = replace(event, tell=["sam", "maya"], senders=["maya"], to_seq=event.from_seq)
        between = {"members": ["maya", "sam"], "owner": "maya", "kind": "on_duty"}
        service.store.collection("conversations").update_one(
            {"_id": event.conversation_id}, {"$set": between}, upsert=True
        )
        message = {"c": event.conversation_id, "seq": event.to_seq, "sender": "maya", "cmid": event.id}
        service.store.collection("messages").update_one({"_id": event.id}, {"$set": message}, upsert=True)
        return event
    return replace(event, tell=["sam"]) if "tell" in hints_of(type(event)) else event


def is_pushed(kind: type[Event]) -> bool:
    return kind is MessageSent or (kind.hint is not None and kind.hint.push is not None)


def test_there_are_events_of_every_kind_of_push() -> None:
    pushed = {kind.hint.push for kind in EVENTS.values() if kind.hint is not None and is_pushed(kind)}
    assert pushed | {"event"} >= {"alert", "goal", "notice", "message"}


@pytest.mark.parametrize("kind", EVENTS.values(), ids=lambda kind: kind.__name__)
def test_nothing_but_the_contract_leaves(outside: Outside, kind: type[Event]) -> None:
    @settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=5, phases=[Phase.generate])
    @given(any_event(kind))
    def walk(event: Event) -> None:
        heard = told_to_sam(event)
        outside.fcm.bodies.clear()
        outside.service.requests.clear()
        hear(replace(heard, id=new_id()))
        unfold_all()
        if not is_pushed(kind):
            assert (outside.fcm.bodies, outside.service.requests) == ([], [])
            return
        # Heard before in this walk, by what hypothesis likes to make again: then nothing leaves at all.
        for body in outside.fcm.bodies:
            check_phone(outside, heard, json.loads(body))
        for request in outside.service.requests:
            check_browser(outside, heard, request)
        left.append(len(outside.fcm.bodies) + len(outside.service.requests))

    left: list[int] = []
    walk()
    assert not is_pushed(kind) or 2 in left, "the walk showed nothing"


def ref_of(event: Event) -> str:
    return str(event.conversation_id if isinstance(event, MessageSent) else getattr(event, event.hint.fields[-1]))  # type: ignore[union-attr]


def check_fields(event: Event, fields: dict[str, Any], badge: Any) -> None:
    kind = "message" if isinstance(event, MessageSent) else event.hint.push  # type: ignore[union-attr]
    assert set(fields) == {"v", "kind", "ref", "badge"}
    assert (str(fields["v"]), fields["kind"], fields["ref"]) == ("1", kind, ref_of(event))
    assert isinstance(fields["badge"], badge)
    assert int(fields["badge"]) >= 0


def check_phone(outside: Outside, event: Event, sent: dict[str, Any]) -> None:
    message = sent["message"]
    check_fields(event, message["data"], str)
    assert set(message["notification"]) == {"body"}
    assert message["notification"]["body"] in NEUTRAL["es"]
    expiry = message["apns"]["headers"]["apns-expiration"]
    assert expiry.isdecimal()
    ours = {*message["data"].values(), message["notification"]["body"], outside.address, expiry}
    assert set(strings_of(sent)) - FIXED <= ours


def check_browser(outside: Outside, event: Event, request: Any) -> None:
    check_fields(event, json.loads(outside.browser.read(request.body)), int)
    assert set(request.headers) <= set(CARRIES) | VARIES
    for name in set(request.headers) - VARIES:
        assert request.headers[name] in CARRIES[name], name
    said = " ".join(value for name, value in request.headers.items() if name not in ("authorization", "host"))
    assert ref_of(event) not in said or len(ref_of(event)) < 4
