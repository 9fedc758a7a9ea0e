"""What a client is told who waits: nothing that nobody staffs, and whom to call if it cannot wait."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from schemas.chat import Away
from schemas.crisis import crisis_cards


class _Words(NamedTuple):
    in_line: str
    expected: str
    unknown: str


WORDS: dict[str, _Words] = {
    "en": _Words(
        in_line="You are in line. The first coach on duty who is free sees what you write.",
        expected="Nobody is on duty right now. A coach is expected at the time shown here. What you write is kept.",
        unknown="Nobody is on duty right now, and we do not know when somebody will be. What you write is kept.",
    ),
    "es": _Words(
        in_line="Estás en la cola. Quien esté de guardia y quede libre primero verá lo que escribes.",
        expected="Ahora no hay nadie de guardia. Se espera a alguien a la hora indicada. Lo que escribes se guarda.",
        unknown="Ahora no hay nadie de guardia, y no sabemos cuándo habrá alguien. Lo que escribes se guarda.",
    ),
}


def away(language: str | None, anybody: bool, expected_at: datetime | None, region: str) -> Away:
    """Kind words, when somebody is expected, and the crisis lines of a region.

    Args:
        language: one of ``WORDS``; None for English.
        anybody: whether a coach is on duty, busy or not.
        expected_at: when one is next on duty, if that is known.
    """
    language = language or "en"
    words = WORDS[language]
    if anybody:
        said, expected_at = words.in_line, None
    else:
        said = words.unknown if expected_at is None else words.expected
    return Away(words=said, expected_at=expected_at, cards=crisis_cards(region, language))
