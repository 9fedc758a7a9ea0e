"""The score: what it reads, in which direction each thing moves it, and what a model file must be."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.risk.score import (
    ANSWERS,
    HORIZONS,
    INPUTS,
    LOOK_BACK,
    SHIPPED,
    BadModel,
    Model,
    Record,
    features,
    known_days,
)
from tests.test_imports import imports_of

MODEL = Model.read()
DAY = 100

some_days = st.lists(st.integers(-400, 160), max_size=40, unique=True).map(sorted)
levels = st.dictionaries(st.integers(-60, 160), st.integers(0, 3), max_size=10).map(lambda found: sorted(found.items()))
records = st.builds(
    Record, use=some_days, other=some_days, kept=some_days, missed=some_days, medication=some_days, withdrawal=levels
)
days = st.integers(0, 150)
answers = st.fixed_dictionaries({}, optional={name: st.none() | st.integers(0, 10) for name in ANSWERS})


def cut_after(record: Record, day: int) -> Record:
    """What was known at the end of ``day``."""
    *lists, symptoms = record
    return Record(*([on for on in one if on <= day] for one in lists), [one for one in symptoms if one[0] <= day])


# What is read


@given(records, days)
def test_nothing_after_the_day_is_read(record: Record, day: int) -> None:
    known = cut_after(record, day)
    assert features(record, day) == features(known, day)
    assert MODEL.score(record, day) == MODEL.score(known, day)
    assert known_days(record, day) == known_days(known, day)


@given(records, days, st.integers(-1000, 1000))
def test_only_distances_between_days_matter(record: Record, day: int, shift: int) -> None:
    *lists, symptoms = record
    moved = Record(*([on + shift for on in one] for one in lists), [(on + shift, level) for on, level in symptoms])
    assert features(moved, day + shift) == features(record, day)


@given(records, days)
def test_nothing_older_than_a_year_is_read(record: Record, day: int) -> None:
    old = day - LOOK_BACK
    longer = record._replace(use=[old - 3, old, *(on for on in record.use if on > old)])
    shorter = record._replace(use=[on for on in record.use if on > old])
    assert features(longer, day) == features(shorter, day)


def test_the_inputs_of_a_record_are_these() -> None:
    record = Record(
        use=[0, 1, 20, 60, 90, 97],
        other=[80],
        kept=[91],
        missed=[98],
        medication=[99],
        withdrawal=[(88, 3), (95, 1)],
    )
    late = 3 / 31
    assert features(record, DAY) == pytest.approx(
        {
            "time_without_use": math.log(4),
            "longest_stretch": math.log(29),
            "use_last_7_days": math.log(2),
            "weeks_with_use": 3.0,
            "earlier_lapses": 3.0,
            "time_unseen": 9 * (1 - late),
            "other_substances": late,
            "withdrawal": late,
        }
    )
    assert list(features(record, DAY)) == list(INPUTS)


def test_withdrawal_that_is_over_or_long_ago_counts_nothing() -> None:
    assert features(Record(use=[0], withdrawal=[(90, 3), (99, 0)]), DAY)["withdrawal"] == 0
    assert features(Record(use=[0], withdrawal=[(86, 3)]), DAY)["withdrawal"] == 0
    assert features(Record(use=[0], withdrawal=[(87, 1)]), DAY)["withdrawal"] > 0


def test_time_without_use_counts_only_as_far_as_the_record_reaches() -> None:
    unknown, known = Record(kept=[90]), Record(use=[10], kept=[90])
    assert features(unknown, DAY)["time_without_use"] == math.log(11)
    assert features(known, DAY)["time_without_use"] == math.log(91)
    assert MODEL.score(Record(), DAY).p[7] > MODEL.score(unknown, DAY).p[7] > MODEL.score(known, DAY).p[7]


def test_it_is_told_how_far_a_record_reaches_back() -> None:
    assert known_days(Record(), DAY) == 0
    assert known_days(Record(withdrawal=[(95, 1)], kept=[97, 120]), DAY) == 5
    assert known_days(Record(use=[DAY - 5000, DAY - 300]), DAY) == 300


# Which way it moves


@given(records, days, answers)
def test_probabilities_lie_between_0_and_1_and_that_of_two_weeks_is_no_smaller(
    record: Record, day: int, today: dict[str, float | None]
) -> None:
    p = MODEL.score(record, day, today).p
    assert 0 < p[7] <= p[14] < 1


@given(records, days)
def test_the_parts_sum_up_to_the_log_odds(record: Record, day: int) -> None:
    scored = MODEL.score(record, day)
    assert MODEL.intercept + sum(scored.parts.values()) == pytest.approx(scored.log_odds, abs=1e-12)
    assert list(scored.parts) == list(INPUTS)


@given(records, days, st.sampled_from(list(INPUTS)))
def test_each_part_moves_with_its_input_in_the_direction_that_is_written(record: Record, day: int, name: str) -> None:
    coefficient, center, scale = MODEL.inputs[name]
    value = features(record, day)[name]
    assert value >= 0
    assert MODEL.score(record, day).parts[name] == pytest.approx(coefficient * (value - center) / scale)
    assert coefficient * INPUTS[name] >= 0


@given(records, days)
def test_use_today_never_lowers_the_score(record: Record, day: int) -> None:
    used = record._replace(use=sorted({*record.use, day}))
    assert MODEL.score(used, day).log_odds >= MODEL.score(record, day).log_odds - 1e-12


@given(records, days)
def test_another_substance_or_withdrawal_today_never_lowers_the_score(record: Record, day: int) -> None:
    # Who is new to the record begins with that entry; so something was known before.
    record = record._replace(medication=sorted({*record.medication, day - LOOK_BACK + 1}))
    before = MODEL.score(record, day).log_odds
    other = record._replace(other=sorted({*record.other, day}))
    symptoms = record._replace(withdrawal=sorted({**dict(record.withdrawal), day: 3}.items()))
    assert MODEL.score(other, day).log_odds >= before
    assert MODEL.score(symptoms, day).log_odds >= before


@given(records, days)
def test_a_contact_that_is_kept_today_never_raises_the_score(record: Record, day: int) -> None:
    record = record._replace(medication=sorted({*record.medication, day - LOOK_BACK + 1}))
    kept = record._replace(kept=sorted({*record.kept, day}))
    assert MODEL.score(kept, day).log_odds <= MODEL.score(record, day).log_odds


@pytest.mark.parametrize("other", [[], list(range(-300, 1))])
@pytest.mark.parametrize("symptoms", [[], [(0, 3)]])
@pytest.mark.parametrize("unseen", [0, 14])
def test_nobody_scores_higher_for_having_gone_longer_without(
    other: list[int], symptoms: list[tuple[int, int]], unseen: int
) -> None:
    def after(since: int) -> float:
        record = Record(use=[-250, -since], other=other, kept=[-unseen], medication=[-300], withdrawal=symptoms)
        return MODEL.score(record, 0).log_odds

    scores = [after(since) for since in range(230)]
    assert all(later <= earlier + 1e-12 for earlier, later in zip(scores, scores[1:], strict=False))
    assert scores[200] < scores[20] < scores[2]


# Today's answers


def heavier(name: str, value: int) -> int:
    return value - 1 if ANSWERS[name] else value + 1


@given(records, days, answers, st.sampled_from(list(ANSWERS)), st.integers(1, 9))
def test_a_heavier_answer_never_lowers_the_score(
    record: Record, day: int, today: dict[str, float | None], name: str, value: int
) -> None:
    light = MODEL.score(record, day, {**today, name: value})
    heavy = MODEL.score(record, day, {**today, name: heavier(name, value)})
    assert all(heavy.p[horizon] >= light.p[horizon] for horizon in HORIZONS)
    assert heavy.log_odds == light.log_odds


@given(records, days, answers)
def test_what_is_assumed_never_lowers_a_score_and_can_be_switched_off(
    record: Record, day: int, today: dict[str, float | None]
) -> None:
    without, with_it = MODEL.score(record, day), MODEL.score(record, day, today)
    assert all(with_it.p[horizon] >= without.p[horizon] for horizon in HORIZONS)
    off = MODEL.score(record, day, today, use_assumed=False)
    assert (off.p, off.today) == (without.p, {})


def test_the_assumed_answers_have_the_order_that_was_found() -> None:
    worst = [(answer.name, answer.steps[-1][1]) for answer in MODEL.today]
    assert [name for name, _ in worst] == ["confidence", "craving", "risky_situation", "mood", "halt"]
    assert [most for _, most in worst] == sorted((most for _, most in worst), reverse=True)
    assert worst[3][1] <= worst[2][1] / 2, "mood and stress are weak"
    assert {answer.status for answer in MODEL.today} == {"assumed"}


def odds(p: float) -> float:
    return math.log(p / (1 - p))


def test_all_answers_together_move_both_horizons_by_no_more_than_the_limit() -> None:
    worst: dict[str, float | None] = {name: 0 if low else 10 for name, low in ANSWERS.items()}
    bounded = Model.of({**document(), "today": {**document()["today"], "limit": 1.25}})
    for horizon in HORIZONS:
        before, after = bounded.score(Record(use=[90]), DAY), bounded.score(Record(use=[90]), DAY, worst)
        assert odds(after.p[horizon]) - odds(before.p[horizon]) == pytest.approx(1.25)


def test_a_plain_yes_to_a_risky_situation_weighs_8_of_10() -> None:
    said = [MODEL.score(Record(), DAY, {"risky_situation": value}).today for value in (True, 8, False, 0)]
    assert said[0] == said[1] != said[2] == said[3]


@pytest.mark.parametrize(
    ("today", "words"),
    [
        ({"craving": 11}, "craving must be 0 to 10, not 11"),
        ({"mood": -1}, "mood must be 0 to 10, not -1"),
        ({"halt": math.nan}, "halt must be 0 to 10, not nan"),
        ({"weather": 3}, "no such answer: weather"),
    ],
)
def test_an_answer_that_is_unknown_or_out_of_range_is_refused_by_name(today: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MODEL.score(Record(), DAY, today)


# Cuts


@pytest.mark.parametrize("horizon", HORIZONS)
def test_each_point_of_the_table_has_its_cut(horizon: int) -> None:
    table = MODEL.points[horizon]
    assert [point["sensitivity"] for point in table] == [wanted / 100 for wanted in range(95, 0, -5)]
    assert [MODEL.cut(point["sensitivity"], horizon) for point in table] == [point["cut"] for point in table]


@given(st.floats(0.05, 0.95), st.sampled_from(HORIZONS))
def test_between_two_points_the_lower_cut_is_taken(wanted: float, horizon: int) -> None:
    cut = MODEL.cut(wanted, horizon)
    point = next(point for point in MODEL.points[horizon] if point["cut"] == cut)
    assert wanted - 1e-9 <= point["sensitivity"] < wanted + 0.05


@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95), st.sampled_from(HORIZONS))
def test_whoever_wants_more_sensitivity_never_gets_a_higher_cut(one: float, other: float, horizon: int) -> None:
    less, more = sorted((one, other))
    assert MODEL.cut(more, horizon) <= MODEL.cut(less, horizon)


@pytest.mark.parametrize("wanted", [0.0, 0.04, 0.96, 1.0, math.nan])
def test_no_cut_is_made_up_outside_the_table(wanted: float) -> None:
    with pytest.raises(ValueError, match="sensitivity must be 0.05 to 0.95"):
        MODEL.cut(wanted, 7)


# The file


def document() -> dict[str, Any]:
    found: dict[str, Any] = copy.deepcopy(dict(MODEL.document))
    return found


def put(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(whole: dict[str, Any]) -> None:
        place: Any = whole
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


def drop(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda whole: whole.__delitem__(name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop("intercept"), "intercept is missing"),
        (drop("inputs"), "inputs is missing"),
        (drop("platt"), "platt is missing"),
        (drop("today"), "today is missing"),
        (drop("operating_points"), "operating_points is missing"),
        (drop("data"), "data is missing"),
        (drop("date"), "date must be YYYY-MM-DD"),
        (drop("people"), "people is missing"),
        (drop("figures"), "figures is missing"),
        (put("intercept", value="0"), "intercept is 0, and must be a number"),
        (put("intercept", value=math.nan), "intercept is nan"),
        (put("intercept", value=True), "intercept is True"),
        (put("inputs", value={}), "inputs must be a list"),
        (put("inputs", value=[]), "inputs must be time_without_use, longest_stretch"),
        (put("inputs", 2, "name", value="race"), "inputs must be .* not time_without_use, longest_stretch, race"),
        (put("inputs", 2, "sign", value=-1), "use_last_7_days has the sign -1, and must have 1"),
        (put("inputs", 2, "coefficient", value=-0.1), "coefficient of use_last_7_days is -0.1, against its sign"),
        (put("inputs", 3, "scale", value=0), "weeks_with_use: scale is 0"),
        (put("platt", "7", value=None), "platt 7 must be an object"),
        (put("platt", "14", "slope", value=-1), "platt 14: slope is -1"),
        (put("today", "limit", value=-1), "today: limit is -1"),
        (put("today", "answers", 0, "name", value="weather"), "answers must be confidence, craving"),
        (put("today", "answers", 1, "status", value="proven"), "the status of craving is proven"),
        (put("today", "answers", 1, "steps", value=[[0, 0], [4, -1]]), "steps of craving fall"),
        (put("today", "answers", 1, "steps", value=[[1, 0]]), "steps of craving must begin at 0 and rise"),
        (put("today", "answers", 1, "steps", value=[[0, 0], [0, 1]]), "steps of craving must begin at 0 and rise"),
        (put("today", "answers", 1, "steps", value=[[0]]), "steps of craving must be pairs of numbers"),
        (put("operating_points", "7", 3, "sensitivity", value=0.99), "operating_points 7: sensitivities must fall"),
        (put("operating_points", "14", 3, "cut", value=0.0), "operating_points 14: sensitivities must fall from row"),
        (drop("substances"), "substances is missing"),
        (put("substances", value=[]), "substances must name what those recover from"),
        (put("substances", value=[1]), "substances must name what those recover from"),
        (put("substances", value="opioids"), "substances must be a list"),
        (put("data", value=[]), "data must name what the model was fitted on"),
        (put("data", 0, "files", "use.csv", value="abc"), "sha256 of each file; wrong: use.csv"),
    ],
)
def test_a_model_file_that_is_not_as_it_must_be_is_refused_by_name(
    change: Callable[[dict[str, Any]], None], words: str, tmp_path: Path
) -> None:
    whole = document()
    change(whole)
    path = tmp_path / "other.json"
    path.write_text(json.dumps(whole))
    with pytest.raises(BadModel, match=f"^other.json: .*{words}"):
        Model.read(path)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null"])
def test_what_is_no_model_at_all_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(BadModel, match=r"^other\.json"):
        Model.read(path)


def test_the_shipped_model_knows_nothing_of_who_somebody_is() -> None:
    forbidden = ("race", "sex", "male", "hispanic", "ethnic", "age", "income", "dose", "text", "message")
    names = [*INPUTS, *ANSWERS]
    assert [name for name in names if any(word in name.split("_") for word in forbidden)] == []


# What it needs


def test_it_imports_the_standard_library_only() -> None:
    path = SHIPPED.with_name("score.py")
    assert {module.split(".")[0] for module in imports_of(path)} <= set(sys.stdlib_module_names)


def test_it_scores_in_a_python_that_has_nothing_else(tmp_path: Path) -> None:
    program = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("score", {str(SHIPPED.with_name("score.py"))!r})
score = sys.modules["score"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(score)
try:
    import numpy
except ImportError:
    print(repr(score.Model.read().score(score.Record(use=[1, 50], kept=[95]), 100, {{"craving": 9}}).p))
"""
    # Isolated (-I) and without site-packages (-S): there is nothing but the standard library.
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == repr(MODEL.score(Record(use=[1, 50], kept=[95]), 100, {"craving": 9}).p)
