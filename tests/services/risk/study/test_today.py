"""Today's answers stay assumed until there are enough, and then are fitted, never against their direction."""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path

import pytest

pytest.importorskip("numpy", reason="needs alongside[fit]")
pytest.importorskip("scipy", reason="needs alongside[fit]")

from services.risk.score import ANSWERS, Model, Record  # noqa: E402
from services.risk.study.files import Trial, read, write  # noqa: E402
from services.risk.study.making import make  # noqa: E402
from services.risk.study.today import LEAST_ANSWERS, LEAST_PEOPLE, assumed  # noqa: E402
from tests.services.risk.study import worlds  # noqa: E402

ON = date(2025, 11, 25)


def own_records(folder: Path, people: int) -> Trial:
    """An operator's own records, with the answers of each week."""
    chance = random.Random(7)
    records = {f"client-{number}": worlds.person(chance) for number in range(people)}
    write(folder, records, [one for who, record in records.items() for one in worlds.answered(record, who, chance)])
    return read(folder)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    return own_records(tmp_path_factory.mktemp("own"), LEAST_PEOPLE + 30)


@pytest.fixture(scope="module")
def refitted(own: Trial) -> Model:
    return Model.of(make([own], ON))


def test_an_answer_that_enough_people_gave_is_fitted_and_the_others_stay_assumed(own: Trial, refitted: Model) -> None:
    assert len(own.today) > LEAST_ANSWERS
    status = {answer.name: answer.status for answer in refitted.today}
    assert status == {**dict.fromkeys(ANSWERS, "assumed"), "craving": "fitted", "mood": "fitted"}
    assert [answer.steps for answer in refitted.today if answer.status == "assumed"] == [
        tuple(map(tuple, one["steps"])) for one in assumed()["answers"] if one["name"] not in ("craving", "mood")
    ]
    assert "today.csv" in refitted.document["data"][0]["files"]


def test_what_tells_of_the_week_to_come_moves_the_score_and_what_does_not_hardly(refitted: Model) -> None:
    rise = {answer.name: answer.steps[-1][1] - answer.steps[0][1] for answer in refitted.today}
    assert rise["craving"] > 1
    assert 0 <= rise["mood"] < 0.4


def test_what_is_fitted_may_lower_a_score_and_stays_when_assumptions_are_switched_off(refitted: Model) -> None:
    record = Record(use=[60, 90], kept=[98])
    plain = refitted.score(record, 100).p[7]
    calm = refitted.score(record, 100, {"craving": 0, "confidence": 0}, use_assumed=False)
    strong = refitted.score(record, 100, {"craving": 10, "confidence": 0}, use_assumed=False)
    assert calm.p[7] < plain < strong.p[7]
    assert list(strong.today) == ["craving"]


def test_too_few_people_leave_everything_assumed(tmp_path: Path) -> None:
    few = own_records(tmp_path, LEAST_PEOPLE - 1)
    assert len(few.today) > LEAST_ANSWERS
    assert make([few], ON)["today"] == assumed()


def test_answers_of_days_that_nobody_followed_and_of_strangers_are_left_out(own: Trial) -> None:
    stranger = own.today[0]._replace(who="nobody")
    late = own.today[0]._replace(day=10_000)
    more = Trial(own.name, own.people, (*own.today, stranger, late), own.fingerprints)
    assert make([more], ON)["today"] == make([own], ON)["today"]
