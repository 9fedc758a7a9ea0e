"""The panel is the one that was described: the same people, the same weeks, the same outcome."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.risk.score import HORIZONS, Model, Record
from services.risk.study.files import Trial
from services.risk.study.panel import Row, decision_days, row_at
from tests.services.risk.test_score import cut_after, records

MODEL = Model.read()


@pytest.mark.parametrize(
    ("kept", "days"),
    [
        ([0, 7, 48], [28]),
        ([0, 7, 41], []),
        ([0, 7, 42], [28]),
        ([0, 7, 49], [28, 35]),
        ([0, 90], []),
        ([], []),
        ([0, 7, 60, 900], list(range(28, 187, 7))),
    ],
)
def test_decision_days_are_weekly_to_two_weeks_before_the_last_contact(kept: list[int], days: list[int]) -> None:
    assert list(decision_days(Record(kept=kept, missed=[500]))) == days


@pytest.mark.parametrize(
    ("use", "lapsed"),
    [
        ([28], (False, False)),
        ([29], (True, True)),
        ([35], (True, True)),
        ([36], (False, True)),
        ([42], (False, True)),
        ([43], (False, False)),
        ([], (False, False)),
    ],
)
def test_a_lapse_is_use_after_the_day_and_within_the_horizon(use: list[int], lapsed: tuple[bool, bool]) -> None:
    assert row_at("t", "a", Record(use=use, kept=[0]), 28).lapsed == lapsed


@given(records, st.integers(0, 100))
def test_the_rival_counts_from_the_last_use_up_to_the_day(record: Record, day: int) -> None:
    before = [on for on in record.use if on <= day]
    assert row_at("t", "a", record, day).since == (day - before[-1] if before else math.inf)


def test_the_real_panel_is_the_one_that_was_described(real_rows: list[Row]) -> None:
    assert len(real_rows) == 26_889
    assert len({row.person for row in real_rows}) == 1_478
    assert sum(row.lapsed[0] for row in real_rows) / len(real_rows) == pytest.approx(0.36, abs=0.005)
    assert all(not row.lapsed[0] or row.lapsed[1] for row in real_rows)


@pytest.mark.parametrize("day", [28, 63, 119])
def test_real_files_that_end_at_a_day_give_the_same_scores_up_to_it(real: list[Trial], day: int) -> None:
    compared = 0
    for trial in real:
        for person in list(trial.people.values())[::7]:
            known = cut_after(person.record, day)
            for on in (on for on in decision_days(person.record) if on <= day):
                assert MODEL.score(known, on) == MODEL.score(person.record, on)
                compared += 1
            # Which days are judged depends on when somebody was last seen; none is judged that was not before.
            assert set(decision_days(known)) <= set(decision_days(person.record))
    assert compared > 100 * len(HORIZONS)
