"""How a push leaves, against a stand-in that speaks FCM's own protocol."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.senders import (
    ByKind,
    FcmSender,
    Kind,
    Outcome,
    Push,
    RecordingSender,
    Sender,
    Target,
    open_sender,
    payload,
    words,
)
from tests.fcm import (
    HANG_UP,
    INVALID,
    SENDER_ID_MISMATCH,
    UNAVAILABLE,
    UNREGISTERED,
    Answer,
    Fcm,
    failure,
    fcm_standin,
    sent,
    service_account,
    too_many,
)
from tests.world import settings_for

KINDS: tuple[Kind, ...] = ("message", "alert", "session", "goal", "notice", "event")
PUSH = Push("message", "conversation-1", 3, "en", "conversation-1")
# Nothing listens on the discard port.
NOWHERE = "http://127.0.0.1:9/token"
PHONE = Target("phone", "fcm", "fake-installation-id")
HEALTH_WORDS = (
    "alert",
    "risk",
    "craving",
    "lapse",
    "relapse",
    "sober",
    "sobriety",
    "recovery",
    "urgent",
    "crisis",
    "help",
)


@pytest.fixture
def fcm() -> Iterator[Fcm]:
    with fcm_standin() as standin:
        yield standin


@pytest.fixture
def sender(fcm: Fcm) -> Iterator[FcmSender]:
    sender = FcmSender(None, fcm.url, None)
    yield sender
    sender.close()


def strings_of(value: Any) -> list[str]:
    """Every string at any depth of a JSON value, names and values alike."""
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in strings_of(part)]
    return [str(value)]


def test_a_push_that_fcm_takes_is_sent(fcm: Fcm, sender: FcmSender) -> None:
    assert sender.send(PUSH, PHONE) == Outcome("phone", "sent")
    assert fcm.paths == ["/v1/projects/demo-alongside/messages:send"]


@pytest.mark.parametrize("answer", [UNREGISTERED, SENDER_ID_MISMATCH], ids=["unregistered", "of another sender"])
def test_an_address_that_fcm_no_longer_knows_is_ended(fcm: Fcm, sender: FcmSender, answer: Answer) -> None:
    fcm.answer(answer)
    outcome = sender.send(PUSH, PHONE)
    assert outcome.state == "gone"
    assert outcome.why


@pytest.mark.parametrize(
    "answer",
    [
        UNAVAILABLE,
        failure(500, "INTERNAL", "INTERNAL"),
        failure(504, "DEADLINE_EXCEEDED"),
        Answer(502, b"<html>Bad gateway</html>"),
        Answer(502, b'{"error": "bad gateway"}'),
        Answer(500, b"\xff\xfe"),
        Answer(408, b""),
        too_many(),
        HANG_UP,
        failure(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"),
        failure(403, "PERMISSION_DENIED"),
        failure(404, "NOT_FOUND"),
        Answer(404, b"<html>No such page</html>"),
        Answer(200, b"<html>Sign in to this network</html>"),
        Answer(200, b"[]"),
        Answer(200, b"{}"),
    ],
    ids=lambda answer: f"{answer.status} {answer.body[:24]!r}",
)
def test_trouble_that_may_pass_is_tried_again_later(fcm: Fcm, sender: FcmSender, answer: Answer) -> None:
    fcm.answer(answer)
    outcome = sender.send(PUSH, PHONE)
    assert outcome.state == "later"
    assert outcome.why


@pytest.mark.parametrize(
    "answer",
    [
        INVALID,
        Answer(413, b""),
    ],
    ids=lambda answer: f"{answer.status} {answer.body[:24]!r}",
)
def test_what_can_never_work_is_refused_and_its_address_kept(fcm: Fcm, sender: FcmSender, answer: Answer) -> None:
    fcm.answer(answer)
    outcome = sender.send(PUSH, PHONE)
    assert outcome.state == "refused"
    assert outcome.why


def test_a_stand_in_that_is_not_there_is_tried_again_later() -> None:
    with fcm_standin() as fcm:
        sender = FcmSender(None, fcm.url, None)
        assert sender.send(PUSH, PHONE) == Outcome("phone", "sent")
    outcome = sender.send(PUSH, PHONE)
    assert outcome.state == "later"
    sender.close()


def test_a_sender_survives_that_the_other_side_was_restarted() -> None:
    with fcm_standin() as fcm:
        sender = FcmSender(None, fcm.url, None)
        sender.send(PUSH, PHONE)
    with fcm_standin(port=int(fcm.url.rsplit(":", 1)[1])):
        assert sender.send(PUSH, PHONE) == Outcome("phone", "sent")
    sender.close()


@pytest.mark.parametrize(
    ("asked", "pause"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("9" * 400, 86_400.0),
        ("soon", 60.0),
        (None, 60.0),
    ],
)
def test_a_rate_that_is_too_high_says_how_long_to_wait(
    fcm: Fcm, sender: FcmSender, asked: str | None, pause: float
) -> None:
    fcm.answer(too_many(asked))
    outcome = sender.send(PUSH, PHONE)
    assert (outcome.state, outcome.retry_after) == ("later", pause)


def test_a_wait_until_a_date_is_told_in_seconds(fcm: Fcm, sender: FcmSender) -> None:
    fcm.answer(too_many(format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)))
    outcome = sender.send(PUSH, PHONE)
    assert outcome.retry_after is not None
    assert 3600 < outcome.retry_after <= 7200


def test_no_request_is_repeated_or_slept_upon_inside_a_send(fcm: Fcm, sender: FcmSender) -> None:
    # A wait of an hour that firebase-admin or urllib3 kept by themselves would run into this test's time limit.
    fcm.answer(failure(503, "UNAVAILABLE", "UNAVAILABLE", retry_after="3600"))
    outcome = sender.send(PUSH, PHONE)
    assert (outcome.state, outcome.retry_after) == ("later", 3600.0)
    assert len(fcm.bodies) == 1


def test_many_threads_send_at_once_and_each_hears_of_its_own_push(fcm: Fcm, sender: FcmSender) -> None:
    answers = {"sent": sent(), "gone": UNREGISTERED, "later": UNAVAILABLE, "refused": INVALID}
    states = [list(answers)[number % 4] for number in range(120)]
    targets = [Target(f"device-{n}", "fcm", f"address-{n}") for n in range(len(states))]
    for target, state in zip(targets, states, strict=True):
        fcm.answer(answers[state], target.value)
    with ThreadPoolExecutor(30) as threads:
        outcomes = list(threads.map(lambda target: sender.send(PUSH, target), targets))
    assert [outcome.device_id for outcome in outcomes] == [target.device_id for target in targets]
    assert [outcome.state for outcome in outcomes] == states


def test_why_is_short_and_never_holds_the_address(fcm: Fcm, sender: FcmSender) -> None:
    fcm.answer(Answer(400, b"no such device: " + PHONE.value.encode() + b"\n" * 9 + b"x" * 9000))
    outcome = sender.send(PUSH, PHONE)
    assert outcome.why is not None
    assert PHONE.value not in outcome.why
    assert "\n" not in outcome.why
    assert len(outcome.why) < 300


def test_an_empty_address_is_refused_without_a_request(fcm: Fcm, sender: FcmSender) -> None:
    assert sender.send(PUSH, Target("nowhere", "fcm", "")).state == "refused"
    assert fcm.bodies == []


def test_an_installation_id_and_an_older_token_each_go_in_their_own_field(fcm: Fcm, sender: FcmSender) -> None:
    sender.send(PUSH, PHONE)
    sender.send(PUSH, Target("older", "fcm", "fake-installation-id:fake-token"))
    assert [(message.get("fid"), message.get("token")) for message in fcm.messages] == [
        ("fake-installation-id", None),
        (None, "fake-installation-id:fake-token"),
    ]


def test_a_stand_in_never_sees_the_credential(fcm: Fcm, tmp_path: Path) -> None:
    sender = FcmSender(service_account(tmp_path, NOWHERE), fcm.url, None)
    assert sender.send(PUSH, PHONE) == Outcome("phone", "sent")
    assert fcm.authorizations == [None]
    sender.close()


def test_a_phone_is_woken_and_shows_a_later_push_over_the_earlier(fcm: Fcm, sender: FcmSender) -> None:
    sender.send(PUSH, PHONE)
    [message] = fcm.messages
    assert message["android"]["priority"] == "high"
    assert message["android"]["ttl"] == "86400s"
    assert message["android"]["collapse_key"] == "conversation-1"
    assert message["android"]["notification"]["tag"] == "conversation-1"
    assert message["apns"]["headers"]["apns-push-type"] == "alert"
    assert message["apns"]["headers"]["apns-priority"] == "10"
    assert message["apns"]["headers"]["apns-collapse-id"] == "conversation-1"
    assert message["apns"]["payload"] == {"aps": {"badge": 3, "sound": "default"}}


def test_a_push_that_replaces_nothing_names_no_key(fcm: Fcm, sender: FcmSender) -> None:
    sender.send(PUSH._replace(collapse=None), PHONE)
    [message] = fcm.messages
    assert "collapse_key" not in message["android"]
    assert "tag" not in message["android"]["notification"]
    assert "apns-collapse-id" not in message["apns"]["headers"]


# Everything of an FCM message that is ours to write once and for all: the names of its fields and its fixed settings.
FIXED = {
    *("message", "data", "v", "1", "kind", "ref", "badge", "notification", "body", "fid"),
    *(
        "android",
        "collapse_key",
        "tag",
        "notification_count",
        "default_sound",
        "True",
        "priority",
        "high",
        "ttl",
        "86400s",
    ),
    *("apns", "headers", "apns-push-type", "alert", "apns-priority", "10", "apns-expiration", "apns-collapse-id"),
    *("payload", "aps", "sound", "default"),
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(KINDS),
    ref=st.text(min_size=1),
    badge=st.integers(min_value=0),
    language=st.text() | st.sampled_from(["es", "es-MX", "en", "de-CH"]),
)
def test_nothing_but_the_four_fields_and_a_neutral_phrase_leaves(
    fcm: Fcm, sender: FcmSender, kind: Kind, ref: str, badge: int, language: str
) -> None:
    push = Push(kind, ref, badge, language, "group-1")
    assert sender.send(push, PHONE) == Outcome("phone", "sent")
    message = json.loads(fcm.bodies[-1])["message"]
    expiry = message["apns"]["headers"]["apns-expiration"]
    assert expiry.isdecimal()
    assert message["data"] == {"v": "1", "kind": kind, "ref": ref, "badge": str(badge)}
    assert message["notification"] == {"body": words(push)}
    ours = {kind, ref, str(badge), words(push), "group-1", PHONE.value, expiry}
    assert set(strings_of(json.loads(fcm.bodies[-1]))) - FIXED <= ours


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("language", "phrases"),
    [
        ("en-GB", {"New message", "Reminder", "Update"}),
        ("es", {"Mensaje nuevo", "Recordatorio", "Novedades"}),
        ("es-419", {"Mensaje nuevo", "Recordatorio", "Novedades"}),
        ("ES_mx", {"Mensaje nuevo", "Recordatorio", "Novedades"}),
        ("est", {"New message", "Reminder", "Update"}),
        ("", {"New message", "Reminder", "Update"}),
    ],
)
def test_the_words_are_neutral_and_in_the_language_of_the_device(kind: Kind, language: str, phrases: set[str]) -> None:
    shown = words(Push(kind, "ref", 1, language))
    assert shown in phrases
    assert not any(word in shown.lower() for word in HEALTH_WORDS)


def test_no_phrase_is_an_alerts_alone() -> None:
    assert words(Push("alert", "ref", 1)) in {words(Push(kind, "ref", 1)) for kind in KINDS if kind != "alert"}


def test_the_payload_is_the_contracts_four_fields_as_strings() -> None:
    assert payload(Push("goal", "g-1", 0)) == {"v": "1", "kind": "goal", "ref": "g-1", "badge": "0"}


def opened(**settings: Any) -> Sender:
    return open_sender(settings_for("mongodb://127.0.0.1:9/", "sqlite:///nowhere", **settings))


def test_without_settings_every_push_is_refused_aloud() -> None:
    sender = opened()
    assert sender.send(PUSH, PHONE) == Outcome("phone", "refused", "push is not configured")
    browser = Target("browser", "webpush", "{}")
    assert sender.send(PUSH, browser) == Outcome("browser", "refused", "web push is not configured")


def test_an_endpoint_alone_is_enough_to_send(fcm: Fcm) -> None:
    sender = opened(fcm_endpoint=fcm.url + "/")
    assert sender.send(PUSH, PHONE) == Outcome("phone", "sent")
    assert fcm.paths == ["/v1/projects/demo-alongside/messages:send"]
    sender.close()


def test_a_project_that_a_setting_names_is_the_one_in_the_path(fcm: Fcm) -> None:
    sender = FcmSender(None, fcm.url, "our-project")
    sender.send(PUSH, PHONE)
    assert fcm.paths == ["/v1/projects/our-project/messages:send"]
    sender.close()


def test_a_credential_that_is_not_there_fails_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere.json"):
        opened(firebase_credentials=str(tmp_path / "nowhere.json"))


def test_a_credential_whose_token_cannot_be_had_now_is_tried_again_later(tmp_path: Path) -> None:
    sender = FcmSender(service_account(tmp_path, NOWHERE), None, None)
    outcome = sender.send(PUSH, PHONE)
    assert outcome.state == "later"
    sender.close()


def test_a_credential_that_google_takes_no_more_can_be_mended_within_the_day(tmp_path: Path) -> None:
    with fcm_standin() as google:
        google.elsewhere = Answer(400, b'{"error": "invalid_grant", "error_description": "Invalid JWT."}')
        sender = FcmSender(service_account(tmp_path, f"{google.url}/token"), None, None)
        outcome = sender.send(PUSH, PHONE)
        assert (outcome.state, outcome.retry_after) == ("later", 300.0)
        assert outcome.why is not None
        assert "invalid_grant" in outcome.why
        sender.close()


def test_the_private_names_that_the_adapter_relies_on_are_still_there(tmp_path: Path) -> None:
    from firebase_admin import messaging

    sender = FcmSender(service_account(tmp_path, NOWHERE), None, None)
    service = messaging._get_messaging_service(sender._app)
    assert service._fcm_url == messaging._MessagingService.FCM_URL.format("our-project")
    assert service._fcm_url == "https://fcm.googleapis.com/v1/projects/our-project/messages:send"
    assert service._client.session.get_adapter(service._fcm_url).max_retries.total == 0
    sender.close()


def test_importing_the_senders_does_not_import_firebase() -> None:
    code = "import gateway.senders, sys; print([name for name in sys.modules if name.startswith('firebase')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_sender_is_the_one_for_the_kind_of_the_device() -> None:
    phones, browsers = RecordingSender(), RecordingSender()
    sender = ByKind({"fcm": phones, "webpush": browsers})
    browser = Target("browser", "webpush", "{}")
    sender.send(PUSH, browser)
    sender.send(PUSH, PHONE)
    assert (phones.sent, browsers.sent) == ([(PUSH, PHONE)], [(PUSH, browser)])


def test_the_recording_sender_keeps_what_was_sent_and_answers_what_it_was_told() -> None:
    sender = RecordingSender()
    sender.answer("phone", "later", "busy", 5.0)
    tablet = Target("tablet", "fcm", "b")
    assert sender.send(PUSH, PHONE) == Outcome("phone", "later", "busy", 5.0)
    assert sender.send(PUSH, tablet) == Outcome("tablet", "sent")
    assert sender.sent == [(PUSH, PHONE), (PUSH, tablet)]
