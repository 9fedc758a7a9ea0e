"""What a check-in says. Pure: schemas and arithmetic only.

This first score is a sum of named, bounded steps. Nothing here is fitted: the steps are *assumed*, in the order in
which Wyant 2025 found the questions to matter (past use, confidence to abstain, craving, risky situations; mood and
stress weakly). A heavier answer never lowers the band. The bands are for a coach's attention, never for refusing
anything.
"""

from __future__ import annotations

from typing import NamedTuple

from schemas.risk import Band, NewCheckIn

BANDS: tuple[Band, ...] = ("steady", "watch", "high", "urgent")
_FROM_POINTS: tuple[tuple[int, Band], ...] = ((6, "urgent"), (3, "high"), (2, "watch"), (0, "steady"))

# Words by which people name opioids on a phone. They offer the overdose card; they move no score.
_OPIOIDS = (
    "opioid",
    "opiate",
    "heroin",
    "fentanyl",
    "oxy",
    "morphine",
    "codeine",
    "hydrocodone",
    "tramadol",
    "percocet",
)


class Step(NamedTuple):
    """One reason for concern: how many points, and the words that the client is shown."""

    points: int
    reason: str


class Verdict(NamedTuple):
    """``band``, and the reasons in the order of their weight."""

    band: Band
    reasons: list[str]


def judge(check_in: NewCheckIn) -> Verdict:
    """The band of a check-in and why.

    The sum of the steps that apply: 0 to 1 steady, 2 watch, 3 to 5 high, 6 and over urgent. A craving of 9 or 10 is
    ``high`` by itself; so is any use.
    """
    steps = sorted(_steps(check_in), key=lambda step: -step.points)
    points = sum(step.points for step in steps)
    band = next(band for least, band in _FROM_POINTS if points >= least)
    return Verdict(band, [step.reason for step in steps])


def worse(one: Band, other: Band) -> bool:
    """Whether ``one`` asks for more attention than ``other``."""
    return BANDS.index(one) > BANDS.index(other)


def _steps(c: NewCheckIn) -> list[Step]:
    found = [
        _use(c),
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


def _use(c: NewCheckIn) -> Step | None:
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


def speaks_of_opioids(what: str) -> bool:
    """Whether the words for what was used name an opioid."""
    return any(word in what.casefold() for word in _OPIOIDS)
