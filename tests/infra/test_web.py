"""The HTTP door that every part has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pymongo.errors import AutoReconnect, ServerSelectionTimeoutError

from infra.access import Grants, Identity, NotSignedIn, NotYours
from infra.ids import new_id
from infra.log import LogDown
from infra.store import Conflict, Store, connect
from infra.vault import Erased
from infra.web import (
    BODY_LIMIT,
    Blueprint,
    Problem,
    api_of,
    check_if_match,
    conflict,
    etag,
    fingerprint,
    make_app,
    needs,
    openapi,
    page,
    permit,
    permit_many,
    refuse,
    same_or_conflict,
    spoken,
)
from schemas.base import Shape
from schemas.fields import Id, Scale, Text
from tests.store import EmbeddedStore
from tests.world import settings_for

ERRORS: dict[str, Exception] = {
    "conflict": Conflict("x"),
    "log": LogDown("x"),
    "store": ServerSelectionTimeoutError("x"),
    "reconnect": AutoReconnect("x"),
    "erased": Erased("maya"),
    "not-yours": NotYours("maya"),
    "expired": NotSignedIn("expired"),
    "bug": ArithmeticError("a secret word"),
    "problem": Problem(418, "Teapot", "short and stout", headers={"X-Spout": "yes"}),
}


class Body(Shape):
    id: Id
    scale: Scale = 0
    text: Text = "x"


class Door:
    """An app with routes of every kind, and who is asking it."""

    health: ClassVar[dict[str, str]] = {"store": "ok"}

    def __init__(self, store: Store) -> None:
        self.person: Identity | None = Identity("sam", "coach", "s", 0.0)
        self.problem: str | None = None
        self.answers = dict(self.health)
        self.grants = Grants(store)
        self.things = store.collection("things")
        self.app = make_app("test", self._identify, lambda: self.answers)
        api_of(self.app).register_blueprint(self._routes(), url_prefix="/v1")

        @self.app.get("/v1/forgotten")
        def forgotten() -> str:
            return "a secret word"

    def client(self) -> FlaskClient:
        return self.app.test_client()

    def _identify(self) -> Identity | None:
        if self.problem:
            raise NotSignedIn(self.problem)
        return self.person

    def _routes(self) -> Blueprint:
        api = Blueprint("test", __name__)

        @api.post("/bodies")
        @needs("self")
        @api.arguments(Body.Schema)
        @api.response(201, Body.Schema)
        def keep(body: Body) -> Any:
            return body, 201

        @api.get("/care")
        @needs("care")
        def careless() -> Any:
            return {"words": "a secret word"}

        @api.get("/care/<client_id>")
        @needs("care")
        def careful(client_id: str) -> Any:
            permit(self.grants, client_id, "thing")
            return {"words": "a secret word"}

        @api.get("/care-because/<client_id>")
        @needs("care")
        def because(client_id: str) -> Any:
            permit(self.grants, client_id, "thing", because=True)
            return {}

        @api.get("/care-many")
        @needs("care")
        def many() -> Any:
            permit_many(self.grants, ["maya"], "things")
            return {}

        @api.get("/roles")
        @needs("supervisor|organiser")
        def roles() -> Any:
            return {}

        @api.get("/public")
        @needs("public")
        def public() -> Any:
            return {}

        @api.get("/raise/<name>")
        @needs("public")
        def fail(name: str) -> Any:
            raise ERRORS[name]

        @api.post("/refuse")
        @needs("public")
        def refusing() -> Any:
            refuse("field", "It is wrong.")

        @api.post("/conflict")
        @needs("public")
        def conflicting() -> Any:
            conflict("It was used before.")

        @api.put("/edit")
        @needs("public")
        def edit() -> Any:
            check_if_match(3)
            return {}, 200, etag(4)

        @api.get("/things")
        @needs("public")
        def things() -> Any:
            asked = page(state=("on", "off"), owner=())
            newest_first = asked.filters.get("state") != "off"
            found, following = asked.read(self.things, {}, newest_first=newest_first)
            return {"items": [thing["_id"] for thing in found], "next": following}

        return api


@pytest.fixture(scope="module")
def store(embedded_store: EmbeddedStore) -> Iterator[Store]:
    opened = connect("door", settings_for(embedded_store.url, "sqlite:///nowhere"))
    yield opened
    opened.client.drop_database(opened.records.name)
    opened.close()


@pytest.fixture
def door(store: Store) -> Door:
    return Door(store)


@pytest.fixture
def client(door: Door) -> FlaskClient:
    return door.client()


def post(client: FlaskClient, data: bytes | str, content_type: str = "application/json") -> Any:
    return client.post("/v1/bodies", data=data, content_type=content_type)


# -- one shape of problem


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("conflict", 503),
        ("log", 503),
        ("store", 503),
        ("reconnect", 503),
        ("erased", 404),
        ("not-yours", 404),
        ("expired", 401),
        ("bug", 500),
        ("problem", 418),
    ],
)
def test_every_error_becomes_a_problem_of_one_shape(client: FlaskClient, name: str, status: int) -> None:
    answer = client.get(f"/v1/raise/{name}")
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    body = json.loads(answer.data)
    assert set(body) == {"type", "title", "status", "detail", "instance"}
    assert body["status"] == status
    assert body["instance"] == answer.headers["X-Request-Id"]
    assert "maya" not in answer.text
    assert "a secret word" not in answer.text
    assert ("Retry-After" in answer.headers) == (status == 503)
    if name == "problem":
        assert (body["title"], body["detail"], answer.headers["X-Spout"]) == ("Teapot", "short and stout", "yes")
    if name == "expired":
        assert (body["detail"], answer.headers["WWW-Authenticate"]) == ("expired", "Bearer")


def test_what_is_not_there_and_what_is_not_yours_look_alike(client: FlaskClient) -> None:
    nowhere, not_yours = client.get("/v1/nowhere"), client.get("/v1/raise/not-yours")
    one, other = json.loads(nowhere.data), json.loads(not_yours.data)
    assert one.pop("instance") != other.pop("instance")
    assert one == other


def test_a_wrong_method_answers_405_and_says_which_are_right(client: FlaskClient) -> None:
    answer = client.delete("/v1/bodies")
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}
    assert answer.content_type == "application/problem+json"


def test_a_refusal_names_the_field(client: FlaskClient) -> None:
    answer = client.post("/v1/refuse")
    assert answer.status_code == 422
    assert json.loads(answer.data)["errors"] == {"field": ["It is wrong."]}
    assert client.post("/v1/conflict").status_code == 409


# -- request ids


def test_a_request_id_is_echoed_and_otherwise_made(client: FlaskClient) -> None:
    assert client.get("/v1/public", headers={"X-Request-Id": "from-the-phone.1"}).headers["X-Request-Id"] == (
        "from-the-phone.1"
    )
    one, other = (client.get("/v1/public").headers["X-Request-Id"] for _ in range(2))
    assert one != other
    assert len(one) == 36


@pytest.mark.parametrize("wrong", ["two words", "x" * 65, "<script>", "é", ""])
def test_a_request_id_that_is_no_id_is_replaced(client: FlaskClient, wrong: str) -> None:
    assert client.get("/v1/public", headers={"X-Request-Id": wrong}).headers["X-Request-Id"] != wrong


def test_no_answer_is_kept_by_a_cache_or_guessed_at(client: FlaskClient) -> None:
    answer = client.get("/v1/public")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


# -- bodies


def test_a_body_is_taken(client: FlaskClient) -> None:
    answer = post(client, '{"id": "x", "scale": 3, "text": "\\u00e9"}')
    assert (answer.status_code, answer.json) == (201, {"id": "x", "scale": 3, "text": "é"})


@pytest.mark.parametrize(
    "data",
    [b"{", b"", b'{"id": "x",}', b"\xff\xfe\x00", b"'x'", b'{"id": "x"} trailing'],
    ids=repr,
)
def test_what_is_no_json_is_refused(client: FlaskClient, data: bytes) -> None:
    answer = post(client, data)
    assert answer.status_code in ((400, 422) if data == b"" else (400,))
    assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("data", [b"[" * 30_000, b'{"id":' * 10_000, b"[" * 20_000 + b"]" * 20_000])
def test_a_body_that_is_nested_beyond_reason_is_a_wrong_body(client: FlaskClient, data: bytes) -> None:
    assert post(client, data).status_code in (400, 422)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400, "1" + "0" * 5000, "3.5"])
def test_a_number_that_json_or_the_field_does_not_know_is_refused(client: FlaskClient, number: str) -> None:
    assert post(client, f'{{"id": "x", "scale": {number}}}').status_code in (400, 422)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["id"]),
        ({"id": "x", "scale": 11}, ["scale"]),
        ({"id": "x", "scale": True, "text": "\x00", "more": 1}, ["more", "scale", "text"]),
        ({"id": "x\n"}, ["id"]),
        ({"id": "x", "text": "\ud800"}, ["text"]),
        ({"id": "x", "\ud800": 1}, ["\ud800"]),
    ],
    ids=ascii,
)
def test_every_wrong_field_is_named(client: FlaskClient, body: Any, fields: list[str]) -> None:
    answer = post(client, json.dumps(body))
    assert answer.status_code == 422
    assert sorted(json.loads(answer.data)["errors"]) == fields


@pytest.mark.parametrize("body", [[], "text", 3, None, True, [{"id": "x"}]], ids=repr)
def test_a_body_that_is_no_object_is_refused(client: FlaskClient, body: Any) -> None:
    answer = post(client, json.dumps(body))
    assert answer.status_code == 422
    assert "errors" in json.loads(answer.data)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
def test_a_body_that_does_not_say_it_is_json_is_not_taken(client: FlaskClient, kind: str) -> None:
    assert post(client, b'{"id": "x"}', kind).status_code == 400
    assert post(client, b"", kind).status_code == 400


def test_a_body_over_the_limit_answers_413(client: FlaskClient) -> None:
    def of_size(size: int) -> bytes:
        start, end = b'{"id": "x", "text": "', b'"}'
        return start + b"x" * (size - len(start) - len(end)) + end

    assert post(client, of_size(BODY_LIMIT)).status_code == 422, "it fits, and the text is too long"
    answer = post(client, of_size(BODY_LIMIT + 1))
    assert answer.status_code == 413
    assert answer.content_type == "application/problem+json"


# -- deny by default


def test_a_route_that_names_no_grant_answers_nobody(door: Door, client: FlaskClient) -> None:
    for role in ("client", "coach", "supervisor", "organiser", "admin"):
        door.person = Identity("x", role, "s", 0.0)
        answer = client.get("/v1/forgotten")
        assert answer.status_code == 500
        assert "a secret word" not in answer.text


def test_a_care_route_that_asks_nobodys_leave_answers_nobody(client: FlaskClient) -> None:
    answer = client.get("/v1/care")
    assert answer.status_code == 500
    assert "a secret word" not in answer.text


def test_leave_that_was_asked_in_one_request_is_not_there_in_the_next(client: FlaskClient) -> None:
    assert client.get("/v1/care-many").status_code == 200
    assert client.get("/v1/care").status_code == 500


def test_a_care_route_shows_ones_own_and_nobody_elses(client: FlaskClient) -> None:
    assert client.get("/v1/care/sam").status_code == 200
    answer = client.get("/v1/care/maya")
    assert answer.status_code == 404
    assert "a secret word" not in answer.text
    assert client.get("/v1/care-because/maya").status_code == 200


@pytest.mark.parametrize("role", ["client", "coach", "supervisor", "organiser", "admin", "super", ""])
def test_a_route_for_roles_is_there_for_those_and_404_for_others(door: Door, client: FlaskClient, role: str) -> None:
    door.person = Identity("x", role, "s", 0.0)
    assert client.get("/v1/roles").status_code == (200 if role in ("supervisor", "organiser") else 404)


def test_without_a_sign_in_only_what_is_public_answers(door: Door, client: FlaskClient) -> None:
    door.person = None
    assert client.get("/v1/public").status_code == 200
    for path in ("/v1/care/sam", "/v1/roles", "/v1/care-many"):
        assert client.get(path).status_code == 401
    door.problem = "expired"
    assert json.loads(client.get("/v1/roles").data)["detail"] == "expired"


# -- edits and lists


@pytest.mark.parametrize(
    ("given", "status"),
    [(None, 428), ('"3"', 200), ('W/"3"', 200), ('"2"', 412), ("*", 412), ("", 412), ("three", 412)],
)
def test_an_edit_names_the_version_that_it_edits(client: FlaskClient, given: str | None, status: int) -> None:
    answer = client.put("/v1/edit", headers={} if given is None else {"If-Match": given})
    assert answer.status_code == status
    if status == 200:
        assert answer.headers["ETag"] == '"4"'


@pytest.fixture
def things(door: Door) -> Iterator[list[str]]:
    ids = [new_id() for _ in range(7)]
    door.things.insert_many({"_id": id, "outbox": ["x"], "seen": ["x"]} for id in ids)
    yield ids
    door.things.delete_many({})


@pytest.mark.parametrize("order", ["on", "off"])
@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8, 200])
def test_pages_hold_everything_once_in_order(client: FlaskClient, things: list[str], limit: int, order: str) -> None:
    read: list[str] = []
    after = ""
    while True:
        answer = client.get(f"/v1/things?limit={limit}&state={order}{after}").json
        assert answer is not None
        assert len(answer["items"]) <= limit
        read += answer["items"]
        if answer["next"] is None:
            break
        after = f"&after={answer['next']}"
    assert read == sorted(things, reverse=order == "on")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("limit=", "limit"),
        ("limit=%D9%A3", "limit"),
        ("after=two%20words", "after"),
        ("after=", "after"),
        ("after=x%0A", "after"),
        ("state=lost", "state"),
        ("owner=%00", "owner"),
        ("page=2", "page"),
    ],
)
def test_a_wrong_query_answers_422_and_names_the_field(client: FlaskClient, query: str, field: str) -> None:
    answer = client.get(f"/v1/things?{query}")
    assert answer.status_code == 422
    assert list(json.loads(answer.data)["errors"]) == [field]


def test_a_repeat_is_told_from_another_body_by_a_keyed_fingerprint() -> None:
    one = fingerprint(Body(id="x", scale=3), b"key")
    assert one == fingerprint(Body(id="x", scale=3), b"key")
    assert one != fingerprint(Body(id="x", scale=4), b"key")
    assert one != fingerprint(Body(id="x", scale=3), b"another key")
    same_or_conflict(one, one)
    with pytest.raises(Problem) as refused:
        same_or_conflict(one, fingerprint(Body(id="x"), b"key"))
    assert refused.value.code == 409


# -- health and description


def test_readiness_names_each_dependency(door: Door, client: FlaskClient) -> None:
    assert client.get("/livez").status_code == 200
    assert (client.get("/readyz").status_code, client.get("/readyz").json) == (
        200,
        {"status": "ok", "checks": {"store": "ok"}},
    )
    door.answers["log"] = "LogDown"
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert json.loads(answer.data)["checks"] == {"store": "ok", "log": "LogDown"}
    assert client.get("/livez").status_code == 200


def test_metrics_count_by_route_and_never_by_what_was_asked(client: FlaskClient) -> None:
    client.get("/v1/care/maya-the-client")
    text = client.get("/metrics").text
    assert "alongside_request_seconds" in text
    assert "/v1/care/<client_id>" in text
    assert "maya-the-client" not in text


def test_the_description_says_what_each_route_needs_and_how_it_fails(door: Door) -> None:
    app: Flask = door.app
    with app.app_context():
        document = openapi(app)
    assert document["openapi"] == "3.1.0"
    operation = document["paths"]["/v1/bodies"]["post"]
    assert operation["x-needs"] == "self"
    assert operation["security"] == [{"bearer": []}]
    assert set(operation["responses"]) == {"201", "default"}
    assert "security" not in document["paths"]["/v1/public"]["get"]


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ("es", "es"),
        ("es-MX, en;q=0.5", "es"),
        ("en;q=0.5, ES-mx;q=0.6", "es"),
        ("fr, es;q=0.2", "es"),
        ("es;q=0, fr", "en"),
        ("fr", "en"),
        ("est", "en"),
        ("*", "en"),
        ("", "en"),
        (";;=,", "en"),
    ],
)
def test_the_language_is_the_one_the_caller_likes_best_of_those_there_are(asked: str, language: str) -> None:
    with Flask("any").test_request_context(headers={"Accept-Language": asked}):
        assert spoken(("en", "es")) == language
