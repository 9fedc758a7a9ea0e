"""``alongside risk``: what an operator types, with the extra and without it."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from infra.cli import commands
from services.risk.score import Model
from services.risk.study.files import read, write
from services.risk.study.panel import decision_days
from tests.services.risk.study import worlds
from tests.services.risk.test_score import cut_after


def alongside(*arguments: object) -> Result:
    return CliRunner().invoke(commands, ["risk", *map(str, arguments)])


def scores(path: Path) -> dict[tuple[str, int], tuple[float, float]]:
    with path.open(newline="") as file:
        table = csv.DictReader(file)
        assert table.fieldnames == ["who", "day", "p7", "p14"]
        return {(row["who"], int(row["day"])): (float(row["p7"]), float(row["p14"])) for row in table}


def test_every_decision_day_is_scored_and_nothing_else(made_up: Path, tmp_path: Path) -> None:
    done = alongside("score", made_up / "north", tmp_path / "out.csv")
    found = scores(tmp_path / "out.csv")
    assert (done.exit_code, done.output) == (0, f"{len(found):,} decision days written to {tmp_path / 'out.csv'}\n")
    model, people = Model.read(), read(made_up / "north").people
    assert found == {
        (who, day): tuple(model.score(person.record, day).p.values())
        for who, person in people.items()
        for day in decision_days(person.record)
    }
    assert len(found) > 500


@pytest.mark.parametrize("day", [41, 77, 112])
def test_files_that_end_at_a_day_give_the_same_scores_up_to_it(made_up: Path, tmp_path: Path, day: int) -> None:
    people = read(made_up / "north").people
    write(tmp_path / "whole", {who: person.record for who, person in people.items()})
    write(tmp_path / "cut", {who: cut_after(person.record, day) for who, person in people.items()})
    for name in ("whole", "cut"):
        assert alongside("score", tmp_path / name, tmp_path / f"{name}.csv").exit_code == 0
    whole, cut = scores(tmp_path / "whole.csv"), scores(tmp_path / "cut.csv")
    assert {key: whole[key] for key in cut} == cut
    assert (len(cut) > 50) == (day > 41)


def test_the_real_trials_are_scored_as_often_as_they_have_person_weeks(tmp_path: Path) -> None:
    folder = worlds.real_folder()
    for name, weeks in (("27", 19_161), ("30", 7_728)):
        assert alongside("score", folder / name, tmp_path / f"{name}.csv").exit_code == 0
        found = scores(tmp_path / f"{name}.csv")
        assert len(found) == weeks
        assert all(0 < p7 <= p14 < 1 for p7, p14 in found.values())


def test_a_model_of_ones_own_is_fitted_scored_with_and_reported_on(made_up: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="needs alongside[fit]")
    pytest.importorskip("matplotlib", reason="needs alongside[fit]")
    model = tmp_path / "own.json"
    about = ("--substance", "alcohol", "--substance", "sedatives")
    fitted = alongside("fit", made_up / "north", made_up / "south", "--out", model, *about)
    assert fitted.exit_code == 0, fitted.output
    assert "after 28 days without use AUC" in fitted.output
    assert "fitted on south, tried on north:" in fitted.output
    assert Model.read(model).document["people"] > 100
    assert Model.read(model).substances == {"alcohol", "sedatives"}
    about_whom = Model.read(model).document["about"]
    assert "dependence on alcohol and sedatives" in about_whom
    assert "No claim for opioids, stimulants, cannabis, nicotine or for people not in care" in about_whom

    scored = alongside("score", made_up / "north", tmp_path / "out.csv", "--model", model)
    assert scored.exit_code == 0, scored.output
    alongside("score", made_up / "north", tmp_path / "shipped.csv")
    assert scores(tmp_path / "out.csv") != scores(tmp_path / "shipped.csv")

    reported = alongside("report", made_up, "--out", tmp_path / "deep" / "report", "--model", model)
    assert reported.exit_code == 0, reported.output
    names = {path.name for path in (tmp_path / "deep" / "report").iterdir()}
    assert {"index.html", "report.json", "roc.png", "after-28-days.png"} <= names
    assert json.loads((tmp_path / "deep" / "report" / "report.json").read_text())["seen"] is True


def test_a_fit_writes_into_the_current_folder_when_nothing_else_is_said(
    made_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn", reason="needs alongside[fit]")
    monkeypatch.chdir(tmp_path)
    assert alongside("fit", made_up).exit_code == 0
    assert Model.read(tmp_path / "model.json").document["data"][0]["name"] == "north"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("score", "{empty}", "{out}"), "people.csv cannot be read (FileNotFoundError)"),
        (("score", "{bad}", "{out}"), "use.csv, line 3, column day: 'soon' must be a whole number"),
        (("score", "{good}", "{out}", "--model", "{bad}/use.csv"), "use.csv is not JSON"),
        (("score", "{good}", "{out}", "--model", "{empty}/none.json"), "none.json"),
        (("score", "{good}", "{empty}/none/out.csv"), "none/out.csv"),
        (("fit", "{empty}"), "holds none of people.csv, use.csv"),
        (("fit", "{bad}"), "use.csv, line 3, column day: 'soon' must be a whole number"),
        (("fit", "{alone}"), "Nobody here has a decision day"),
        (("fit", "{good}", "--out", "{empty}/none/model.json"), "none/model.json"),
        (("report", "{alone}", "--out", "{out}"), "There must be decision days"),
        (("report", "{bad}", "--out", "{out}"), "use.csv, line 3, column day"),
        (("report", "{good}", "--out", "{out}", "--model", "{bad}/use.csv"), "use.csv is not JSON"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_with_exit_code_2(
    arguments: tuple[str, ...], words: str, made_up: Path, tmp_path: Path
) -> None:
    pytest.importorskip("sklearn", reason="needs alongside[fit]")
    empty, alone, bad = (tmp_path / name for name in ("empty", "alone", "bad"))
    empty.mkdir()
    write(alone, {"a": read(made_up / "north").people["1"].record._replace(kept=[1])})
    shutil.copytree(alone, bad)
    (bad / "use.csv").write_text("who,day,what,source,opioid\na,1,Heroin,TFB,1\na,soon,Heroin,TFB,1\n")
    places = {"empty": empty, "alone": alone, "bad": bad, "good": made_up / "north", "out": tmp_path / "out"}
    done = alongside(*(argument.format(**places) for argument in arguments))
    assert done.exit_code == 2
    assert words in done.output
    assert len(done.output.splitlines()) == 1


def without_the_extra(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command in a Python that has none of the extra's libraries, and no setting of ours."""
    program = (
        "import sys\n"
        "for name in ('numpy', 'scipy', 'sklearn', 'matplotlib'): sys.modules[name] = None\n"
        "from infra.cli import main\n"
        f"sys.argv = ['alongside', 'risk', *{list(map(str, arguments))!r}]\n"
        "main()\n"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ALONGSIDE_")}
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=worlds.ROOT, env=kept)


def test_scoring_needs_no_extra(made_up: Path, tmp_path: Path) -> None:
    done = without_the_extra("score", made_up / "south", tmp_path / "out.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert alongside("score", made_up / "south", tmp_path / "again.csv").exit_code == 0
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "again.csv").read_bytes()


@pytest.mark.parametrize("command", ["fit", "report"])
def test_fitting_and_reporting_say_plainly_that_they_need_the_extra(
    command: str, made_up: Path, tmp_path: Path
) -> None:
    done = without_the_extra(command, made_up, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr == "numpy is not installed. This needs the extra: pip install alongside[fit]\n"
    assert not (tmp_path / "out").exists()
