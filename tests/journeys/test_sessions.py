"""Signing in, staying in, and being out: at REST and at sockets alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
import socketio

from tests.app import PASSWORD, App, Phone, new_id, running, until
from tests.emulator.auth import auth_emulator


def refusal(phone: Phone, **auth: object) -> dict[str, str]:
    with pytest.raises(socketio.exceptions.ConnectionError):
        phone.connect(**auth)
    said: dict[str, str] = phone.refused
    return said


@pytest.mark.parametrize("token", ["x", "", None, 3, [], {"a": 1}, "a.b.c", "\ud800", "ü"])
def test_a_wrong_token_is_refused_with_its_code(app: App, token: object) -> None:
    assert refusal(app.stranger(), token=token)["code"] == "unauthenticated"


def test_a_token_signed_by_somebody_else_opens_nothing(app: App) -> None:
    phone = app.phone("maya")
    claims = jwt.decode(phone.token, options={"verify_signature": False})
    for forged in (jwt.encode(claims, "s" * 32, algorithm="HS256"), jwt.encode(claims, None, algorithm="none")):
        phone.token = forged
        assert phone.get("/v1/me").status == 401
        assert refusal(phone)["code"] == "unauthenticated"


def test_a_refresh_goes_on_and_a_spent_one_ends_the_family(app: App) -> None:
    phone = app.enrol("client").connect()
    old = phone.session["refresh_token"]
    fresh = phone.post("/v1/auth/refresh", {"refresh_token": old})
    assert fresh.status == 200
    assert fresh.body["refresh_token"] != old
    phone.take(fresh.body)
    assert phone.get("/v1/me").body["id"] == phone.id
    assert phone.post("/v1/auth/refresh", {"refresh_token": old}).status == 401
    assert phone.post("/v1/auth/refresh", {"refresh_token": fresh.body["refresh_token"]}).status == 401
    phone.wait_for("expired")
    until(lambda: not phone.connected, "the socket is closed")
    until(lambda: phone.get("/v1/me").status == 401, "the access token opens nothing")


def test_sign_out_ends_the_sockets_and_the_token_of_this_session_alone(app: App) -> None:
    phone = app.enrol("client").connect()
    me = app.enrol("coach")
    other = app.stranger()
    other.take(phone.session)
    tablet = app.stranger()
    tablet.sign_in(f"client-{phone.id}")
    tablet.connect()
    other.connect()
    assert phone.post("/v1/auth/sign-out").status == 204
    for signed_out in (phone, other):
        signed_out.wait_for("expired")
        until(lambda p=signed_out: not p.connected, "the socket is closed")
        until(lambda p=signed_out: p.get("/v1/me").status == 401, "the token is over")
        assert refusal(signed_out)["code"] == "unauthenticated"
    assert phone.post("/v1/auth/refresh", {"refresh_token": phone.session["refresh_token"]}).status == 401
    assert tablet.connected
    assert tablet.get("/v1/me").status == me.get("/v1/me").status == 200


def test_a_token_that_ends_is_told_so_and_its_socket_is_closed(tmp_path: Path) -> None:
    with running(tmp_path, token_seconds="6") as app:
        phone = app.phone("maya").connect()
        conversation = app.talk(phone, app.phone("sam"))
        phone.wait_for("expired")
        until(lambda: not phone.connected, "the socket is closed")
        answer = phone.get("/v1/me")
        assert (answer.status, answer.body["detail"]) == (401, "expired")
        phone.connect()
        assert [told.event for told in phone.told][-1] == "expired"
        until(lambda: not phone.connected, "the door stays closed")
        app.phone("sam").connect().send(conversation, "not for an old token")
        assert phone.heard("message") == []
        phone.take(phone.post("/v1/auth/refresh", {"refresh_token": phone.session["refresh_token"]}).body)
        phone.connect()
        assert phone.call("message.sync", {"conversation_id": conversation})["last_seq"] == 1


def test_ten_wrong_passwords_make_an_account_wait_and_no_other(tmp_path: Path) -> None:
    with running(tmp_path) as app:
        thief = app.stranger()
        wrong = {"login": "maya", "password": "a wrong password"}
        answers = [thief.post("/v1/auth/token", wrong) for _ in range(11)]
        assert [answer.status for answer in answers] == [401] * 10 + [429]
        assert int(answers[-1].headers["Retry-After"]) > 0
        assert app.phone("sam").get("/v1/me").status == 200


def test_a_load_test_can_turn_the_limits_off(tmp_path: Path) -> None:
    with running(tmp_path, rate_limits="off") as app:
        stranger = app.stranger()
        wrong = {"login": "maya", "password": "a wrong password"}
        assert {stranger.post("/v1/auth/token", wrong).status for _ in range(12)} == {401}


@pytest.fixture(scope="module")
def firebase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[App, object]]:
    with auth_emulator() as emulator:
        settings = {"firebase_emulator": emulator.host, "firebase_project": emulator.project}
        with running(tmp_path_factory.mktemp("firebase"), **settings) as app:
            yield app, emulator


@pytest.mark.emulator
def test_a_person_signs_in_with_firebase_by_the_linked_account(firebase: tuple[App, object]) -> None:
    app, emulator = firebase
    account = emulator.sign_up(f"{new_id()}@example.org")
    stranger = app.stranger()
    assert stranger.post("/v1/auth/firebase", {"id_token": account.id_token}).status == 401
    person = app.enrol("client", firebase_uid=account.uid)
    signed_in = stranger.post("/v1/auth/firebase", {"id_token": account.id_token})
    assert signed_in.status == 200
    stranger.take(signed_in.body)
    assert stranger.id == person.id
    stranger.connect()
    assert stranger.wait_for("ready")["person_id"] == person.id


@pytest.mark.emulator
def test_a_person_signs_in_with_firebase_by_the_verified_address_alone(firebase: tuple[App, object]) -> None:
    app, emulator = firebase
    address = f"{new_id()}@example.org"
    person = app.enrol("client", login=address)
    account = emulator.sign_up(address)
    stranger = app.stranger()
    assert stranger.post("/v1/auth/firebase", {"id_token": account.id_token}).status == 401
    emulator.change(account.uid, emailVerified=True)
    verified = emulator.sign_in(address)
    signed_in = stranger.post("/v1/auth/firebase", {"id_token": verified.id_token})
    assert (signed_in.status, signed_in.body["person"]["id"]) == (200, person.id)
    emulator.change(account.uid, disableUser=True)
    assert stranger.post("/v1/auth/firebase", {"id_token": verified.id_token}).status == 401
    stranger.sign_in(address, PASSWORD)
    assert stranger.id == person.id


def test_firebase_that_is_not_set_up_says_so(app: App) -> None:
    assert app.stranger().post("/v1/auth/firebase", {"id_token": "x"}).status == 501
