"""A report: what is hard first, in plain words, and readable by everybody, from nothing but its own folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numpy", reason="needs alongside[fit]")
pytest.importorskip("matplotlib", reason="needs alongside[fit]")

from services.risk.score import INPUTS, Model  # noqa: E402
from services.risk.study import plots  # noqa: E402
from services.risk.study.files import Trial  # noqa: E402
from services.risk.study.fit import CannotFit  # noqa: E402
from services.risk.study.making import make  # noqa: E402
from services.risk.study.page import page  # noqa: E402
from services.risk.study.report import examine  # noqa: E402

MODEL = Model.read()
Report = dict[str, Any]


@pytest.fixture(scope="module")
def seen(trials: list[Trial]) -> Report:
    """Of the people whom the model was fitted on."""
    return examine(trials, Model.of(make(trials, date(2025, 11, 25))))


@pytest.fixture(scope="module")
def unseen(trials: list[Trial]) -> Report:
    """Of one trial that the shipped model has never seen."""
    return examine(trials[:1], MODEL)


@pytest.fixture(scope="module")
def written(seen: Report) -> str:
    return page(seen)


def test_people_whom_the_model_knows_are_scored_by_fits_without_them(seen: Report, trials: list[Trial]) -> None:
    made = make(trials, date(2025, 11, 25))
    assert seen["seen"] is True
    for horizon in ("7", "14"):
        folds = made["figures"]["folds"][horizon]
        assert seen["all_weeks"][horizon]["auc"][0] == folds["auc"]
        assert seen["after_28_days"][horizon]["auc"][0] == folds["auc_after_28_days"]
        assert seen["calibration"][horizon]["after"]["calibration_error"] == folds["calibration_error"]
    assert seen["across"] == made["figures"]["across"]


def test_people_whom_it_does_not_know_are_scored_by_the_model_as_it_is(unseen: Report, trials: list[Trial]) -> None:
    from services.risk.study.figures import summary
    from services.risk.study.fit import Fitted, data_of
    from services.risk.study.panel import rows_of

    data = data_of(rows_of(trials[:1]))
    fitted = Fitted.of(MODEL)
    log_odds = fitted.log_odds(data.inputs)
    figures = summary(data, log_odds, fitted.p(log_odds))
    assert unseen["seen"] is False
    for horizon in ("7", "14"):
        assert unseen["all_weeks"][horizon]["auc"][0] == round(figures[horizon]["auc"], 4)
        assert unseen["calibration"][horizon]["after"]["brier"] == round(figures[horizon]["brier"], 4)
    assert unseen["across"] == unseen["tried"] == []


def test_it_is_plain_json_without_a_figure_that_is_none(seen: Report) -> None:
    assert json.loads(json.dumps(seen, allow_nan=False)) == seen


def test_intervals_hold_their_figure(seen: Report) -> None:
    def intervals(value: Any) -> Iterator[list[float]]:
        if isinstance(value, dict):
            for name, one in value.items():
                if name in ("auc", "rival_auc", "difference", "auc_after_28_days") and isinstance(one, list):
                    yield one
                else:
                    yield from intervals(one)
        elif isinstance(value, list):
            for one in value:
                yield from intervals(one)

    found = list(intervals({name: seen[name] for name in ("after_28_days", "all_weeks", "subgroups")}))
    assert len(found) > 40
    assert all(low <= value <= high for value, low, high in found)


def test_each_subgroup_is_there_with_its_people_and_a_small_one_without_an_interval(
    seen: Report, trials: list[Trial]
) -> None:
    questions = {one["question"]: one for one in seen["subgroups"]}
    assert list(questions) == ["sex", "race", "ethnicity", "age"]
    everybody = sum(trial["people"] for trial in seen["trials"])
    for question in questions.values():
        assert sum(group["people"] for group in question["groups"]) + question["not_known"] == everybody
        assert [one["trial"] for one in question["within"]] == ["north", "south"]
    assert [group["group"] for group in questions["race"]["groups"]] == ["Black", "Other", "White"]
    assert [group["group"] for group in questions["age"]["groups"]] == ["29 or under", "30 to 44", "45 or over"]
    few = Trial("few", dict(list(trials[0].people.items())[:24]), (), {"use.csv": "0" * 64})
    groups = [group for question in examine([few], MODEL)["subgroups"] for group in question["groups"]]
    assert {group["7"]["auc"] is None for group in groups if group["people"] < 20} == {True}


def test_what_each_input_brings_is_shown_on_each_trial(seen: Report) -> None:
    inputs = [one["name"] for one in seen["tried"] if one["what"] == "input"]
    candidates = [one["name"] for one in seen["tried"] if one["what"] == "candidate"]
    assert inputs == list(INPUTS)
    assert any("medication" in name for name in candidates)
    assert any("missed" in name for name in candidates)
    for one in seen["tried"]:
        assert [change["tried_on"] for change in one["change"]] == ["north", "south"]
    time = next(one for one in seen["tried"] if one["name"] == "time_without_use")
    assert all(change["auc"] != 0 for change in time["change"])


def test_nobody_to_judge_is_an_error_in_words() -> None:
    with pytest.raises(CannotFit, match="decision days with a lapse after them"):
        examine([Trial("empty", {}, (), {})], MODEL)


# The page


class Outline(HTMLParser):
    """What is in a page: headings, pictures, tables, and every address that it names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.pictures: list[dict[str, str | None]] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]
        if tag == "img":
            self.pictures.append(dict(attrs))
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)


def test_the_parts_come_in_their_order_what_is_hard_first(written: str) -> None:
    assert Outline(written).headings == [
        "How far the risk score can be trusted",
        "After 28 days without use",
        "What each cut catches, and what it costs",
        "Do the probabilities hold",
        "Calibration error",
        "The same for everybody?",
        "Does it travel",
        "All weeks, both horizons",
        "What it asks of a coach",
        "Beside what others published",
        "Why these inputs",
        "Today's answers",
        "Data and model",
    ]


def test_the_page_loads_nothing_from_elsewhere_and_everybody_can_read_it(written: str) -> None:
    outline = Outline(written)
    assert outline.open == []
    assert set(outline.addresses) == set(plots.PLOTS)
    assert all(picture["alt"] for picture in outline.pictures)
    assert outline.tags.count("caption") == outline.tags.count("table") > 10
    assert '<html lang="en">' in written
    assert "http" not in written
    assert "url(" not in written
    assert written.count("<th ") == written.count('<th scope="')


def test_the_page_says_of_whom_it_speaks_and_of_whom_not(written: str) -> None:
    for words in (
        "treatment for opioid dependence in the United States",
        "Observed weeks only",
        "No claim is made for alcohol",
        "never inputs of the score",
        "Nothing is refused",
        "public.ctn0094data 1.0.6 (MIT licence, 2023",
        "Balise, Hu, Odom, Calderon, Luo, Feaster",
        "CTN-0027 and CTN-0030",
        ".829, and .912 external",
        "Wyant 2025",
        "a caseload of 30",
    ):
        assert words in written, words


def test_the_figures_of_the_page_are_those_of_the_report(seen: Report, written: str) -> None:
    for horizon in ("7", "14"):
        value, low, high = seen["after_28_days"][horizon]["auc"]
        assert f"{value:.3f} ({low:.3f} to {high:.3f})" in written
        assert f"{seen['calibration'][horizon]['before']['brier']:.4f}" in written


def test_a_report_on_unknown_people_says_so(unseen: Report) -> None:
    words = page(unseen)
    assert "not the files that the model was fitted on" in words
    assert "These figures need two trials or more" in words
    assert "Why these inputs" not in words


def test_a_name_of_a_folder_is_no_markup(unseen: Report) -> None:
    named = {**unseen, "trials": [{**trial, "name": "<b>&"} for trial in unseen["trials"]]}
    assert "<b>" not in page(named)
    assert "&lt;b&gt;&amp;" in page(named)


def test_every_plot_is_a_picture_and_the_same_each_time(seen: Report, unseen: Report, tmp_path: Path) -> None:
    for name in ("one", "two", "unseen"):
        (tmp_path / name).mkdir()
        plots.draw(unseen if name == "unseen" else seen, tmp_path / name)
    for name in plots.PLOTS:
        picture = (tmp_path / "one" / name).read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert picture == (tmp_path / "two" / name).read_bytes()
        assert (tmp_path / "unseen" / name).stat().st_size > 5000


def test_where_the_hard_figure_has_too_few_for_an_interval_its_plot_is_drawn_all_the_same(
    unseen: Report, tmp_path: Path
) -> None:
    few = {
        horizon: {**figures, "auc": [None] * 3, "rival_auc": [None] * 3}
        for horizon, figures in unseen["after_28_days"].items()
    }
    plots.draw({**unseen, "after_28_days": few}, tmp_path)
    assert (tmp_path / "after-28-days.png").stat().st_size > 5000
