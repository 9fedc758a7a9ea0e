"""REST from outside: what is malformed, forged, too big or somebody else's gets the contract's answer."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jwt
import pytest

from infra.access import Tokens
from tests.app import Answer, App, Phone, a_check_in, a_device, a_rough_day, new_id, until
from tests.webpush import Browser

LIMIT = 64 * 1024
MESSAGE = {"client_message_id": "m", "text": "hello"}


def assert_problem(answer: Answer, status: int) -> None:
    """The contract's one shape of error, and the id by which an operator finds it."""
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert {"type", "title", "status", "detail", "instance"} <= answer.body.keys()
    assert answer.body["status"] == status
    assert answer.body["instance"] == answer.headers["X-Request-Id"]


# -- bodies


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"not json", 400),
        (b"[" * 50_000, 400),
        (b'{"a":' * 10_000, 400),
        (b"null", 422),
        (b"[]", 422),
        (b"3", 422),
        (b'"text"', 422),
        (b"{}", 422),
    ],
)
def test_a_body_that_is_no_object_is_refused(app: App, body: bytes, status: int) -> None:
    answer = app.phone("maya").post("/v1/check-ins", body)
    assert answer.status in (status, 422), answer
    assert_problem(answer, answer.status)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("craving", "9"),
        ("craving", 11),
        ("craving", -1),
        ("craving", 9.5),
        ("craving", True),
        ("craving", None),
        ("craving", 10**400),
        ("id", ""),
        ("id", "a b"),
        ("id", "a\n"),
        ("id", "x" * 65),
        ("id", 3),
        ("id", None),
        ("at", "yesterday"),
        ("at", "2026-01-01T00:00:00"),
        ("at", "9999-12-31T23:59:59-23:00"),
        ("sleep_hours", 25),
        ("sleep_hours", "8"),
        ("used", {}),
        ("used", {"what": "wine", "days": 1, "where": "home"}),
        ("used", "wine"),
        ("medication_taken", "yes"),
        ("note", "a\x00b"),
        ("note", "\ud800"),
        ("note", ""),
        ("note", "x" * 8001),
        ("note", ["a"]),
        ("unknown", 1),
        ("$where", 1),
        ("__proto__", {}),
    ],
)
def test_a_wrong_field_is_refused_by_its_name_and_nothing_is_kept(app: App, field: str, value: object) -> None:
    client = app.enrol("client")
    answer = client.post("/v1/check-ins", {**a_check_in(), field: value})
    assert_problem(answer, 422)
    assert field in answer.body["errors"]
    assert client.get("/v1/check-ins").body["items"] == []


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_numbers_that_json_does_not_have_are_refused(app: App, number: bytes) -> None:
    body = b'{"id":"' + new_id().encode() + b'","craving":1,"sleep_hours":' + number + b"}"
    answer = app.phone("maya").post("/v1/check-ins", body)
    assert_problem(answer, 422 if answer.status == 422 else 400)


def test_64_kib_is_taken_and_one_byte_more_is_not(app: App) -> None:
    client = app.enrol("client")
    start, end = b'{"id":"' + new_id().encode() + b'","craving":1', b"}"
    exactly = start + b" " * (LIMIT - len(start) - len(end)) + end
    assert len(exactly) == LIMIT
    assert client.post("/v1/check-ins", exactly).status == 201
    assert_problem(client.post("/v1/check-ins", b" " + exactly), 413)
    assert_problem(client.post("/v1/check-ins", b" " * 1_000_000), 413)
    assert_problem(client.post("/v1/conversations", b" " * (LIMIT + 1)), 413)
    assert len(client.get("/v1/check-ins").body["items"]) == 1


def test_a_body_in_chunks_has_the_same_limit(app: App) -> None:
    phone = app.phone("maya")
    chunk = b"%x\r\n" % LIMIT + b" " * LIMIT + b"\r\n"
    head = (
        f"POST /v1/check-ins HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {phone.token}\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert b" 413 " in first_line(app, head.encode() + chunk + chunk + b"0\r\n\r\n")


@pytest.mark.parametrize(
    "garbage",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/check-ins HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/check-ins HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"GET /v1/me HTTP/1.1\r\nX-Big: " + b"a" * 100_000 + b"\r\n\r\n",
        b"\x00\x01\x02\x03\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_harms_nobody(app: App, garbage: bytes) -> None:
    line = first_line(app, garbage)
    assert line == b"" or b" 4" in line or b" 505 " in line
    assert app.phone("maya").get("/v1/me").status == 200


# -- who is asking


def test_a_missing_a_forged_and_an_expired_token_are_told_apart(app: App) -> None:
    phone = app.phone("maya")
    claims = jwt.decode(phone.token, options={"verify_signature": False})
    tokens = Tokens(app.setting("SECRET"), "app")
    bad: dict[str | None, str] = {
        None: "unauthenticated",
        "": "unauthenticated",
        "x": "unauthenticated",
        jwt.encode(claims, "s" * 32, algorithm="HS256"): "unauthenticated",
        jwt.encode(claims, None, algorithm="none"): "unauthenticated",
        Tokens(app.setting("SECRET"), "risk").sign(phone.id, "client", "s", 60): "unauthenticated",
        tokens.sign(phone.id, "client", claims["sid"], -1): "expired",
    }
    for path in ("/v1/me", "/v1/check-ins", "/v1/conversations"):
        for token, why in bad.items():
            phone.token = token
            answer = phone.get(path)
            assert_problem(answer, 401)
            assert answer.body["detail"] == why
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    phone.token = tokens.sign(phone.id, "client", claims["sid"], 60)
    assert phone.get("/v1/me").status == 200


def test_an_old_token_does_not_close_the_doors_that_are_open_to_all(app: App) -> None:
    phone = app.phone("maya")
    old = Tokens(app.setting("SECRET"), "app").sign(phone.id, "client", "s", -1)
    phone.token = old
    assert phone.get("/v1/crisis-lines").status == 200
    refreshed = phone.post("/v1/auth/refresh", {"refresh_token": phone.session["refresh_token"]})
    assert refreshed.status == 200
    assert phone.post("/v1/auth/token", {"login": "maya", "password": "alongside-demo"}).status == 200


def test_an_identity_brought_from_outside_is_ignored(app: App) -> None:
    maya, stranger = app.phone("maya"), app.stranger()
    signed = Tokens(app.setting("SECRET"), "people").sign(maya.id, "client", "s", 60)
    for identity in (maya.token or "", signed):
        assert_problem(stranger.get("/v1/me", X_Alongside_Identity=identity), 401)
    ada = app.phone("ada")
    assert maya.get("/v1/me", X_Alongside_Identity=ada.token or "").body["id"] == maya.id
    as_ada = Tokens(app.setting("SECRET"), "people").sign(ada.id, "admin", "s", 60)
    assert_problem(maya.get("/v1/people", X_Alongside_Identity=as_ada), 404)


def test_a_service_takes_no_access_token_for_an_identity(app: App) -> None:
    peers = dict(peer.split("=", 1) for peer in app.setting("PEERS").split(","))
    inside = Phone(peers["people"])
    try:
        token = app.phone("maya").token or ""
        assert_problem(inside.get("/v1/me", X_Alongside_Identity=token), 401)
        assert_problem(inside.get("/v1/me", Authorization=f"Bearer {token}"), 401)
    finally:
        inside.put_away()


# -- where


@pytest.mark.parametrize("path", ["/v1/check-ins", "/v1/people", "/v1/goals", "/v1/conversations", "/v1/devices/a"])
def test_a_wrong_method_answers_405_with_those_that_are_allowed(app: App, path: str) -> None:
    answer = app.phone("maya").ask("PATCH", path, {}, {})
    assert_problem(answer, 405)
    assert answer.headers["Allow"]
    assert "PATCH" not in answer.headers["Allow"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/nothing",
        "/nothing",
        "/v1/",
        "/v1",
        "/v1/conversations/%ED%A0%80",
        "/v1/goals/%00",
        "/v1/goals/a%0d%0ab",
        "/v1/conversations/%00/messages",
        "/v1/alerts/$ne",
        "/v1/people/%3Fx=1",
        "/v1/me/../me/../people",
    ],
)
def test_a_path_that_is_not_there_answers_404(app: App, path: str) -> None:
    assert_problem(app.phone("maya").get(path), 404)


@pytest.mark.parametrize(
    "path", ["help/../../metrics", "help/%2e%2e/%2e%2e/metrics", "help/..%2f..%2freadyz", "me/../../openapi.json"]
)
def test_no_path_leads_around_the_door_to_the_inside_of_a_part(app: App, path: str) -> None:
    assert b" 404 " in first_line(app, f"GET /v1/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "limit=-1", "limit=", "after=%20", "unknown=1"])
def test_a_wrong_query_names_its_field(app: App, query: str) -> None:
    maya = app.phone("maya")
    for path in ("/v1/check-ins", "/v1/alerts", "/v1/goals", "/v1/conversations", "/v1/deliveries", "/v1/grants"):
        answer = maya.get(f"{path}?{query}")
        assert_problem(answer, 422)
        assert query.partition("=")[0] in answer.body["errors"]


def test_a_request_id_is_the_callers_own_when_it_is_one(app: App) -> None:
    phone = app.phone("maya")
    assert phone.get("/v1/me", X_Request_Id="my-id.1").headers["X-Request-Id"] == "my-id.1"
    assert phone.get("/v1/me", X_Request_Id="a b{}").headers["X-Request-Id"] != "a b{}"


def test_an_answer_that_is_well_asks_nobody_to_wait(app: App) -> None:
    assert "Retry-After" not in app.phone("maya").get("/v1/me").headers


# -- the same id again


@pytest.mark.parametrize(
    ("login", "path", "body", "other"),
    [
        ("maya", "/v1/check-ins", {"craving": 1}, {"craving": 2}),
        ("maya", "/v1/goals", {"text": "walk"}, {"text": "run"}),
        ("maya", "/v1/conversations", {"with": "on-duty"}, {"with": "9bc2ef1e-367d-505c-afe9-62991d308a8f"}),
        ("maya", "/v1/referrals", {}, {"coach_id": "sam"}),
        ("ola", "/v1/networks", {"name": "River"}, {"name": "Hill"}),
    ],
)
def test_an_id_again_is_the_same_thing_or_a_conflict(
    app: App, login: str, path: str, body: dict[str, Any], other: dict[str, Any]
) -> None:
    phone, id = app.phone(login), new_id()
    if other.get("coach_id"):
        other = {"coach_id": app.phone("sam").id}
    first = phone.post(path, {"id": id, **body})
    again = phone.post(path, {"id": id, **body})
    assert (first.status, again.status) == (201, 200)
    assert first.body == again.body
    assert_problem(phone.post(path, {"id": id, **other}), 409)
    assert phone.post(path, {"id": id, **body}).body == first.body


def test_an_id_of_somebody_elses_shows_nothing_of_it(app: App) -> None:
    theirs, mine = app.enrol("client"), app.enrol("client")
    goal = {"id": new_id(), "text": "a secret wish"}
    assert theirs.post("/v1/goals", goal).status == 201
    answer = mine.post("/v1/goals", goal)
    assert answer.status in (404, 409)
    assert_problem(answer, answer.status)
    assert b"secret" not in answer.raw
    assert mine.get("/v1/goals").body["items"] == []
    # A check-in's id is the phone's own: two phones may have chosen the same.
    day = a_check_in()
    assert theirs.post("/v1/check-ins", day).status == mine.post("/v1/check-ins", {**day, "craving": 1}).status == 201


# -- what is somebody else's


@dataclass
class Scene:
    """A client and the coach, and one of everything that they have."""

    client: Phone
    coach: Phone
    ids: dict[str, str]


@pytest.fixture(scope="module")
def scene(the_app: App) -> Iterator[Scene]:
    client, coach = the_app.pair()
    goal, network, assessment = new_id(), new_id(), new_id()
    assert coach.put("/v1/devices/pocket", a_device()).status == 200
    assert client.post("/v1/goals", {"id": goal, "text": "walk"}).status == 201
    day = a_rough_day()
    assert client.post("/v1/check-ins", day).status == 201
    assert client.post("/v1/assessments", {"id": assessment, **AN_ASSESSMENT}).status == 201
    organiser = the_app.enrol("organiser")
    assert organiser.post("/v1/networks", {"id": network, "name": "River"}).status == 201
    alert = until(lambda: coach.get("/v1/alerts").body["items"], "the alert")[0]["id"]
    delivery = until(lambda: coach.get("/v1/deliveries").body["items"], "the delivery of the alert")[0]["id"]
    conversation = the_app.talk(client, coach)
    client.post(f"/v1/conversations/{conversation}/messages", MESSAGE)
    ids = {
        "goal_id": goal,
        "check_in_id": day["id"],
        "alert_id": alert,
        "assessment_id": assessment,
        "instrument_id": AN_ASSESSMENT["instrument"],
        "conversation_id": conversation,
        "client_id": client.id,
        "person_id": client.id,
        "network_id": network,
        "assignment_id": the_app.assign(client, coach),
        "device_id": "pocket",
        "notice_id": a_notice(organiser, network),
        "delivery_id": delivery,
        "ask_id": an_ask(client, coach),
        "seq": "1",
    }
    yield Scene(client, coach, ids)
    the_app.hang_up()


def an_ask(client: Phone, peer: Phone) -> str:
    """Something that a client asked of somebody who had offered."""
    id = new_id()
    assert peer.put("/v1/me/peer-support", {"on": True, "area": "a place of its own"}).status == 200
    assert client.post("/v1/help/peers", {"id": id, "area": "a place of its own"}).body["asked"] > 0
    return id


def a_notice(organiser: Phone, network: str) -> str:
    """A notice of which the gateway knows how far it has come."""
    id = new_id()
    notice = {"id": id, "title": "Picnic", "body": "Saturday at the river."}
    assert organiser.post(f"/v1/networks/{network}/notices", notice).status == 201
    place = f"/v1/networks/{network}/notices/{id}/progress"
    until(lambda: organiser.get(place).status == 200, "the notice is known")
    return id


AN_ASSESSMENT = {"instrument": "audit-c", "version": 1, "answers": {"1": 0, "2": 0, "3": 0}}
BODIES: dict[str, Any] = {
    "/v1/alerts/{alert_id}/close": {"outcome": "talked"},
    "/v1/alerts/{alert_id}/hand-over": {"to": "somebody"},
    "/v1/check-ins/{check_in_id}/correct": {"id": "c", "craving": 1},
    "/v1/check-ins/{check_in_id}/contest": {"words": "no"},
    "/v1/conversations/{conversation_id}/delivered": {"seq": 1},
    "/v1/conversations/{conversation_id}/read": {"seq": 1},
    "/v1/conversations/{conversation_id}/messages": MESSAGE,
    "/v1/conversations/{conversation_id}/messages/{seq}/edit": {**MESSAGE, "client_message_id": "edit"},
    "/v1/conversations/{conversation_id}/messages/{seq}/take-back": {"client_message_id": "back"},
    "/v1/conversations/{conversation_id}/search": {"words": "hello"},
    "/v1/conversations/{conversation_id}/transfer": {"to": "somebody"},
    "/v1/goals/{goal_id}": {"text": "run"},
    "/v1/people/{person_id}": {"display_name": "Mallory"},
    "/v1/networks/{network_id}/notices": {"id": "n", "title": "t", "body": "b"},
    "/v1/people": {"id": "p", "role": "client", "login": "pp", "password": "alongside-demo", "display_name": "P"},
    "/v1/networks": {"id": "n", "name": "N"},
    "/v1/check-ins": {"id": "c", "craving": 1},
    "/v1/assessments": {"id": "a", **AN_ASSESSMENT},
    "/v1/me/availability": {"on_duty": True},
    "/v1/referrals": {"id": "r"},
    "/v1/goals": {"id": "g", "text": "walk"},
    "/v1/conversations": {"id": "c", "with": "somebody"},
    "/v1/assignments": {"id": "a", "client_id": "c", "coach_id": "d"},
    "/v1/auth/sign-out": None,
}
# What anybody signed in may do with these ids, because it makes or shows only what is one's own, or is nobody's.
ANYBODYS = {
    ("GET", "/v1/instruments/{instrument_id}"),
    ("POST", "/v1/networks/{network_id}/join"),
    ("POST", "/v1/networks/{network_id}/leave"),
    ("PUT", "/v1/devices/{device_id}"),
    ("DELETE", "/v1/devices/{device_id}"),
}


def operations(app: App) -> list[tuple[str, str, str]]:
    document = app.stranger().get("/v1/openapi.json").body
    return [
        (method.upper(), path, operation["x-needs"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in ("get", "post", "put", "patch", "delete")
    ]


def test_every_route_that_is_not_public_asks_who_is_there(app: App, scene: Scene) -> None:
    stranger = app.stranger()
    for method, path, grant in operations(app):
        if grant != "public":
            answer = stranger.ask(method, path.format(**scene.ids), BODIES.get(path), {})
            assert answer.status == 401, (method, path, answer)
            assert_problem(answer, 401)


@pytest.mark.parametrize("role", ["client", "coach", "supervisor", "organiser", "admin"])
def test_every_route_answers_404_to_whoever_has_no_grant_for_the_thing(app: App, scene: Scene, role: str) -> None:
    outsider = app.enrol(role)
    allowed = {
        "supervisor": {("POST", "/v1/assignments/{assignment_id}/end")},
        "admin": {("GET", "/v1/people/{person_id}")},
    }.get(role, set())
    walked = 0
    for method, path, _ in operations(app):
        if "{" in path and (method, path) not in ANYBODYS | allowed:
            answer = outsider.ask(method, path.format(**scene.ids), BODIES.get(path), {"If-Match": '"1"'})
            assert answer.status == 404, (method, path, answer)
            assert_problem(answer, 404)
            walked += 1
    assert walked > 10
    for path in ("check-ins", "assessments", "assessments/due", "goals"):
        assert_problem(outsider.get(f"/v1/{path}?client_id={scene.client.id}"), 404)
    if role != "admin":
        assert_problem(outsider.get(f"/v1/audit?client_id={scene.client.id}"), 404)


@pytest.mark.parametrize("role", ["client", "coach", "supervisor", "organiser", "admin"])
def test_every_route_for_a_role_answers_404_to_every_other_role(app: App, scene: Scene, role: str) -> None:
    outsider = app.enrol(role)
    walked = 0
    for method, path, grant in operations(app):
        if grant not in ("public", "self", "care") and role not in grant.split("|"):
            answer = outsider.ask(method, path.format(**scene.ids), BODIES.get(path), {})
            assert answer.status == 404, (method, path, answer)
            walked += 1
    assert walked > 3


def test_what_is_not_there_and_what_is_somebody_elses_answer_alike(app: App, scene: Scene) -> None:
    outsider = app.enrol("coach")
    for path in ("goals/{}", "alerts/{}", "conversations/{}", "clients/{}/risk", "people/{}"):
        thing = {"goals/{}": "goal_id", "alerts/{}": "alert_id", "conversations/{}": "conversation_id"}
        theirs = outsider.get("/v1/" + path.format(scene.ids[thing.get(path, "client_id")]))
        nothing = outsider.get("/v1/" + path.format(new_id()))
        assert theirs.status == nothing.status == 404, path
        assert {**theirs.body, "instance": ""} == {**nothing.body, "instance": ""}, path


def test_an_admin_sees_no_clinical_record(app: App, scene: Scene) -> None:
    ada = app.phone("ada")
    assert ada.get(f"/v1/people/{scene.client.id}").status == 200
    for path in (
        f"check-ins?client_id={scene.client.id}",
        f"clients/{scene.client.id}/risk",
        f"goals?client_id={scene.client.id}",
        f"conversations/{scene.ids['conversation_id']}/messages",
    ):
        assert_problem(ada.get(f"/v1/{path}"), 404)


def test_a_device_belongs_to_whoever_signed_in_on_it_last(app: App) -> None:
    first, second = app.enrol("client"), app.enrol("client")
    device = a_device()
    assert first.put("/v1/devices/pocket", device).status == 200
    assert second.put("/v1/devices/pocket", device).status == 200
    assert first.delete("/v1/devices/pocket").status == 204
    for wrong in (
        {"kind": "pigeon"},
        {"timezone": "Mars/Olympus"},
        {"quiet_hours": {"start": "25:00", "end": "07:00"}},
    ):
        assert_problem(second.put("/v1/devices/pocket", {**device, **wrong}), 422)


def test_a_device_answers_what_was_asked_of_it_and_when_it_was_seen(app: App) -> None:
    person = app.enrol("client")
    device = a_device(
        language="es", do_not_disturb_until="2026-01-31T09:30:00+01:00", quiet_hours={"start": "22:00", "end": "07:00"}
    )
    answer = person.put("/v1/devices/pocket", device)
    seen = answer.body.pop("seen_at")
    assert seen.endswith("Z")
    assert answer.body == {
        "id": "pocket",
        "kind": "fcm",
        "timezone": "Europe/London",
        "quiet_hours": {"start": "22:00", "end": "07:00"},
        "do_not_disturb_until": "2026-01-31T08:30:00.000Z",
        "language": "es",
    }
    again = person.put("/v1/devices/pocket", a_device())
    assert (again.body["do_not_disturb_until"], again.body["language"]) == (None, "en")
    assert again.body["seen_at"] > seen
    for field, wrong in (("language", "de"), ("do_not_disturb_until", "tomorrow"), ("do_not_disturb_until", 7)):
        refused = person.put("/v1/devices/pocket", a_device(**{field: wrong}))
        assert_problem(refused, 422)
        assert list(refused.body["errors"]) == [field]


def test_a_browser_subscribes_with_the_public_key_and_what_is_wrong_with_it_is_named(app: App) -> None:
    person = app.enrol("client")
    key = app.stranger().get("/v1/push/key").body["key"]
    assert len(base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))) == 65
    browser = Browser("https://push.example.org/send/abc")
    good = {"kind": "webpush", "value": browser.value, "timezone": "UTC"}
    assert person.put("/v1/devices/desk", good).status == 200
    for field, value in (
        ("value", "a token"),
        ("value.endpoint", browser.subscription(endpoint="https://10.0.0.1/inside")),
        ("value.endpoint", browser.subscription(endpoint="http://push.example.org/a")),
        ("value.keys.p256dh", browser.subscription(keys={"p256dh": "x"})),
        ("value.keys.auth", browser.subscription(keys={"auth": "x"})),
    ):
        refused = person.put("/v1/devices/desk", {**good, "value": value})
        assert_problem(refused, 422)
        assert list(refused.body["errors"]) == [field]


def test_a_delivery_is_opened_by_its_owner_alone(scene: Scene) -> None:
    path = f"/v1/deliveries/{scene.ids['delivery_id']}/opened"
    assert_problem(scene.client.post(path), 404)
    assert_problem(scene.coach.post(f"/v1/deliveries/{new_id()}/opened"), 404)
    opened = scene.coach.post(path)
    assert (opened.status, opened.body["state"]) == (200, "opened")
    assert opened.body["opened_at"].endswith("Z")
    assert scene.coach.post(path).body == opened.body
    (shown,) = [d for d in scene.coach.get("/v1/deliveries").body["items"] if d["id"] == scene.ids["delivery_id"]]
    assert shown == opened.body


def first_line(app: App, request: bytes) -> bytes:
    """The status line of the answer to raw bytes; empty where the other side hung up."""
    with socket.create_connection(("127.0.0.1", app.port), timeout=20) as connection:
        try:
            # It may hang up before all of it was sent.
            connection.sendall(request)
            return connection.recv(4096).partition(b"\r\n")[0]
        except ConnectionError:
            return b""
