"""Invented people on a running system: what is printed is true of it, and a second run adds nothing."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner, Result

from infra.cli import commands
from infra.invented import Client, answers_to
from infra.simulate import NOT_EVIDENCE, ROWS
from tests.app import App, Phone, running

CLIENTS, DAYS, SEED = 4, 30, 3


def simulate(url: str, clients: int = CLIENTS, days: int = DAYS, **options: Any) -> Result:
    asked = {"url": url, "clients": clients, "days": days, "seed": SEED, **options}
    return CliRunner().invoke(
        commands, ["simulate", *(word for name in asked for word in (f"--{name}", str(asked[name])))]
    )


def rows_of(result: Result) -> dict[str, int]:
    """The table that was printed."""
    assert result.exit_code == 0, result.output
    first, *rows, seconds, last = result.stdout.splitlines()
    assert first == last == NOT_EVIDENCE
    assert seconds.endswith("seconds")
    table = {words: int(number.replace(",", "")) for number, words in (row.split(maxsplit=1) for row in rows)}
    assert tuple(table) == ROWS
    return table


@pytest.fixture(scope="module")
def the_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running(tmp_path_factory.mktemp("app")) as app:
        yield app


@pytest.fixture(scope="module")
def played(the_app: App) -> dict[str, int]:
    return rows_of(simulate(the_app.url))


@pytest.fixture
def cast(the_app: App, played: dict[str, int]) -> Iterator[list[Phone]]:
    """The clients' own phones."""
    assert played["clients enrolled"] == CLIENTS
    yield [the_app.phone(Client(SEED, number).login) for number in range(1, CLIENTS + 1)]
    the_app.hang_up()


def alerts_of(app: App, cast: list[Phone]) -> list[Any]:
    """All that anybody was asked about these clients, each once."""
    asked = [app.phone("ines"), *(app.phone(f"simulated-{SEED}-coach-{number}") for number in (1, 2))]
    found = {one["id"]: one for phone in asked for one in phone.get("/v1/alerts?limit=200").body["items"]}
    return [one for one in found.values() if one["client_id"] in {phone.id for phone in cast}]


def test_the_check_ins_that_are_printed_are_those_that_are_there(played: dict[str, int], cast: list[Phone]) -> None:
    there = [one for phone in cast for one in phone.get("/v1/check-ins?limit=200").body["items"]]
    taken = played["check-ins taken"] + played["check-ins taken late"]
    assert taken > CLIENTS
    assert len(there) == taken + played["corrections taken"]
    assert sum(one["corrects"] is not None for one in there) == played["corrections taken"] > 0
    assert taken + played["days without a check-in"] == CLIENTS * DAYS
    assert played["check-ins taken late"] > 0
    assert played["sent again, and there already"] > 0
    bands = Counter(one["band"] for one in there)
    assert {band: played[f"check-ins kept, {band}"] for band in ("steady", "watch", "high", "urgent")} == {
        band: bands[band] for band in ("steady", "watch", "high", "urgent")
    }


def test_the_alerts_that_are_printed_are_those_that_are_there(
    the_app: App, played: dict[str, int], cast: list[Phone]
) -> None:
    there = alerts_of(the_app, cast)
    states = Counter(one["state"] for one in there)
    assert played["alerts raised"] == len(there) > 1
    assert {state: played[f"alerts {state}"] for state in ("open", "acknowledged", "closed")} == {
        state: states[state] for state in ("open", "acknowledged", "closed")
    }
    assert states["closed"] > 0, "one episode follows another only when somebody ends it"
    assert all(one["outcome"] for one in there if one["state"] == "closed")


def test_the_assessments_that_are_printed_are_those_that_are_there(played: dict[str, int], cast: list[Phone]) -> None:
    there = [one for phone in cast for one in phone.get("/v1/assessments?limit=200").body["items"]]
    assert played["assessments taken"] == len(there) > 0
    assert {one["instrument"] for one in there} == {"phq-9", "bam"}


def test_they_are_called_what_they_are_and_each_has_an_aim(cast: list[Phone]) -> None:
    for number, phone in enumerate(cast, 1):
        assert phone.session["person"]["display_name"] == f"Simulated client {number}"
        assert phone.get("/v1/sobriety").body["aim"] == Client(SEED, number).aim.aim


def test_a_second_run_says_the_same_again_and_adds_nothing(the_app: App, played: dict[str, int]) -> None:
    again = rows_of(simulate(the_app.url))
    new = {"coaches enrolled", "clients enrolled", "check-ins taken", "check-ins taken late", "corrections taken"}
    assert {again[row] for row in new | {"assessments taken", "alerts handed over"}} == {0}
    kept = [row for row in ROWS if row.startswith(("check-ins kept", "alerts raised", "alerts open", "alerts closed"))]
    assert {row: again[row] for row in kept} == {row: played[row] for row in kept}
    sent = sum(played[row] for row in new - {"coaches enrolled", "clients enrolled"})
    assert again["sent again, and there already"] == (
        sent + played["assessments taken"] + played["sent again, and there already"]
    )


def test_what_they_leave_is_exported_and_scored(the_app: App, tmp_path: Path) -> None:
    """Their records are read as any others: only whoever asks knows that they are nobody's."""
    rows_of(simulate(the_app.url, clients=2, days=60, seed=4))
    files, scores = tmp_path / "files", tmp_path / "scores.csv"
    exported = CliRunner().invoke(commands, ["risk", "export", str(files), "--data", str(the_app.data)])
    assert exported.exit_code == 0, exported.output
    assert {path.name for path in files.iterdir()} >= {
        "people.csv",
        "use.csv",
        "contacts.csv",
        "medication.csv",
        "withdrawal.csv",
    }
    scored = CliRunner().invoke(commands, ["risk", "score", str(files), str(scores)])
    assert scored.exit_code == 0, scored.output
    with scores.open(newline="") as file:
        days = list(csv.DictReader(file))
    assert {int(row["day"]) for row in days} >= {28, 35}
    assert all(0 < float(row[horizon]) < 1 for row in days for horizon in ("p7", "p14"))


@pytest.mark.parametrize(
    "url",
    [
        "http://192.168.1.4:8000",
        "https://alongside.example.org",
        "http://127.0.0.1.example.org",
        "http://127.0.0.1@example.org",
        "http://0.0.0.0:8000",
        "ftp://127.0.0.1",
        "127.0.0.1",
        "http://[::1",
        "",
    ],
)
def test_no_address_but_the_machines_own_is_talked_to(url: str) -> None:
    refused = simulate(url)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "loopback" in refused.stderr


def test_where_nothing_answers_it_is_said_in_words() -> None:
    refused = simulate("http://127.0.0.1:9")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "does not answer" in refused.stderr


def test_where_there_are_no_demo_people_nobody_is_invented(the_app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.simulate.PASSWORD", "another-password")
    refused = simulate(the_app.url)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "up --demo" in refused.stderr


def test_the_same_seed_lives_the_same_life_and_another_does_not() -> None:
    def life(seed: int, number: int) -> list[Any]:
        return list(Client(seed, number).days(date(2026, 1, 1), 20))

    assert life(1, 1) == life(1, 1)
    assert life(1, 1) != life(1, 2)
    assert life(1, 1) != life(2, 1)
    assert life(1, 1)[:10] == list(Client(1, 1).days(date(2026, 1, 1), 10)), "more days change none before"


def test_only_what_an_instrument_asks_is_answered() -> None:
    asked = {"id": "2", "kind": "yes-no", "options": [], "asked_when": [{"item": "1", "at_least": 1}]}
    first = {"id": "1", "kind": "days", "options": [], "min": 0, "max": 30, "asked_when": []}
    instrument = {"crisis": [], "items": [first, asked]}
    given = [answers_to(instrument, Random(seed)) for seed in range(40)]
    assert {"2" in one for one in given} == {True, False}
    assert all(("2" in one) == (one["1"] >= 1) for one in given)
