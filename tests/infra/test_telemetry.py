"""Log lines are JSON and carry ids; what a person wrote is in none of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from textwrap import dedent
from typing import Any

from tests.store import EmbeddedStore
from tests.world import SECRET, settings_for

# A process of its own, because logging is set up once and for a whole process.
PART = """
    import logging, sys
    from dataclasses import replace
    from infra import telemetry
    from infra.access import Identity
    from infra.log import LogDown
    from infra.web import Blueprint, api_of, make_app, needs
    from schemas.goals import NewGoal

    telemetry.log_as_json("risk")
    api = Blueprint("x", "x")

    @api.post("/goals")
    @needs("self")
    @api.arguments(NewGoal.Schema)
    def propose(body):
        words = body.text
        if body.id == "away":
            raise LogDown
        raise ArithmeticError("it does not add up")

    app = make_app("risk", lambda: Identity("maya", "client", "s", 0.0), dict)
    api_of(app).register_blueprint(api, url_prefix="/v1")
    client = app.test_client()
    for id in ("away", "bug", "wrong id"):
        client.post("/v1/goals", json={"id": id, "text": "zanzibar"}, headers={"X-Request-Id": f"request-{id[:4]}"})
    logging.getLogger("a.library").error("it said %s", "something")
    telemetry.logger("worker").error("event_dead", event_id="event-1")
    logging.getLogger("a.library").info("chatter")
"""


def lines_of(code: str) -> list[dict[str, Any]]:
    ran = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == ""
    return [json.loads(line) for line in ran.stderr.splitlines()]


def test_every_line_is_json_and_says_which_part_and_which_request() -> None:
    away, bug, library, dead = lines_of(PART)
    assert (away["event"], away["why"], away["level"]) == ("part_away", "LogDown", "warning")
    assert (bug["event"], bug["level"]) == ("request_failed", "error")
    assert "ArithmeticError" in bug["exception"]
    assert (library["event"], library["logger"]) == ("it said something", "a.library")
    assert (dead["event"], dead["event_id"]) == ("event_dead", "event-1")
    assert {line["part"] for line in (away, bug, dead)} == {"risk"}
    assert (away["request_id"], bug["request_id"]) == ("request-away", "request-bug")
    assert all(line["timestamp"].endswith("Z") for line in (away, bug, library, dead))


def test_what_a_person_wrote_is_in_no_line_even_when_a_request_fails() -> None:
    assert "zanzibar" not in json.dumps(lines_of(PART))


SERVICE = """
    import sys
    from dataclasses import replace
    from infra import telemetry
    telemetry.log_as_json("risk")
    from infra.access import Tokens
    from infra.log import open_log
    from infra.part import service_app
    from infra.settings import read_settings
    from infra.worker import Relay, Worker
    from schemas.catalogue import TOPICS
    from services.risk import service

    settings = read_settings()
    service.load().open(settings).prepare()
    log = open_log(settings.log_url)
    log.make_topics(TOPICS)
    client = service_app(service, log).test_client()
    token = Tokens(settings.secret, "risk").sign("maya", "client", "s", 60)
    body = {"id": "c", "craving": 10, "confidence": 0, "note": "zanzibar", "used": {"what": "quicksilver"}}
    post = lambda: client.post("/v1/check-ins", json=body, headers={"X-Alongside-Identity": token}).status_code

    assert post() == 201
    from services.risk import model
    def broken(*_, **__):
        raise ArithmeticError
    model.Course.commit = broken
    body["id"] = "d"
    assert post() == 500
    Relay(service.store, log).sweep(older_than=-1)
    service.store.client.drop_database(service.store.records.name)
    service.store.client.drop_database(service.store.keys.name)
    log.close()
"""


def test_a_whole_service_that_fails_over_a_check_in_writes_none_of_its_words(
    embedded_store: EmbeddedStore, tmp_path: Any, monkeypatch: Any
) -> None:
    prefix = settings_for("", "").store_prefix
    given = {
        "ENV": "test",
        "STORE_URL": embedded_store.url,
        "STORE_PREFIX": prefix,
        "LOG_URL": f"sqlite://{tmp_path / 'log.sqlite'}",
        "SECRET": SECRET,
        "VAULT_KEY": "A" * 43 + "=",
    }
    for name in [name for name in os.environ if name.startswith("ALONGSIDE_")]:
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(f"ALONGSIDE_{name}", value)
    lines = lines_of(SERVICE)
    assert [line["event"] for line in lines] == ["request_failed"]
    assert "zanzibar" not in json.dumps(lines)
    assert "quicksilver" not in json.dumps(lines)
