"""What a check-in says. Pure: schemas and arithmetic only.

What is said today is a sum of named, bounded steps. Nothing here is fitted: the steps are *assumed*, in the order in
which Wyant 2025 found the questions to matter (past use, confidence to abstain, craving, risky situations; mood and
stress weakly). What was fitted, on the weeks behind, comes as an ``Outlook``. A heavier answer never lowers the band.
The bands are for a coach's attention, never for refusing anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from schemas.risk import Band, NewCheckIn

BANDS: tuple[Band, ...] = ("steady", "watch", "high", "urgent")
_FROM_POINTS: tuple[tuple[int, Band], ...] = ((6, "urgent"), (3, "high"), (2, "watch"), (0, "steady"))


class Step(NamedTuple):
    """One reason for concern: how many points, and the words that the client is shown."""

    points: int
    reason: str


class Outlook(NamedTuple):
    """What the weeks behind a client say: the history part of the score, as a band and in words."""

    band: Band
    reasons: list[str]


class Verdict(NamedTuple):
    """What a check-in or a screen says.

    Attributes:
        band: how much attention it asks for.
        reasons: why, in the order of their weight, in words for the client.
        compared: how it is beside the person's own last week.
        lasting: nothing that was said today asks for a human; only the weeks behind do.
        pressing: a screen for a crisis fired. Whoever is asked already is told of it, however heavy the open alert is.
    """

    band: Band
    reasons: list[str]
    compared: list[str] = []  # noqa: RUF012
    lasting: bool = False
    pressing: bool = False


STEADY = Outlook("steady", [])


def judge(check_in: NewCheckIn, lapsed: bool, outlook: Outlook = STEADY) -> Verdict:
    """The band of a check-in and why: the worse of what is said today and of the weeks behind.

    Today is the sum of the steps that apply: 0 to 1 steady, 2 watch, 3 to 5 high, 6 and over urgent. A craving of 9 or
    10 is ``high`` by itself; so is any lapse. Only today makes ``urgent``: a score is about weeks, not about tonight.

    Args:
        check_in: what was said.
        lapsed: whether the use that was told is a lapse by the client's own aim.
        outlook: of the weeks behind.
    """
    steps = sorted(_steps(check_in, lapsed), key=lambda step: -step.points)
    points = sum(step.points for step in steps)
    today = next(band for least, band in _FROM_POINTS if points >= least)
    reasons = [step.reason for step in steps]
    if not worse(outlook.band, today):
        return Verdict(today, reasons + (outlook.reasons if today != "steady" else []))
    return Verdict(outlook.band, reasons + outlook.reasons, lasting=not worse(today, "watch"))


def compare(check_in: NewCheckIn, last_week: Sequence[Mapping[str, Any]]) -> list[str]:
    """How today is beside the person's own last seven days, in words; only what differs plainly.

    Args:
        last_week: the answers of the check-ins of those days.
    """
    return [
        f"Your {words} is {'higher' if change > 0 else 'lower'} than in your own last week"
        for name, words in _COMPARED.items()
        if (change := _change(getattr(check_in, name), [day[name] for day in last_week if day.get(name) is not None]))
    ]


_COMPARED = {"craving": "craving", "confidence": "confidence", "mood": "mood", "sleep_hours": "sleep"}
# Two of ten steps: what people plainly feel as more or less.
_PLAINLY = 2


def _change(today: float | None, before: Sequence[float]) -> float:
    """By how much today differs from the mean of the days before; 0 where that is little or not known."""
    if today is None or not before:
        return 0
    change = today - sum(before) / len(before)
    return change if abs(change) >= _PLAINLY else 0


def worse(one: Band, other: Band) -> bool:
    """Whether ``one`` asks for more attention than ``other``."""
    return BANDS.index(one) > BANDS.index(other)


def _steps(c: NewCheckIn, lapsed: bool) -> list[Step]:
    found = [
        _lapse(c) if lapsed else None,
        _low(c.confidence, ((2, 3), (4, 2)), "Your confidence is low today"),
        _high(c.craving, ((9, 3), (7, 2), (5, 1)), "Craving is strong today"),
        _high(_situation(c.risky_situation), ((8, 2), (5, 1)), "You have been in a risky situation"),
        _high(c.withdrawal, ((3, 2), (2, 1)), "You have withdrawal symptoms"),
        _low(c.mood, ((2, 1),), "Your mood is low"),
        _high(max((c.hungry or 0, c.angry or 0, c.lonely or 0, c.tired or 0)), ((8, 1),), _halt(c)),
        Step(1, "You slept little") if c.sleep_hours is not None and c.sleep_hours < 4 else None,
        Step(1, "Your medication was not taken") if c.medication_taken is False else None,
    ]
    return [step for step in found if step is not None]


def _lapse(c: NewCheckIn) -> Step | None:
    if c.used is None or c.used.days == 0:
        return None
    return Step(4 if c.used.days > 1 else 3, "You told us about a lapse; thank you for saying so")


def _high(value: int | None, cuts: tuple[tuple[int, int], ...], reason: str) -> Step | None:
    return next((Step(points, reason) for cut, points in cuts if value is not None and value >= cut), None)


def _low(value: int | None, cuts: tuple[tuple[int, int], ...], reason: str) -> Step | None:
    return next((Step(points, reason) for cut, points in cuts if value is not None and value <= cut), None)


def _situation(answer: bool | int | None) -> int | None:
    """A plain yes counts as 8 of 10."""
    return (8 if answer else 0) if isinstance(answer, bool) else answer


def _halt(c: NewCheckIn) -> str:
    """HALT is a folk tool, not a validated one; it names what a person can do something about now."""
    felt = {"hungry": c.hungry, "angry": c.angry, "lonely": c.lonely, "tired": c.tired}
    return f"You are very {max(felt, key=lambda name: felt[name] or 0)}"
