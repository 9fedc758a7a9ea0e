"""The words by which people name what they used."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.substances import Substance, kinds_in

NAMED: dict[Substance, tuple[str, ...]] = {
    "opioids": (
        "Heroin", "HEROÍNA", "fent", "fentanilo", "some oxys", "OxyContin 40mg", "roxies", "Percocets", "percs",
        "Vicodin", "norcos", "tramadol", "codeine syrup", "codeína", "morfina", "suboxone", "my subs", "metadona",
        "kratom", "blues", "M30", "M-30s", "lean", "black tar", "chiva", "pain pills", "pain-killers", "hydrocodone",
        "an opiate", "nitazenes",
    ),
    "alcohol": (
        "wine", "two beers", "Cerveza", "una botella de vino", "vodka-soda", "whiskey", "whisky", "gin", "ron",
        "drinking", "I drank", "a pint", "aguardiente", "unas copas", "tragos", "Bud Light", "alcohólicas",
    ),
    "stimulants": (
        "cocaine", "cocaína", "coke", "crack", "meth", "crystal-meth", "cristal", "ice", "speed", "Adderall", "ritalin",
        "MDMA", "éxtasis", "anfetaminas", "metanfetamina", "perico", "tusi",
    ),
    "cannabis": (
        "weed", "pot", "a joint", "edibles", "gummies", "marihuana", "Marijuana", "THC", "un porro", "delta-8", "hash",
        "hachís",
    ),
    "sedatives": (
        "Xanax", "xans", "bars", "benzos", "diazepam", "clonazepam", "alprazolam", "etizolam", "Valium", "Rivotril",
        "ambien", "GHB", "gabapentin", "Lyrica", "pregabalina", "sleeping pills", "pastillas para dormir",
    ),
    "nicotine": ("cigarettes", "a cigar", "cigarrillos", "tabaco", "vape", "vaping", "e-cig", "zyn", "tobacco", "snus"),
    "other": ("", "mushrooms", "LSD", "ketamine", "the usual", "нечто", "a"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "kind"), [(words, kind) for kind, several in NAMED.items() for words in several])
def test_people_name_things_in_many_ways(words: str, kind: Substance) -> None:
    assert kinds_in(words) == [kind]


@pytest.mark.parametrize(
    "words",
    ["barbecue", "iced tea", "speedy", "a grassy hill", "potato", "sublime", "ginger", "weedkiller"],
)
def test_a_word_within_another_is_not_that_word(words: str) -> None:
    assert kinds_in(words) == ["other"]


def test_several_are_found_with_the_most_dangerous_first() -> None:
    assert kinds_in("beer, xanax & heroin") == ["opioids", "sedatives", "alcohol"]
    assert kinds_in("speedballs") == ["opioids", "stimulants"]


@given(st.text(max_size=200))
def test_whatever_is_typed_is_some_kind(words: str) -> None:
    found = kinds_in(words)
    assert found
    assert set(found) <= set(get_args(Substance))
    assert found == ["other"] or "other" not in found
