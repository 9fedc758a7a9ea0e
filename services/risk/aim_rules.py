"""What a lapse is follows the client's own aim: no use, or less. Judgement only; nothing is kept or told here."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from schemas.goals import AimKind
from schemas.substances import Substance, kinds_in

WEEK = 7


class Aim(NamedTuple):
    """What a client aims at.

    Attributes:
        aim: no use of ``substances``, or less.
        substances: those that it is about.
        days_per_week: with moderation: on how many of any seven days at most.
    """

    aim: AimKind
    substances: frozenset[Substance]
    days_per_week: int | None = None


def lapse_days(use_days: Sequence[int], aim: Aim | None) -> list[int]:
    """Those of the days of use that are lapses, ascending, each once.

    With moderation it is a day on which the seven that end with it hold more days of use than the client aims at.
    Otherwise, and where no aim is known, it is every one.

    Args:
        use_days: numbers of the days with use of what the aim is about (``is_aimed_at``), in any order; two days that
            follow each other differ by 1.
    """
    days = sorted(set(use_days))
    if aim is None or aim.aim == "abstinence":
        return days
    most = aim.days_per_week or 0
    return [day for place, day in enumerate(days) if place + 1 - bisect_left(days, day - WEEK + 1) > most]


def substance_of(what: str) -> Substance:
    """The kind of substance that the words name, the most dangerous of several; ``other`` where no list knows it."""
    return kinds_in(what)[0]


def counts(kind: Substance, aim: Aim | None) -> bool:
    """Whether use of this kind is what the aim is about.

    ``other`` always is: a word that no list knows may be another name for it, and the client was asked for a lapse.
    """
    return aim is None or kind == "other" or kind in aim.substances


def is_aimed_at(what: str, aim: Aim | None) -> bool:
    """Whether the words for what was used name anything that the aim is about."""
    return any(counts(kind, aim) for kind in kinds_in(what))
