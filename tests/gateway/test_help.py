"""Whoever asks for help is answered, whatever has become of risk."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from flask.testing import FlaskClient

from gateway import help as help_alone
from gateway.api import Door, forwarding
from infra.runner import reserve_port
from infra.web import make_app
from schemas.crisis import LINES, static_help
from tests.world import settings_for

HELP = ("/v1/help", "/v1/crisis-lines")


def gateway(risk: str) -> FlaskClient:
    """A door behind which there is only risk, at this address."""
    settings = settings_for("mongodb://127.0.0.1:1/", "sqlite:///nowhere", peers={"risk": risk}, region="GB")
    app = make_app("gateway", lambda: None, dict)
    forwarding(app, Door(settings))
    return app.test_client()


@contextmanager
def nothing_listens() -> Iterator[str]:
    with reserve_port() as place:
        yield f"http://127.0.0.1:{place.getsockname()[1]}"


@contextmanager
def takes_and_never_answers() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def answers_with(
    status: int, heard: list[dict[str, str]] | None = None, sent: dict[str, str] | None = None
) -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if heard is not None:
                heard.append(dict(self.headers))
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(sent or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b'{"risk": "itself"}')

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def fails() -> Iterator[str]:
    with answers_with(500) as url:
        yield url


@pytest.mark.parametrize("trouble", [nothing_listens, takes_and_never_answers, fails])
def test_without_risk_help_and_the_lines_are_answered_all_the_same(
    trouble: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.api._PATIENCE_FOR_HELP", 0.2)
    with trouble() as risk:
        door = gateway(risk)
        helped, lines = door.get("/v1/help"), door.get("/v1/crisis-lines")
    assert (helped.status_code, lines.status_code) == (200, 200)
    assert helped.json == static_help("GB").dump()
    assert helped.json["plan"] == "unreachable"
    assert [card["call"] for card in helped.json["cards"][:3]] == ["999", "111", "116 123"]
    assert [line["name"] for line in lines.json["items"]] == [line.name for line in LINES["GB"]]


def test_what_is_answered_alone_is_of_the_region_and_the_language_that_were_asked_for() -> None:
    with nothing_listens() as risk:
        door = gateway(risk)
        spanish = door.get("/v1/help?region=US", headers={"Accept-Language": "es-MX,en;q=0.5"}).json
        unknown = door.get("/v1/help?region=XX").json
        lines = door.get("/v1/crisis-lines?region=AU").json
    assert spanish == static_help("US", "es").dump()
    assert unknown == static_help("GB").dump(), "help is no place to be told of a wrong field by a part that is away"
    assert lines["items"][0]["call"] == "000"


def test_everything_else_of_risks_is_said_to_be_away_with_the_lines_beside_it() -> None:
    with nothing_listens() as risk:
        door = gateway(risk)
        answers = [
            door.post("/v1/check-ins", json={}),
            door.post("/v1/help"),
            door.get("/v1/help/asked"),
            door.get("/v1/safety-plan", headers={"Accept-Language": "es"}),
        ]
    for answer in answers:
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert [card["call"] for card in answer.json["cards"][:3]] == ["999", "111", "116 123"]
        assert "overdose" in {card["kind"] for card in answer.json["cards"]}
    assert answers[-1].json["cards"] == static_help("GB", "es").dump()["cards"]


def test_where_risk_answers_that_its_store_is_away_the_lines_are_beside_it_too() -> None:
    with answers_with(503) as risk:
        answer = gateway(risk).get("/v1/check-ins", headers={"Accept-Language": "es"})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert answer.json["cards"] == static_help("GB", "es").dump()["cards"]


def test_whoever_asks_for_help_and_is_not_signed_in_is_answered_401_with_the_lines_beside_it() -> None:
    with answers_with(401, sent={"WWW-Authenticate": "Bearer"}) as risk:
        door = gateway(risk)
        helped, other = door.get("/v1/help?region=US"), door.get("/v1/safety-plan")
    for answer in (helped, other):
        assert (answer.status_code, answer.json["detail"]) == (401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert helped.json["cards"] == static_help("US").dump()["cards"]
    assert "cards" not in other.json


@pytest.mark.parametrize("status", [200, 401, 404, 422])
def test_what_risk_itself_answers_is_handed_on(status: int) -> None:
    heard: list[dict[str, str]] = []
    with answers_with(status, heard) as risk:
        answer = gateway(risk).get("/v1/help?region=US", headers={"Accept-Language": "es"})
    assert (answer.status_code, answer.json) == (status, {"risk": "itself"})
    assert heard[0]["Accept-Language"] == "es"


def test_help_waits_for_risk_longer_than_risk_waits_for_its_store_and_not_much_longer() -> None:
    assert 2 < help_alone.PATIENCE_SECONDS < 6
