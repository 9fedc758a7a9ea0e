"""Push to browsers: encrypted and signed as the standards say, and never a way into our own network."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import urllib3
from py_vapid import Vapid

from gateway import webpush
from gateway.senders import Kind, Outcome, Push, Target
from gateway.webpush import BadSubscription, NotPublic, WebPushSender, new_private_key, public_key, read_subscription
from tests.fcm import Answer
from tests.webpush import SILENCE, TRICKLE, Browser, PushService, base64url, push_service

KEY = new_private_key()
CONTACT = "mailto:operator@example.org"
PUSH = Push("message", "conversation-1", 3, "en", "conversation-1")
KINDS: tuple[Kind, ...] = ("message", "alert", "session", "goal", "notice", "event")
PUBLIC = "https://push.example.org/send/abc"


@pytest.fixture
def service() -> Iterator[PushService]:
    with push_service() as service:
        yield service


@pytest.fixture
def browser(service: PushService) -> Browser:
    return Browser(f"{service.url}/send/secret-of-the-browser")


@pytest.fixture
def sender() -> Iterator[WebPushSender]:
    sender = WebPushSender(KEY, CONTACT, b"k" * 32, loopback=True)
    yield sender
    sender.close()


def target(browser: Browser) -> Target:
    return Target("browser", "webpush", browser.value)


def test_a_browser_reads_exactly_the_four_fields(service: PushService, browser: Browser, sender: WebPushSender) -> None:
    assert sender.send(PUSH, target(browser)) == Outcome("browser", "sent")
    [request] = service.requests
    assert json.loads(browser.read(request.body)) == {"v": 1, "kind": "message", "ref": "conversation-1", "badge": 3}
    assert request.path == "/send/secret-of-the-browser"


@pytest.mark.parametrize("kind", KINDS)
def test_whoever_carries_it_cannot_tell_one_push_from_another(
    service: PushService, browser: Browser, sender: WebPushSender, kind: Kind
) -> None:
    sender.send(Push(kind, "r", 0, "es", "r"), target(browser))
    sender.send(Push("message", "r" * 64, 1234, "en", "r" * 64), target(browser))
    one, other = service.requests
    assert len(one.body) == len(other.body)
    varying = ("authorization", "topic")
    same = [{name: said for name, said in request.headers.items() if name not in varying} for request in (one, other)]
    assert same[0] == same[1]
    assert (one.headers["urgency"], one.headers["ttl"]) == ("high", str(int(timedelta(days=1).total_seconds())))
    assert one.headers["content-encoding"] == "aes128gcm"


def test_the_topic_is_the_same_for_a_thing_and_tells_nothing_of_it(
    service: PushService, browser: Browser, sender: WebPushSender
) -> None:
    sender.send(PUSH, target(browser))
    sender.send(PUSH._replace(badge=9), target(browser))
    sender.send(PUSH._replace(collapse="conversation-2"), target(browser))
    sender.send(PUSH._replace(collapse=None), target(browser))
    another = WebPushSender(KEY, CONTACT, b"another key of thirty-two bytes.", loopback=True)
    another.send(PUSH, target(browser))
    another.close()
    topics = [request.headers.get("topic") for request in service.requests]
    assert topics[0] == topics[1]
    assert topics[3] is None
    assert len({*topics}) == 4
    for topic in topics[:3]:
        assert topic is not None
        assert len(topic) == 32
        assert "conversation" not in topic
    for request in service.requests:
        assert "conversation" not in " ".join(request.headers.values())


def test_the_push_service_can_check_who_sends_and_whom_to_write_to(
    service: PushService, browser: Browser, sender: WebPushSender
) -> None:
    sender.send(PUSH, target(browser))
    [request] = service.requests
    scheme, _, rest = request.headers["authorization"].partition(" ")
    said = dict(part.split("=", 1) for part in rest.split(","))
    assert (scheme, said["k"]) == ("vapid", public_key(KEY))
    assert Vapid.verify(request.headers["authorization"])
    payload = said["t"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["aud"] == service.url
    assert claims["sub"] == CONTACT
    assert time.time() < claims["exp"] <= time.time() + 24 * 3600


def test_a_key_and_its_public_half_have_the_forms_that_browsers_take() -> None:
    key = new_private_key()
    point = base64.urlsafe_b64decode(public_key(key) + "=")
    assert (len(base64.urlsafe_b64decode(key + "=")), len(point), point[0]) == (32, 65, 4)
    assert public_key(key) == public_key(key) != public_key(new_private_key())


@pytest.mark.parametrize("status", [404, 410])
def test_only_what_the_push_service_no_longer_knows_is_ended(
    service: PushService, browser: Browser, sender: WebPushSender, status: int
) -> None:
    service.answer(Answer(status, b"no longer"))
    outcome = sender.send(PUSH, target(browser))
    assert outcome.state == "gone"


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        (Answer(503, b"busy"), None),
        (Answer(503, b"busy", {"Retry-After": "7"}), 7.0),
        (Answer(500, b"\xff\xfe"), None),
        (Answer(502, b"<html>Bad gateway</html>"), None),
        (Answer(429, b""), 60.0),
        (Answer(429, b"", {"Retry-After": "120"}), 120.0),
        (Answer(401, b"who?"), 300.0),
        (Answer(403, b"the key is another"), 300.0),
        (Answer(0, b""), None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_may_pass_is_tried_again_later(
    service: PushService, browser: Browser, sender: WebPushSender, answer: Answer, pause: float | None
) -> None:
    service.answer(answer)
    outcome = sender.send(PUSH, target(browser))
    assert (outcome.state, outcome.retry_after) == ("later", pause)
    assert outcome.why


@pytest.mark.parametrize("status", [400, 413, 418])
def test_what_can_never_work_is_refused_and_the_subscription_kept(
    service: PushService, browser: Browser, sender: WebPushSender, status: int
) -> None:
    service.answer(Answer(status, b"no"))
    assert sender.send(PUSH, target(browser)).state == "refused"


def test_nobody_is_led_elsewhere(service: PushService, browser: Browser, sender: WebPushSender) -> None:
    with push_service() as elsewhere:
        for status in (301, 302, 303, 307, 308):
            service.answer(Answer(status, b"", {"Location": f"{elsewhere.url}/inside"}))
            assert sender.send(PUSH, target(browser)).state == "refused"
        assert len(service.requests) == 5
        assert elsewhere.requests == []


def test_why_is_short_and_never_holds_the_address(
    service: PushService, browser: Browser, sender: WebPushSender
) -> None:
    service.answer(Answer(400, b"no such endpoint: " + browser.endpoint.encode() + b"\n" * 9 + b"x" * 100_000))
    outcome = sender.send(PUSH, target(browser))
    assert outcome.why is not None
    assert "secret-of-the-browser" not in outcome.why
    assert "\n" not in outcome.why
    assert len(outcome.why) < 300


def test_an_answer_without_an_end_is_not_read_to_its_end(
    service: PushService, browser: Browser, sender: WebPushSender
) -> None:
    service.answer(Answer(503, b"x" * 20_000_000))
    assert sender.send(PUSH, target(browser)).state == "later"
    service.answer(Answer(201, b""))
    assert sender.send(PUSH, target(browser)) == Outcome("browser", "sent")


@pytest.mark.parametrize("slow", [SILENCE, TRICKLE], ids=["says nothing", "says a byte now and then"])
def test_whoever_is_slow_is_hung_up_on(
    service: PushService, browser: Browser, monkeypatch: pytest.MonkeyPatch, slow: Answer
) -> None:
    monkeypatch.setattr(webpush, "_TIMEOUT", urllib3.Timeout(connect=5.0, read=1.5))
    monkeypatch.setattr(webpush, "ALTOGETHER_SECONDS", 1.0)
    sender = WebPushSender(KEY, CONTACT, b"k" * 32, loopback=True)
    service.answer(slow)
    # Without an end to its patience this would run into the test's own time limit.
    assert sender.send(PUSH, target(browser)).state == "later"
    service.answer(Answer(201, b""))
    assert sender.send(PUSH, target(browser)) == Outcome("browser", "sent")
    sender.close()


# -- addresses


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "ff0e::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
    ],
)
def test_an_endpoint_that_stands_for_an_address_of_our_own_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    known = {"inside.example.org": [address], "both.example.org": ["93.184.215.14", address]}
    monkeypatch.setattr(socket, "getaddrinfo", resolving(known))
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("connected"))
    sender = WebPushSender(KEY, CONTACT, b"k" * 32)
    for host in known:
        outcome = sender.send(PUSH, target(Browser(f"https://{host}/send")))
        assert outcome.state == "refused"
        assert outcome.why is not None
        assert address not in outcome.why
    sender.close()


def resolving(known: dict[str, list[str]]) -> Any:
    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in known[host]]

    return getaddrinfo


def test_a_connection_goes_to_the_very_address_that_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, connected = [], []
    public = resolving({"push.example.org": ["93.184.215.14"]})
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: asked.append(a[0]) or public(*a, **k))

    def create_connection(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", create_connection)
    sender = WebPushSender(KEY, CONTACT, b"k" * 32)
    assert sender.send(PUSH, target(Browser(PUBLIC))).state == "later"
    assert (asked, connected) == (["push.example.org"], [("93.184.215.14", 443)])
    sender.close()


def test_a_name_that_is_not_known_now_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolving({}))
    sender = WebPushSender(KEY, CONTACT, b"k" * 32)
    assert sender.send(PUSH, target(Browser(PUBLIC))).state == "later"
    sender.close()


def test_loopback_is_for_tests_alone(service: PushService, browser: Browser) -> None:
    assert webpush.public_address("127.0.0.1", 80, loopback=True) == "127.0.0.1"
    with pytest.raises(NotPublic):
        webpush.public_address("127.0.0.1", 80)
    sender = WebPushSender(KEY, CONTACT, b"k" * 32)
    assert sender.send(PUSH, target(browser)).state == "refused"
    assert service.requests == []
    sender.close()


# -- subscriptions


def test_a_browsers_subscription_is_read() -> None:
    browser = Browser(PUBLIC)
    found = read_subscription(browser.value, loopback=False)
    assert found.endpoint == PUBLIC
    padded = browser.subscription(keys={"auth": base64.urlsafe_b64encode(bytes(16)).decode()})
    assert read_subscription(padded, loopback=False).auth.endswith("==")
    assert read_subscription(Browser(PUBLIC).subscription(expirationTime=...), loopback=False)


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        *(
            ("endpoint", {"endpoint": wrong})
            for wrong in (
                None,
                7,
                "",
                "push.example.org",
                "http://push.example.org/a",
                "ftp://push.example.org/a",
                "https://",
                "https:///a",
                "https://127.0.0.1/a",
                "https://10.0.0.1/a",
                "https://2130706433/a",
                "https://localhost/a",
                "https://[::1]/a",
                "https://user:word@push.example.org/a",
                "https://push.example.org:port/a",
                "https://push.example.org\\@inside/a",
                "https://push.example.org/a b",
                "https://push.example.org/\n",
                "https://push.example.org/" + "x" * 2048,
            )
        ),
        *(
            ("keys.p256dh", {"keys": {"p256dh": wrong}})
            for wrong in (None, 7, "", "x", base64url(bytes(65)), base64url(b"\x04" + b"\xff" * 64), "é" * 87)
        ),
        *(
            ("keys.auth", {"keys": {"auth": wrong}})
            for wrong in (None, 7, "", base64url(bytes(15)), base64url(bytes(17)), "!" * 22)
        ),
        ("", {"keys": None}),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_subscription_is_named(field: str, changed: dict[str, Any]) -> None:
    browser = Browser(PUBLIC)
    value = browser.subscription(**changed) if changed != {"keys": None} else json.dumps({"endpoint": PUBLIC})
    with pytest.raises(BadSubscription) as wrong:
        read_subscription(value, loopback=False)
    assert wrong.value.field == field
    sender = WebPushSender(KEY, CONTACT, b"k" * 32)
    assert sender.send(PUSH, Target("browser", "webpush", value)).state == "refused"
    sender.close()


@pytest.mark.parametrize("value", ["", "x", "7", "[]", "null", '{"endpoint": 1}', "[" * 100_000])
def test_what_is_no_subscription_at_all_is_refused(value: str) -> None:
    with pytest.raises(BadSubscription) as wrong:
        read_subscription(value, loopback=True)
    assert wrong.value.field == ""
