"""What a lapse is follows the client's own aim."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.goals import AimKind
from schemas.substances import Substance
from services.risk.aim_rules import WEEK, Aim, counts, is_aimed_at, lapse_days, substance_of

days = st.lists(st.integers(700_000, 700_060), max_size=40)
NONE = Aim("abstinence", frozenset({"alcohol"}))


def less(most: int) -> Aim:
    return Aim("moderation", frozenset({"alcohol"}), most)


any_aim = st.none() | st.just(NONE) | st.integers(0, 7).map(less)


@pytest.mark.parametrize("aim", [None, NONE, less(0)])
def test_without_an_aim_or_with_one_of_no_use_every_day_of_use_is_a_lapse_once_and_in_order(aim: Aim | None) -> None:
    assert lapse_days([9, 3, 3, 4], aim) == [3, 4, 9]
    assert lapse_days([], aim) == []


def test_with_moderation_the_days_beyond_those_aimed_at_are_lapses() -> None:
    assert lapse_days([1, 2, 3], less(2)) == [3]
    assert lapse_days([1, 4, 7], less(2)) == [7]
    assert lapse_days([1, 4, 8], less(2)) == []
    assert lapse_days([1, 2, 3, 4, 9, 10, 11], less(3)) == [4]


def test_a_day_told_late_makes_a_lapse_of_a_day_after_it_and_not_of_itself() -> None:
    assert lapse_days([5, 6], less(2)) == []
    assert lapse_days([5, 6, 3], less(2)) == [6]


@given(days)
def test_nobody_lapses_who_aims_at_every_day(use: list[int]) -> None:
    assert lapse_days(use, less(7)) == []


@given(days, any_aim)
def test_a_lapse_is_a_day_of_use(use: list[int], aim: Aim | None) -> None:
    found = lapse_days(use, aim)
    assert set(found) <= set(use)
    assert found == sorted(set(found))


@given(days, st.integers(700_000, 700_060), any_aim)
def test_another_day_of_use_never_makes_a_lapse_less(use: list[int], another: int, aim: Aim | None) -> None:
    assert set(lapse_days(use, aim)) <= set(lapse_days([*use, another], aim))


@given(days, st.integers(0, 6))
def test_a_higher_limit_never_makes_a_lapse_more(use: list[int], most: int) -> None:
    assert set(lapse_days(use, less(most + 1))) <= set(lapse_days(use, less(most)))


@given(days, st.integers(0, 7))
def test_within_the_limit_there_is_no_lapse_and_beyond_it_there_is_one(use: list[int], most: int) -> None:
    fullest = max((len({d for d in use if end - WEEK < d <= end}) for end in use), default=0)
    assert bool(lapse_days(use, less(most))) == (fullest > most)


@pytest.mark.parametrize("aim", ["abstinence", "moderation"])
def test_use_of_what_the_aim_is_not_about_does_not_count(aim: AimKind) -> None:
    about = Aim(aim, frozenset({"alcohol", "nicotine"}), 2)
    assert [kind for kind in ("alcohol", "nicotine", "cannabis", "opioids") if counts(kind, about)] == [
        "alcohol",
        "nicotine",
    ]


@pytest.mark.parametrize("kind", ["opioids", "alcohol", "other"])
def test_where_no_aim_is_known_everything_counts(kind: Substance) -> None:
    assert counts(kind, None)


def test_what_no_list_knows_counts_because_it_may_be_what_the_aim_is_about() -> None:
    assert substance_of("the usual") == "other"
    assert is_aimed_at("the usual", NONE)


def test_of_several_things_named_at_once_one_that_the_aim_is_about_is_enough() -> None:
    assert substance_of("weed and two beers") == "alcohol"
    assert is_aimed_at("weed and two beers", NONE)
    assert is_aimed_at("weed and two beers", Aim("abstinence", frozenset({"cannabis"})))
    assert not is_aimed_at("weed", NONE)
