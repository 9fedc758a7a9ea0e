"""Who is near, by what people typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.risk.peers_rules import ASKED_MOST, Offer, nearest, normal

areas = st.text("ab1 -", min_size=1, max_size=6)
offers = st.lists(
    st.builds(Offer, st.text("xyz", min_size=1, max_size=4), areas, st.lists(st.sampled_from(["en", "es-MX", "fr"]))),
    max_size=8,
    unique_by=lambda offer: offer.person_id,
)


def offer(person_id: str, area: str, *languages: str) -> Offer:
    return Offer(person_id, area, languages)


@pytest.mark.parametrize(
    ("one", "other"),
    [("SW1A 1AA", "sw1a1aa"), ("São Paulo", "sao-paulo"), ("  9021 ", "9021"), ("STRASSE", "straße")],
)
def test_what_people_type_differently_is_the_same_place(one: str, other: str) -> None:
    assert normal(one) == normal(other)


def test_the_longer_the_beginnings_agree_the_nearer() -> None:
    there = [offer("far", "E1 6AN"), offer("near", "SW1A 2BB"), offer("nearer", "sw1a 1zz"), offer("wide", "SW")]
    assert nearest(there, "SW1A 1AA", "en", "ask") == ["nearer", "near", "wide"]


def test_of_two_equally_near_the_one_who_speaks_the_language_is_first() -> None:
    there = [offer("one", "9021", "en"), offer("two", "9021", "en", "es-MX"), offer("three", "9021")]
    assert nearest(there, "9021", "es", "ask")[0] == "two"


@given(offers, st.none() | areas, st.sampled_from(["en", "es"]), st.text("abc", min_size=1))
def test_at_most_three_are_asked_and_none_is_left_out_who_is_nearer(
    there: list[Offer], area: str | None, language: str, ask_id: str
) -> None:
    asked = nearest(there, area, language, ask_id)
    assert len(asked) == min(ASKED_MOST, len(there))
    assert len(set(asked)) == len(asked)
    assert asked == nearest(reversed(there), area, language, ask_id), "a repeat asks the same, in whatever order"

    def near(offer: Offer) -> int:
        here, place = normal(area or ""), normal(offer.area)
        return max(length for length in range(len(here) + 1) if place.startswith(here[:length]))

    by_id = {offer.person_id: offer for offer in there}
    others = [offer for offer in there if offer.person_id not in asked]
    assert all(near(by_id[one]) >= near(other) for one in asked for other in others)


def test_not_always_the_same_are_asked() -> None:
    there = [offer(f"p{number}", "9021") for number in range(8)]
    assert len({person for ask in range(20) for person in nearest(there, "9021", "en", f"ask {ask}")}) == 8
