"""What a person is shown on a bad day, decided without any machinery."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.crisis import LANGUAGES, LINES, crisis_cards, static_help
from schemas.risk import Band, Card
from schemas.safety import NewSafetyPlan
from services.risk.help_rules import (
    FOR_A_HARD_DAY,
    STEPS,
    Staffing,
    cards,
    help_cards,
    peers_card,
    plan_cards,
    staffing,
)
from services.risk.rules import BANDS
from tests.services.risk.mothers import UNKIND, a_plan

STAFFED = (
    Staffing("taken", "sam"),
    Staffing("on_duty", "sam"),
    Staffing("off_duty", "sam"),
    Staffing("nobody", None),
)
ON_DUTY = Staffing("on_duty", "sam")
some = st.lists(st.sampled_from(["sam", "rosa", "kim", "ines"]), max_size=3, unique=True)
regions = pytest.mark.parametrize("region", LINES)
languages = pytest.mark.parametrize("language", LANGUAGES)


def the_plan(**steps: Any) -> NewSafetyPlan:
    return NewSafetyPlan.load(a_plan(**steps))


def kinds(shown: list[Card]) -> list[str]:
    return [card.kind for card in shown]


# -- the plan


@languages
def test_a_plan_is_a_card_for_each_step_in_the_order_of_its_authors(language: str) -> None:
    shown = plan_cards(the_plan(), language)
    assert [card.title for card in shown] == [words[language] for words in STEPS.values()]
    assert kinds(shown) == ["plan"] * 7
    assert list(STEPS) == list(a_plan())


def test_a_card_has_the_lines_of_its_step_each_on_its_own() -> None:
    by_title = {card.title: card for card in plan_cards(the_plan(), "en")}
    assert by_title["What I can do by myself"].body == "walk along the canal\ncold water on my face"
    asked = by_title["People I can ask for help"]
    assert asked.body == "my sister: +44 20 7946 0000\nJo: 555 0100"
    assert asked.call == "+44 20 7946 0000", "the first number is there to be pressed"
    assert by_title["People and places that take my mind off it"].body == "the library"
    assert by_title["People and places that take my mind off it"].call is None


@given(st.sets(st.sampled_from(list(STEPS))))
def test_a_step_without_a_line_has_no_card(empty: set[str]) -> None:
    shown = plan_cards(the_plan(**dict.fromkeys(empty, [])), "en")
    assert [card.title for card in shown] == [words["en"] for step, words in STEPS.items() if step not in empty]


# -- a check-in


@regions
@languages
@pytest.mark.parametrize("band", BANDS)
def test_a_lapse_with_opioids_carries_the_overdose_card_first_in_every_band(
    band: Band, region: str, language: str
) -> None:
    shown = cards(band, True, region, the_plan(), ON_DUTY, language)
    assert shown[0].kind == "overdose"
    assert shown[0].call == LINES[region][0].call
    assert "overdose" not in kinds(cards(band, False, region, the_plan(), ON_DUTY, language))


@regions
@languages
@pytest.mark.parametrize("asked", [*STAFFED, None], ids=str)
def test_urgent_is_the_whole_plan_then_the_lines_and_last_what_is_known_of_humans(
    region: str, language: str, asked: Staffing | None
) -> None:
    lines = crisis_cards(region, language)
    shown = cards("urgent", False, region, the_plan(), asked, language)
    assert shown[:7] == plan_cards(the_plan(), language)
    assert shown[7 : 7 + len(lines)] == lines
    assert kinds(shown[7 + len(lines) :]) == ["coach"]
    assert all(card.call or card.text for card in lines)


def test_without_a_plan_urgent_begins_with_the_lines() -> None:
    shown = cards("urgent", False, "US", None, ON_DUTY)
    assert shown[:-1] == crisis_cards("US")
    assert shown[-1].kind == "coach"


@pytest.mark.parametrize("asked", [STAFFED[0], STAFFED[1], STAFFED[2]], ids=str)
def test_high_carries_what_one_can_do_alone_and_what_for(asked: Staffing) -> None:
    shown = cards("high", False, "US", the_plan(), asked)
    assert kinds(shown) == ["plan", "plan", "coach"]
    assert shown[:2] == plan_cards(the_plan(), "en", FOR_A_HARD_DAY)
    assert shown[0].body.startswith("walk along the canal")
    assert shown[1].body.startswith("my daughter")


@pytest.mark.parametrize("asked", [Staffing("nobody", None), None], ids=str)
def test_with_nobody_known_to_be_asked_high_points_to_the_lines_too(asked: Staffing | None) -> None:
    assert kinds(cards("high", False, "US", None, asked)) == ["crisis"] * 4 + ["coach"]


@pytest.mark.parametrize("band", ["steady", "watch"])
def test_a_day_that_is_not_bad_shows_nothing(band: Band) -> None:
    assert cards(band, False, "US", the_plan(), ON_DUTY) == []


# -- who is there


def test_somebody_who_took_it_up_is_said_before_anything_else() -> None:
    assert staffing(["sam", "rosa"], ["rosa"], "sam") == Staffing("taken", "sam")


def test_of_those_asked_the_first_on_duty_is_named() -> None:
    assert staffing(["sam", "kim", "rosa"], {"rosa", "kim"}) == Staffing("on_duty", "kim")


def test_somebody_asked_who_is_not_on_duty_is_not_called_there() -> None:
    assert staffing(["sam"], ["rosa"]) == Staffing("off_duty", "sam")


def test_with_nobody_asked_nobody_is_there_whoever_is_on_duty() -> None:
    assert staffing([], ["rosa"]) == Staffing("nobody", None)


@given(some, some)
def test_on_duty_is_said_only_of_somebody_who_was_asked_and_is(asked: list[str], on_duty: list[str]) -> None:
    found = staffing(asked, on_duty)
    assert (found.staffed == "on_duty") == bool(set(asked) & set(on_duty))
    assert (found.staffed == "nobody") == (not asked)
    assert found.person_id is None or found.person_id in asked


@languages
def test_the_words_about_humans_differ_with_who_is_there(language: str) -> None:
    answered = [cards("urgent", False, "US", None, asked, language)[-1] for asked in (*STAFFED, None)]
    assert len({card.title for card in answered}) == 5
    helped = [help_cards("US", None, asked, False, language) for asked in (*STAFFED[1:], None)]
    assert len({card.body for shown in helped for card in shown if card.kind == "coach"}) == 4


# -- help


@regions
@languages
def test_help_begins_with_the_plan_then_the_lines(region: str, language: str) -> None:
    shown = help_cards(region, the_plan(), ON_DUTY, False, language)
    assert shown[:7] == plan_cards(the_plan(), language)
    assert shown[7 : 7 + len(LINES[region])] == crisis_cards(region, language)
    assert kinds(shown[7 + len(LINES[region]) :]) == ["overdose", "coach", "kindness"]


@regions
def test_after_a_lapse_with_opioids_help_begins_with_the_overdose_card(region: str) -> None:
    shown = help_cards(region, the_plan(), ON_DUTY, True)
    assert kinds(shown)[:2] == ["overdose", "plan"]
    assert kinds(shown).count("overdose") == 1


@regions
@languages
def test_help_that_knows_nothing_is_help_with_nothing_known(region: str, language: str) -> None:
    alone = static_help(region, language)
    assert alone.cards == help_cards(region, None, None, False, language)
    assert (alone.plan, alone.staffed, alone.coach_id) == ("unreachable", "unreachable", None)


def test_where_peers_have_offered_help_says_that_they_can_be_asked() -> None:
    assert kinds(help_cards("US", None, ON_DUTY, peers=True))[-2:] == ["peers", "kindness"]
    assert "nobody has to be there" in help_cards("US", None, ON_DUTY, peers=True)[-2].body


@languages
def test_whoever_asks_peers_is_told_how_many_and_that_nobody_has_to_be_there(language: str) -> None:
    asked = peers_card(2, False, language)
    assert (asked.kind, "2" in asked.title) == ("peers", True)
    assert len({peers_card(count, said, language).title for count, said in ((0, False), (2, False), (2, True))}) == 3
    assert "Nobody has to be there" in peers_card(1, False).body


# -- every word


def every_card() -> list[Card]:
    return [
        card
        for language in LANGUAGES
        for region in LINES
        for asked in (*STAFFED, None)
        for shown in (
            *(cards(band, opioids, region, None, asked, language) for band in BANDS for opioids in (True, False)),
            *([] if asked and asked.staffed == "taken" else [help_cards(region, None, asked, False, language, True)]),
            [peers_card(count, accepted, language) for count, accepted in ((0, False), (3, False), (3, True))],
        )
        for card in shown
    ]


def test_no_card_promises_that_a_coach_is_there() -> None:
    promises = re.compile(
        r"\b(?:will (?:call|contact|reach|write|answer|reply|be (?:there|with you))"
        r"|is (?:here|there|on (?:the|their) way|coming|waiting|available|online)"
        r"|right away|immediately|within \d+|in (?:a few )?minutes|straight away"
        r"|te (?:llamará|llamaremos|escribirá|contestará)|enseguida te|está (?:en camino|aquí|disponible|esperando)"
        r"|en (?:unos )?minutos|de inmediato)\b",
        re.IGNORECASE,
    )
    for card in every_card():
        assert not promises.search(f"{card.title} {card.body}"), card.title


def test_where_nobody_who_was_asked_is_on_duty_the_words_say_so_and_point_to_the_numbers() -> None:
    for asked in (Staffing("off_duty", "sam"), Staffing("nobody", None)):
        card = cards("urgent", False, "US", None, asked)[-1]
        assert re.search(r"\b(?:not on duty|nobody)\b", card.title)
        assert "numbers" in card.body


def test_no_card_speaks_unkindly() -> None:
    for card in every_card():
        assert not UNKIND.search(f"{card.title} {card.body}"), card.title
    for words in STEPS.values():
        assert not UNKIND.search(words["en"])


def test_every_card_is_one_that_the_contract_takes() -> None:
    full = the_plan(people_to_ask=[{"name": "x" * 200, "phone": "5" * 40}] * 20, reasons=["y" * 200] * 20)
    for card in [*every_card(), *plan_cards(full, "en")]:
        assert Card.load(card.dump()) == card


# -- the lines


@languages
def test_a_line_that_answers_in_office_hours_is_not_said_to_answer_now(language: str) -> None:
    shown = {line.name: card for line, card in zip(LINES["IE"], crisis_cards("IE", language), strict=True)}
    in_hours = shown.pop("HSE Drugs and Alcohol Helpline, office hours").body
    assert not re.search(r"\b(?:now|ahora)\b", in_hours)
    assert {card.body for card in shown.values()} == {crisis_cards("US", language)[0].body} != {in_hours}


@regions
def test_every_line_says_where_it_comes_from_and_when_it_was_compared(region: str) -> None:
    assert LINES[region][0].name == "Emergency"
    assert LINES[region][0].call
    for line in LINES[region]:
        assert type(line).load(line.dump()) == line
        assert line.call or line.text
        assert line.source.startswith("https://")


@regions
def test_no_line_is_named_in_english_where_only_part_of_it_is_a_name(region: str) -> None:
    for card in crisis_cards(region, "es"):
        assert not re.search(r"\b(?:hours|Emergency)\b", card.title)
