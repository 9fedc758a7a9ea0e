"""The files of instruments: those that ship, their schema, and an operator's own."""

from __future__ import annotations

import base64
import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from infra.settings import BadSettings
from schemas.assessments import Instrument, LeftOut
from services.risk.instruments import SHIPPED, mistakes_of
from tests.services.risk.forms import SHIPPED_FILES, an_operators_folder, an_own_instrument, shelf_with, shipped
from tests.world import VAULT_KEY

SCHEMA = json.loads((SHIPPED / "schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
PHQ_9 = json.loads((SHIPPED / "phq-9-1.json").read_text())
EVERY_KEY = [
    "audit-c-1",
    "bam-continuous-1",
    "bam-likert-1",
    "barc-10-1",
    "c-ssrs-screener-1",
    "gad-7-1",
    "phq-9-1",
]

every_file = pytest.mark.parametrize("path", SHIPPED_FILES, ids=lambda path: path.stem)


def refusal(folder: Path) -> list[str]:
    with pytest.raises(BadSettings) as refused:
        shelf_with(folder)
    return refused.value.problems


# -- those that ship


def test_all_the_instruments_that_are_promised_ship() -> None:
    assert [one.key for one in shelf_with().all()] == EVERY_KEY


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@every_file
def test_a_file_fits_the_schema_and_is_named_by_what_is_in_it(path: Path) -> None:
    data = json.loads(path.read_text())
    VALIDATOR.validate(data)
    instrument = Instrument.load(data)
    assert path.stem == instrument.key
    assert list(mistakes_of(instrument)) == []


@every_file
def test_a_file_says_what_is_known_of_its_licence_and_that_an_operator_checks(path: Path) -> None:
    instrument = Instrument.load(json.loads(path.read_text()))
    assert "An operator checks" in instrument.licence
    assert "doi:" in instrument.source
    # For every one of them something is from memory, or from a copy, and the file must own up to it.
    assert instrument.verify


def test_the_bam_has_three_scales_of_the_right_items_and_ranges_and_no_total() -> None:
    use, risk, protective = (["4", "5", "6"], ["1", "2", "3", "8", "11", "15"], ["9", "10", "12", "13", "14", "16"])
    for key, most in (("bam-likert-1", 4), ("bam-continuous-1", 30)):
        scales = {scale.name: (scale.items, scale.min, scale.max) for scale in shipped(key).scales}
        assert scales == {
            "use": (use, 0, 3 * most),
            "risk": (risk, 0, 6 * most),
            "protective": (protective, 0, 6 * most),
        }
        assert {item.id for item in shipped(key).items} == {
            *use,
            *risk,
            *protective,
            "17",
            *(f"7{letter}" for letter in "ABCDEFG"),
        }


def test_the_bam_is_due_weekly_in_one_variant_only_and_the_others_on_their_days() -> None:
    schedules = {one.key: one.schedule for one in shelf_with().all()}
    assert {key: one.every_days for key, one in schedules.items() if one and one.every_days} == {"bam-likert-1": 7}
    assert {key for key, one in schedules.items() if one and one.on_days == [1, 30, 90, 180]} == {
        "audit-c-1",
        "barc-10-1",
        "gad-7-1",
        "phq-9-1",
    }


def test_only_the_bam_without_published_cut_offs_and_the_screener_read_nothing_into_a_number() -> None:
    silent = {one.key for one in shelf_with().all() if not any(scale.cut_offs for scale in one.scales)}
    assert silent == {"bam-continuous-1", "c-ssrs-screener-1"}


# -- the schema and the loading say the same


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a file."""
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*path, name))
    if isinstance(value, list):
        for number, inner in enumerate(value):
            yield from places(inner, (*path, number))


STRANGE: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 2**54),
    # Not 1.0, which a schema takes for whole, and which nobody writes.
    st.sampled_from([0.5, "", "x" * 201, "x" * 8001, "-x", "two words", "en", "pt-BR", "high", "options", {}, []]),
    st.lists(st.integers(0, 5), max_size=2),
)


WHOLE = [
    *(json.loads(path.read_text()) for path in SHIPPED_FILES),
    an_own_instrument(),
    {"id": "x", "version": 1, "off": True},
]
PLACES = [list(places(data)) for data in WHOLE]


def is_loaded(data: Any) -> bool:
    kind: type[Instrument | LeftOut] = LeftOut if isinstance(data, dict) and "off" in data else Instrument
    try:
        kind.load(data)
    except ValidationError:
        return False
    return True


@st.composite
def spoilt_files(draw: st.DrawFn) -> Any:
    """A file that ships, or one that leaves one out, with something strange put somewhere, taken away or added."""
    number = draw(st.integers(0, len(WHOLE) - 1))
    data = copy.deepcopy(WHOLE[number])
    path = draw(st.sampled_from(PLACES[number]))
    if not path:
        return draw(STRANGE)
    inside = data
    for step in path[:-1]:
        inside = inside[step]
    how = draw(st.sampled_from(["change", "remove", "add"]))
    if how == "remove":
        del inside[path[-1]]
    elif how == "add" and isinstance(inside, dict):
        inside[draw(st.sampled_from(["surprise", "verify", "variant", "off", "min", "optional"]))] = draw(STRANGE)
    else:
        inside[path[-1]] = draw(STRANGE)
    return data


@settings(max_examples=400, deadline=None, derandomize=True)
@given(spoilt_files())
def test_what_the_schema_takes_is_what_the_loading_takes(data: Any) -> None:
    assert is_loaded(data) == VALIDATOR.is_valid(data)


def test_spoilt_files_are_taken_and_refused_both() -> None:
    """Else the test above would say nothing."""
    assert all(is_loaded(data) and VALIDATOR.is_valid(data) for data in WHOLE)
    for spoilt in ({**WHOLE[0], "surprise": 1}, {**WHOLE[0], "version": True}, {**WHOLE[-1], "off": False}):
        assert not is_loaded(spoilt)
        assert not VALIDATOR.is_valid(spoilt)


# -- an operator's own


def test_an_operator_adds_an_instrument_with_a_file_and_no_code(tmp_path: Path) -> None:
    folder = an_operators_folder(tmp_path / "own", an_own_instrument())
    assert [one.key for one in shelf_with(folder).all()] == sorted([*EVERY_KEY, "morning-1"])


def test_a_newer_version_takes_the_place_of_the_older_one_which_can_still_be_asked_for(tmp_path: Path) -> None:
    shelf = shelf_with(an_operators_folder(tmp_path / "own", {**PHQ_9, "version": 2}))
    assert [one.key for one in shelf.newest() if one.id == "phq-9"] == ["phq-9-2"]
    assert [one.key for one in shelf.versions("phq-9")] == ["phq-9-2", "phq-9-1"]
    assert [one.key for one in shelf.versions("phq-9", 1)] == ["phq-9-1"]


def test_a_variant_may_be_another_language_of_the_same_version(tmp_path: Path) -> None:
    shelf = shelf_with(an_operators_folder(tmp_path / "own", {**PHQ_9, "variant": "pt", "language": "pt"}))
    assert [one.variant for one in shelf.versions("phq-9", 1)] == [None, "pt"]


def test_an_operator_leaves_one_out_wholly_or_in_one_variant(tmp_path: Path) -> None:
    barc, bam = ({"id": id, "version": 1, "off": True} for id in ("barc-10", "bam"))
    without = shelf_with(an_operators_folder(tmp_path / "own", barc, {**bam, "variant": "continuous"}))
    assert [one.key for one in without.all()] == [k for k in EVERY_KEY if k not in ("barc-10-1", "bam-continuous-1")]
    neither = shelf_with(an_operators_folder(tmp_path / "other", bam))
    assert [one.key for one in neither.all()] == [key for key in EVERY_KEY if not key.startswith("bam")]


def test_a_screen_that_another_one_calls_for_may_be_left_out(tmp_path: Path) -> None:
    folder = an_operators_folder(tmp_path / "own", {"id": "c-ssrs-screener", "version": 1, "off": True})
    assert "c-ssrs-screener-1" not in [one.key for one in shelf_with(folder).all()]


def test_what_there_is_already_is_not_overridden(tmp_path: Path) -> None:
    (problem,) = refusal(an_operators_folder(tmp_path / "own", {**PHQ_9, "title": "Mine"}))
    assert "file-0.json" in problem
    assert "there is phq-9-1 already" in problem


def test_leaving_out_what_is_not_there_is_a_mistake_that_is_told(tmp_path: Path) -> None:
    (problem,) = refusal(an_operators_folder(tmp_path / "own", {"id": "barc", "version": 1, "off": True}))
    assert "file-0.json" in problem
    assert "no such instrument to leave out" in problem


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    (problem,) = refusal(tmp_path / "nowhere")
    assert problem == f"ALONGSIDE_INSTRUMENTS: {tmp_path / 'nowhere'} is not a folder"


def changed(path: str, value: Any) -> dict[str, Any]:
    """The operator's own instrument with something else at a place such as ``items.3.options``."""
    data = an_own_instrument()
    inside: Any = data
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in steps:
        inside = inside[step]
    inside[last] = value
    return data


YES = [{"item": "alone", "at_least": 1}]
BROKEN: list[tuple[Any, str]] = [
    ("{", "Expecting property name"),
    ("[" * 100_000, "recursion"),
    ([], "_schema"),
    ({}, "id: Missing data"),
    ({"id": "x", "version": 1, "off": False}, "off: "),
    (changed("title", ""), "title: "),
    (changed("surprise", 1), "surprise: Unknown field"),
    (changed("items", []), "items: there is no question"),
    (changed("items.0.text", None), "items.0.text: "),
    (changed("items.0.kind", "colour"), "items.0.kind: "),
    (changed("items.0.min", None), "items.0.min, max: "),
    (changed("items.0.min", 10), "items.0.min, max: "),
    (changed("items.0.options", [{"value": 11, "label": "x"}]), "items.0.options: "),
    (changed("items.2.max", 3), "items.2.min, max: are not for yes-no"),
    (changed("items.2.options", [{"value": 0, "label": "x"}]), "items.2.options: are not for yes-no"),
    (changed("items.3.options", []), "items.3.options: there is nothing"),
    (changed("items.3.options", [{"value": 3, "label": "a"}, {"value": 1, "label": "b"}]), "items.3.options: each"),
    (changed("items.1.id", "rest"), "items: twice there: rest"),
    (changed("items.0.id", "a.b"), "items.0.id: "),
    (changed("items.2.asked_when", [{"item": "company", "at_least": 1}]), "items.2.asked_when.0.item: "),
    (changed("items.3.asked_when", [{"item": "alone", "at_least": 2}]), "items.3.asked_when.0.at_least: "),
    (changed("scales.0.items", ["rest", "more"]), "scales.0.items: "),
    (changed("scales.0.items", ["rest", "nowhere"]), "scales.0.items: "),
    (changed("scales.0.items", []), "scales.0.items: "),
    (changed("scales.0.items", ["rest", "rest"]), "scales.0.items: twice"),
    (changed("scales.0.max", 21), "scales.0.min, max: its items add up to 1 to 20"),
    (changed("scales.0.reverse", ["alone"]), "scales.0.reverse: "),
    (changed("scales.0.reverse", ["company"]), "scales.0.reverse: "),
    (changed("scales.0.most_missing", 1), "scales.0.most_missing: "),
    (changed("scales.0.most_missing", 3), "scales.0.most_missing: "),
    (changed("scales.0.cut_offs.0.at_least", 2), "scales.0.cut_offs: "),
    (changed("scales.0.cut_offs.1.at_least", 1), "scales.0.cut_offs: "),
    (changed("scales.0.cut_offs.1.at_least", 21), "scales.0.cut_offs: "),
    (changed("scales", [*an_own_instrument()["scales"]] * 2), "scales: twice there: ease"),
    (changed("triage", [{"level": "low", "words": "w", "when": []}]), "triage.0.when: says nothing"),
    (changed("triage", [{"level": "low", "words": "w", "when": YES}] * 2), "triage: twice there: low"),
    (changed("crisis", [{"when": [{"item": "more", "at_least": 1}], "reason": "r"}]), "crisis.0.when.0.item: "),
    (changed("crisis", [{"when": YES, "reason": "r", "fuller_screen": "none"}]), "crisis.0.fuller_screen: "),
    (changed("schedule", {}), "schedule: either"),
    (changed("schedule", {"every_days": 7, "on_days": [1]}), "schedule: either"),
    (changed("schedule", {"on_days": [30, 1]}), "schedule.on_days: "),
]


@pytest.mark.parametrize(("content", "told"), BROKEN, ids=[told for _, told in BROKEN])
def test_a_broken_file_is_refused_and_the_file_and_the_place_are_named(tmp_path: Path, content: Any, told: str) -> None:
    problems = refusal(an_operators_folder(tmp_path / "own", content))
    assert [problem for problem in problems if told in problem] != [], problems
    assert all(problem.startswith("ALONGSIDE_INSTRUMENTS: ") for problem in problems)
    assert all("file-0.json" in problem or "morning-1" in problem for problem in problems)


def test_all_mistakes_in_all_files_are_told_at_once(tmp_path: Path) -> None:
    folder = an_operators_folder(tmp_path / "own", "{", changed("title", ""), changed("scales.0.max", 21))
    told = "\n".join(refusal(folder))
    assert all(f"file-{number}.json" in told for number in range(3))


def test_the_service_does_not_start_with_a_broken_file_and_says_where(tmp_path: Path) -> None:
    folder = an_operators_folder(tmp_path / "own", changed("items.0.kind", "colour"))
    surroundings = {
        "ALONGSIDE_STORE_URL": "mongodb://127.0.0.1:1/",
        "ALONGSIDE_LOG_URL": f"sqlite://{tmp_path / 'log.sqlite'}",
        "ALONGSIDE_SECRET": "s" * 32,
        "ALONGSIDE_VAULT_KEY": base64.b64encode(VAULT_KEY).decode(),
        "ALONGSIDE_INSTRUMENTS": str(folder),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "infra.cli", "serve", "risk"],
        env={**os.environ, **surroundings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert f"{folder / 'file-0.json'}: items.0.kind: " in ended.stderr
