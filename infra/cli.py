"""The ``alongside`` command. Imports what a command needs when it runs, because one of them patches the world first."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from schemas.substances import SUBSTANCES

DATA = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".data"),
    show_default=True,
    help="Folder of the embedded store and log.",
)

MODEL = click.option(
    "--model", type=click.Path(dir_okay=False, path_type=Path), help="A model file; left out: the one shipped."
)


# Whoever types a command can wait for a store that is busy; a phone cannot.
PATIENCE_SECONDS = 20


def main() -> None:
    """The entry point."""
    commands()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Recovery coaching: a self-hostable backend."""


@commands.command()
@DATA
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the gateway listens.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--demo", is_flag=True, help="Add demo people to a new data folder; loopback only.")
@click.option("--restart", is_flag=True, help="Start a part again when it dies, instead of stopping all.")
@click.option("--processes", default=1, type=click.IntRange(1, 64), help="How many processes the gateway has.")
def up(data: Path, host: str, port: int, demo: bool, restart: bool, processes: int) -> None:
    """Start everything on this machine, and print `ready URL` when all of it answers."""
    from infra.runner import CannotStart, Group
    from infra.settings import BadSettings

    if demo and host not in ("127.0.0.1", "localhost", "::1"):
        _fail("--demo listens on the loopback only: everybody knows its passwords.")
    group = Group(data, host, port, restart, processes)

    def once_ready() -> None:
        if demo:
            from infra.demo import add_people

            add_people(data, group.url)

    try:
        code = group.run(once_ready)
    except (CannotStart, BadSettings) as error:
        _fail(str(error))
    sys.exit(code)


@commands.command()
@click.argument("part", type=click.Choice(["people", "coaching", "goals", "risk", "alumni", "gateway", "push"]))
@click.option("--processes", default=1, type=click.IntRange(1, 64), help="Of the gateway: how many behind its port.")
@click.option("--listener", type=int, hidden=True, help="An open socket at which several processes listen.")
@click.option("--among", default=1, hidden=True, help="How many those are.")
def serve(part: str, processes: int, listener: int | None, among: int) -> None:
    """Run one part; its surroundings come from ALONGSIDE_* settings."""
    if processes > 1 and part != "gateway":
        _fail("--processes is for the gateway. Of the others, start as many as are needed: they share the work.")
    if part == "gateway" and processes == 1:
        from gevent import monkey

        monkey.patch_all()
    from infra import runner
    from infra.settings import BadSettings

    try:
        if processes > 1:
            from infra.crew import serve_several

            serve_several(part, processes)
        else:
            runner.serve(part, listener, among)
    except BadSettings as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"Cannot listen: {error}")


@commands.command()
@DATA
def topics(data: Path) -> None:
    """Make the log's topics that do not exist yet. Safe to repeat."""
    from infra.log import LogDown, open_log
    from schemas.catalogue import TOPICS

    log = open_log(_settings(data).log_url)
    try:
        made = log.make_topics(TOPICS)
    except LogDown as error:
        _fail(f"The log does not answer: {error}")
    finally:
        log.close()
    click.echo(f"{len(made)} made, {len(TOPICS) - len(made)} there already: {', '.join(TOPICS)}")


@commands.command()
@click.option("--login", required=True)
@click.option("--name", required=True, help="The display name.")
@click.option("--role", type=click.Choice(["admin"]), default="admin", show_default=True)
@click.password_option(envvar="ALONGSIDE_NEW_PASSWORD", help="At least 10 characters; asked for when left out.")
@DATA
def enrol(login: str, name: str, role: str, password: str, data: Path) -> None:
    """Enrol the first admin, who enrols everybody else by the API."""
    from marshmallow import ValidationError
    from pymongo.errors import DuplicateKeyError

    from infra.demo import enrol_first
    from infra.ids import new_id
    from infra.store import STORE_DOWN
    from schemas.people import NewPerson

    _settings(data)
    body = {"id": new_id(), "role": role, "login": login, "password": password, "display_name": name}
    try:
        NewPerson.load(body)
        enrol_first(login, role, name, password, body["id"])
    except ValidationError as error:
        _fail(f"This is not as it should be: {error.messages}")
    except DuplicateKeyError:
        _fail("This login is taken.")
    except STORE_DOWN as error:
        _fail(f"The store does not answer ({type(error).__name__}).")
    click.echo(f"{role} {login} can sign in")


@commands.group()
def dead() -> None:
    """Events that could not be handled: kept whole, until an operator acts."""


@dead.command("list")
@DATA
def dead_list(data: Path) -> None:
    """Each dead letter: service, id, kind, when it died and why."""
    for service, letter in _letters(data):
        kind = letter["headers"].get("ce_type", "(none)")
        click.echo(f"{service}\t{letter['_id']}\t{kind}\t{letter['died_at']:%Y-%m-%dT%H:%M:%SZ}\t{letter['error']}")


@dead.command("replay")
@click.argument("ids", nargs=-1)
@click.option("--service", "only", help="Those of one service.")
@DATA
def dead_replay(ids: tuple[str, ...], only: str | None, data: Path) -> None:
    """Ask the services to try dead letters again: those named, or all. One that dies again stays, with its error."""
    count = 0
    for service, letter in _letters(data):
        if (not ids or letter["_id"] in ids) and only in (None, service):
            _letters_of(data, service).update_one({"_id": letter["_id"]}, {"$set": {"replay": True}})
            count += 1
    click.echo(f"{count} asked for")


@commands.group("check-ins")
def check_ins() -> None:
    """What clients said of their days."""


@check_ins.group()
def aside() -> None:
    """Check-ins that could not be read: kept whole, until a version comes that can."""


@aside.command("list")
@DATA
def aside_list(data: Path) -> None:
    """Each that waits: id, client, when it came, and what was wrong with it."""
    with _risk_desk(data, "aside_desk") as desk:
        for line in desk.listed():
            click.echo(line)


@aside.command("show")
@click.argument("id")
@DATA
def aside_show(id: str, data: Path) -> None:
    """Print one as the phone sent it. The look goes into the client's audit ledger."""
    from infra.vault import Erased

    with _risk_desk(data, "aside_desk") as desk:
        try:
            click.echo(desk.shown(id))
        except KeyError:
            _fail("There is none with this id.")
        except Erased:
            _fail("The client was erased: nobody can read it any more.")


@aside.command("retry")
@click.argument("ids", nargs=-1)
@DATA
def aside_retry(ids: tuple[str, ...], data: Path) -> None:
    """Hand those named, or all that wait, in again. One that is taken is done; exits with 1 when one is not."""
    from urllib3.exceptions import HTTPError

    with _risk_desk(data, "aside_desk") as desk:
        if "risk" not in desk.service.settings.peers:
            _fail("ALONGSIDE_PEERS does not name risk, whose door they are handed in at.")
        tried = []
        try:
            for one in desk.retry(ids):
                tried.append(one)
                click.echo(f"{one.id}\t{one.words}")
        except HTTPError as error:
            _fail(f"risk does not answer ({type(error).__name__}).")
    taken = sum(one.taken for one in tried)
    click.echo(f"{taken} taken, {len(tried) - taken} not")
    sys.exit(0 if taken == len(tried) else 1)


@commands.group()
def risk() -> None:
    """The risk score: fit it, score a folder of records, report how far it can be trusted."""


@risk.command("fit")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DIR...")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("model.json"),
    show_default=True,
    help="The model file to write.",
)
@click.option(
    "--substance",
    "substances",
    multiple=True,
    type=click.Choice(SUBSTANCES),
    default=["opioids"],
    show_default=True,
    help="What the people in these folders recover from; once for each. The score is silent about everybody else.",
)
def risk_fit(folders: tuple[Path, ...], out: Path, substances: tuple[str, ...]) -> None:
    """Fit the score on trials: folders with the five files, and an operator's own today.csv. Needs alongside[fit]."""
    for line in _study("fit", folders, out, sorted(set(substances))):
        click.echo(line)


@risk.command("score")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path), metavar="OUT.csv")
@MODEL
def risk_score(folder: Path, out: Path, model: Path | None) -> None:
    """Score every decision day of a folder with the five files: who,day,p7,p14. Nothing after a day is read for it."""
    click.echo(_study("score", folder, out, model))


@risk.command("report")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the report.")
@MODEL
def risk_report(folder: Path, out: Path, model: Path | None) -> None:
    """Report on a folder with the five files, or on one of several such: a page, plots, JSON. Needs alongside[fit]."""
    click.echo(_study("report", folder, out, model))


@risk.command("export")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@DATA
def risk_export(folder: Path, data: Path) -> None:
    """Write your own records in the files that `risk fit` reads. People are numbered; no written word is in them."""
    if folder.exists() and any(folder.iterdir()):
        _fail(f"{folder} is not empty.")
    with _risk_desk(data, "export") as desk:
        click.echo(desk.write_to(folder))


@commands.command()
@DATA
def doctor(data: Path) -> None:
    """Look at settings, store, log and parts, and say what is wrong and what to do. Exits with 1 when something is."""
    from infra.doctor import examine

    findings = examine(_settings(data))
    for finding in findings:
        click.echo(f"{'ok   ' if finding.well else 'WRONG'}  {finding.what}: {finding.words}")
    sys.exit(0 if all(finding.well for finding in findings) else 1)


@commands.command()
@click.option("--clients", required=True, type=click.IntRange(1, 10_000), help="How many invented clients.")
@click.option("--days", required=True, type=click.IntRange(1, 3660), help="How many days each of them plays.")
@click.option(
    "--coaches", default=2, show_default=True, type=click.IntRange(1, 1000), help="How many invented coaches."
)
@click.option("--seed", default=1, show_default=True, help="Decides everything; the same again adds nothing.")
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="Of an `up --demo` on this machine.")
def simulate(clients: int, days: int, coaches: int, seed: int, url: str) -> None:
    """Let invented people use the public API, for load and demonstration. What comes of it is never evidence."""
    from infra.simulate import CannotSimulate
    from infra.simulate import simulate as played

    try:
        for line in played(url, clients, days, seed, coaches):
            click.echo(line)
    except CannotSimulate as error:
        _fail(str(error))


def _study(act: str, *given: Any) -> Any:
    from importlib import import_module

    commands_of_study = import_module("services.risk.study.commands")
    try:
        return getattr(commands_of_study, act)(*given)
    except commands_of_study.Refused as error:
        _fail(str(error))


def _settings(data: Path) -> Any:
    from infra.runner import read_environment
    from infra.settings import BadSettings, read_settings
    from infra.telemetry import log_as_json

    log_as_json("cli")
    read_environment(data)
    try:
        return read_settings()
    except BadSettings as error:
        _fail(str(error))


@contextmanager
def _risk_desk(data: Path, room: str) -> Iterator[Any]:
    """A room of risk with its store open."""
    import importlib

    from infra.store import STORE_DOWN

    risk = importlib.import_module("services.risk").service.open(_settings(data), PATIENCE_SECONDS)
    try:
        yield importlib.import_module(f"services.risk.{room}")
    except STORE_DOWN as error:
        _fail(f"The store does not answer ({type(error).__name__}).")
    finally:
        risk.store.close()


def _letters(data: Path) -> list[tuple[str, dict[str, Any]]]:
    from infra.store import STORE_DOWN
    from schemas.catalogue import SERVICES

    try:
        return [(name, letter) for name in (*SERVICES, "gateway") for letter in _letters_of(data, name).find()]
    except STORE_DOWN as error:
        _fail(f"The store does not answer ({type(error).__name__}).")


def _letters_of(data: Path, service: str) -> Any:
    from infra.store import connect

    return connect(service, _settings(data), PATIENCE_SECONDS).collection("dead")


def _fail(why: str) -> NoReturn:
    click.echo(why, err=True)
    sys.exit(2)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
