"""The commands of an operator."""

from __future__ import annotations

import base64
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from mongoengine import disconnect_all

from infra.cli import commands
from infra.log import Outgoing
from schemas.base import encode, now
from schemas.catalogue import TOPICS
from schemas.risk import AlertRaised
from tests.world import VAULT_KEY, World, an_id

NOWHERE = "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=100"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ALONGSIDE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Run a command on an empty data folder, in a process that has no connection from before."""

    def invoke(*arguments: str, **options: Any) -> Result:
        disconnect_all()
        try:
            return CliRunner().invoke(commands, [*arguments, "--data", str(tmp_path / "data")], **options)
        finally:
            disconnect_all()

    return invoke


def reopened(world: World) -> World:
    """A world whose connections the command took over, with connections of its own again."""
    for service in world.services.values():
        service.open(world.settings)
    return world


def surroundings(monkeypatch: pytest.MonkeyPatch, world: World, **changed: str) -> None:
    """The settings of a world, as an operator's shell has them."""
    given = {
        "ENV": "test",
        "STORE_URL": world.settings.store_url,
        "STORE_PREFIX": world.settings.store_prefix,
        "LOG_URL": world.settings.log_url,
        "SECRET": world.settings.secret,
        "VAULT_KEY": base64.b64encode(VAULT_KEY).decode(),
        **changed,
    }
    for name, value in given.items():
        monkeypatch.setenv(f"ALONGSIDE_{name}", value)


@pytest.mark.parametrize(
    "command", [["doctor"], ["topics"], ["dead", "list"], ["dead", "replay"], ["check-ins", "aside", "list"]]
)
def test_bad_settings_are_told_all_at_once_and_end_with_2(run: Any, command: list[str]) -> None:
    answer = run(*command)
    assert answer.exit_code == 2
    for name in ("STORE_URL", "LOG_URL", "SECRET", "VAULT_KEY"):
        assert f"ALONGSIDE_{name}" in answer.stderr
    assert answer.stdout == ""


def test_topics_are_made_once(run: Any, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    surroundings(monkeypatch, world, LOG_URL=f"sqlite://{tmp_path / 'fresh.sqlite'}")
    first, again = run("topics"), run("topics")
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert first.stdout.startswith(f"{len(TOPICS)} made, 0 there already")
    assert again.stdout.startswith(f"0 made, {len(TOPICS)} there already")


def test_the_doctor_names_each_thing_and_what_to_do(run: Any, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    surroundings(monkeypatch, world)
    answer = run("doctor")
    assert answer.exit_code == 1
    lines = answer.stdout.splitlines()
    assert "ok     store: answers" in lines
    assert f"ok     log: answers, {len(TOPICS)} topics" in lines
    assert "WRONG  risk: ALONGSIDE_PEERS does not name it" in lines
    assert "ok     dead letters: none" in lines
    assert any(line.startswith("ok     crisis lines: US, compared with what they publish on 20") for line in lines)


def test_the_doctor_finds_topics_that_are_missing(
    run: Any, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    surroundings(monkeypatch, world, LOG_URL=f"sqlite://{tmp_path / 'fresh.sqlite'}")
    answer = run("doctor")
    assert "run `alongside topics`" in answer.stdout
    assert answer.exit_code == 1


def test_the_doctor_says_when_the_store_is_away(run: Any, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    surroundings(monkeypatch, world, STORE_URL=NOWHERE)
    answer = run("doctor")
    assert answer.exit_code == 1, answer.output
    assert "WRONG  store: no answer" in answer.stdout
    assert "ALONGSIDE_STORE_URL" in answer.stdout


@pytest.fixture
def buried(world: World) -> Any:
    """A letter that risk's worker buried, because its handler was broken; and the worker."""
    # A letter that no handler can read: the band is one that no version knew.
    event = AlertRaised(
        id=an_id(),
        at=now(),
        version=1,
        alert_id="a",
        client_id="maya",
        band="high",
        rung="cover",
        tell=[],
        due_at=now(),
    )
    value, headers = encode(event)
    world.log.publish([Outgoing("risk", "maya", value.replace(b'"high"', b'"none"'), headers)])
    with pytest.raises(AssertionError, match="people buried alongside.risk.AlertRaised"):
        world.settle()
    return world.letters("people")[0]


def test_dead_letters_are_listed_and_replay_is_asked_for(
    run: Any, world: World, buried: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    surroundings(monkeypatch, world)
    listed = run("dead", "list")
    assert listed.exit_code == 0, listed.output
    (line,) = [line for line in listed.stdout.splitlines() if line.startswith("people\t")]
    service, letter_id, kind, _, why = line.split("\t")
    assert (service, letter_id, kind) == ("people", buried["_id"], "alongside.risk.AlertRaised")
    assert why.startswith("Unreadable")

    assert run("dead", "replay", "another-id").stdout == "0 asked for\n"
    assert run("dead", "replay", "--service", "goals").stdout.startswith("0 asked for")
    assert "replay" not in reopened(world).letters("people")[0]
    assert run("dead", "replay", letter_id, "--service", "people").stdout == "1 asked for\n"
    assert reopened(world).letters("people")[0]["replay"] is True
    assert "1 dead letters; see `alongside dead list`" in run("doctor").stdout


@pytest.mark.parametrize("command", [["dead", "list"], ["dead", "replay"]])
def test_a_store_that_is_away_is_said_in_words(
    run: Any, world: World, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.cli.PATIENCE_SECONDS", 1)
    surroundings(monkeypatch, world, STORE_URL=NOWHERE)
    answer = run(*command)
    assert answer.exit_code == 2
    assert "The store does not answer" in answer.stderr


def test_the_first_admin_is_enrolled_and_can_sign_in(run: Any, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    surroundings(monkeypatch, world)
    answer = run("enrol", "--login", "ada", "--name", "Ada", "--password", "ten letters and more")
    assert (answer.exit_code, answer.stdout) == (0, "admin ada can sign in\n"), answer.output
    signed = reopened(world).nobody().post("/auth/token", {"login": "ada", "password": "ten letters and more"})
    assert signed.status_code == 200
    assert signed.json["person"]["role"] == "admin"


@pytest.mark.parametrize(
    ("login", "password", "field"), [("Not A Login", "ten letters and more", "login"), ("ada", "short", "password")]
)
def test_a_wrong_admin_is_refused_in_words(
    run: Any, world: World, login: str, password: str, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    surroundings(monkeypatch, world)
    answer = run("enrol", "--login", login, "--name", "Ada", "--password", password)
    assert answer.exit_code == 2
    assert field in answer.stderr
    assert password not in answer.stderr


def test_a_login_that_is_taken_is_said_in_words(run: Any, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    surroundings(monkeypatch, world)
    arguments = ("enrol", "--login", "ada", "--name", "Ada", "--password", "ten letters and more")
    assert run(*arguments).exit_code == 0
    again = run(*arguments)
    assert again.exit_code == 2
    assert "taken" in again.stderr


def test_a_part_that_is_not_there_is_refused() -> None:
    assert CliRunner().invoke(commands, ["serve", "nothing"]).exit_code == 2


def test_only_the_gateway_has_several_processes_behind_one_port() -> None:
    refused = CliRunner().invoke(commands, ["serve", "risk", "--processes", "2"])
    assert refused.exit_code == 2
    assert "--processes is for the gateway" in refused.output


def test_a_port_in_use_is_said_in_words_by_several_processes_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        surroundings(monkeypatch, world, LISTEN=f"127.0.0.1:{taken.getsockname()[1]}")
        refused = CliRunner().invoke(commands, ["serve", "gateway", "--processes", "2"])
    assert refused.exit_code == 2
    assert "Cannot listen" in refused.output
