"""What answers to an instrument say. Pure: schemas and arithmetic only; what differs is in the instrument's file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple

from schemas.assessments import Condition, Instrument, Item, Level, Scale, ScaleScore, Schedule
from schemas.fields import is_text

_MISSING = "Needs an answer."
_NOT_ASKED = "It is not asked after the answers before it."


class WrongAnswers(Exception):
    """Answers that do not fit the instrument.

    Attributes:
        problems: sentences for each question, by its id.
        reasons: why a human is asked at once all the same; none where the answers that do fit are no crisis.
    """

    def __init__(self, problems: Mapping[str, list[str]], reasons: list[str]) -> None:
        super().__init__(", ".join(problems))
        self.problems = dict(problems)
        self.reasons = reasons


class Finding(NamedTuple):
    """What was found.

    Attributes:
        numbers: the answers that are numbers, by question; yes is 1 and no is 0.
        words: the answers that are words.
        scales: each scale of the instrument, scored.
        triage: the level of the person, or None where none applies.
        reasons: why a human is asked at once; none where there is no crisis.
        fuller_screen: the instrument that a crisis calls for.
    """

    numbers: dict[str, int]
    words: dict[str, str]
    scales: list[ScaleScore]
    triage: Level | None
    reasons: list[str]
    fuller_screen: str | None


def assess(instrument: Instrument, answers: Mapping[str, Any]) -> Finding:
    """Read answers, and score them as the instrument says.

    Answers that are missing beyond the instrument's own rule are asked for, unless those that were given are a crisis:
    nobody is sent back to fill in a form after saying that.

    Raises:
        WrongAnswers: naming each question whose answer is out of range, not asked, not there, or missing.
    """
    numbers, words, problems = _read(instrument, answers)
    asked, closed = _branches(instrument, numbers)
    fired = [crisis for crisis in instrument.crisis if holds(crisis.when, numbers)]
    reasons = [crisis.reason for crisis in fired]
    unasked = {item.id: [_NOT_ASKED] for item in instrument.items if item.id in closed & set(answers)}
    missing = [] if fired else _missing(instrument, asked - set(answers))
    if problems := problems or unasked or {id: [_MISSING] for id in missing}:
        raise WrongAnswers(problems, reasons)
    shown = not instrument.scores_withheld
    return Finding(
        numbers=numbers,
        words=words,
        scales=[_score(instrument, scale, numbers, closed) for scale in instrument.scales if shown],
        triage=next((step.level for step in instrument.triage if shown and holds(step.when, numbers)), None),
        reasons=reasons,
        fuller_screen=next((crisis.fuller_screen for crisis in fired if crisis.fuller_screen), None),
    )


def bounds(item: Item) -> tuple[int, int]:
    """The least and the most that a question adds to a scale."""
    if item.kind == "yes-no":
        return 0, 1
    if item.kind == "options":
        values = [option.value for option in item.options]
        return min(values), max(values)
    assert item.min is not None
    assert item.max is not None
    return item.min, item.max


def holds(conditions: Iterable[Condition], numbers: Mapping[str, int]) -> bool:
    """Whether one of them does. A question that has no answer meets none."""
    return any(c.item in numbers and numbers[c.item] >= c.at_least for c in conditions)


def due_since(schedule: Schedule, joined: date, latest: date | None, today: date) -> date | None:
    """Since which day an instrument is due, or None while it is not.

    Args:
        schedule: of the instrument.
        joined: the client's day 1.
        latest: the day on which it was taken last.
        today: in the client's own zone, as the others are.
    """
    if schedule.every_days is not None:
        day = joined if latest is None else latest + timedelta(days=schedule.every_days)
        return day if day <= today else None
    reached = [joined + timedelta(days=number - 1) for number in schedule.on_days]
    reached = [day for day in reached if day <= today]
    return reached[-1] if reached and (latest is None or latest < reached[-1]) else None


def _read(
    instrument: Instrument, answers: Mapping[str, Any]
) -> tuple[dict[str, int], dict[str, str], dict[str, list[str]]]:
    """The answers that are numbers, those that are words, and what is wrong with the others."""
    items = {item.id: item for item in instrument.items}
    numbers: dict[str, int] = {}
    words: dict[str, str] = {}
    problems: dict[str, list[str]] = {}
    for id, answer in answers.items():
        why = _wrong(items[id], answer) if id in items else "There is no such question."
        if why is not None:
            problems[id] = [why]
        elif items[id].kind == "text":
            words[id] = answer
        else:
            numbers[id] = int(answer)
    return numbers, words, problems


def _wrong(item: Item, answer: Any) -> str | None:
    """What is wrong with an answer, in words, or None."""
    if item.kind == "yes-no":
        return None if isinstance(answer, bool) else "Must be true or false."
    if item.kind == "text":
        return None if is_text(answer) else "Must be written words, 1 to 8,000 characters."
    whole = isinstance(answer, int) and not isinstance(answer, bool)
    if item.kind == "options":
        values = [option.value for option in item.options]
        return None if whole and answer in values else f"Must be one of {', '.join(map(str, values))}."
    least, most = bounds(item)
    return None if whole and least <= answer <= most else f"Must be a whole number from {least} to {most}."


def _branches(instrument: Instrument, numbers: Mapping[str, int]) -> tuple[set[str], set[str]]:
    """The questions that are asked after these answers, and those that are not; the rest hangs on one still to come."""
    asked: set[str] = set()
    closed: set[str] = set()
    for item in instrument.items:
        if not item.asked_when or holds(item.asked_when, numbers):
            asked.add(item.id)
        elif all(c.item in numbers or c.item in closed for c in item.asked_when):
            closed.add(item.id)
    return asked, closed


def _missing(instrument: Instrument, absent: set[str]) -> list[str]:
    """Those of the absent answers that are needed: neither optional, nor excused by every scale that they are in."""
    absent = absent - {item.id for item in instrument.items if item.optional}
    excused: set[str] = set()
    needed: set[str] = set()
    for scale in instrument.scales:
        gone = absent & set(scale.items)
        (excused if len(gone) <= scale.most_missing else needed).update(gone)
    return [item.id for item in instrument.items if item.id in absent - (excused - needed)]


def _score(instrument: Instrument, scale: Scale, numbers: Mapping[str, int], closed: set[str]) -> ScaleScore:
    parts: list[int] = []
    for item in instrument.items:
        if item.id in scale.items and (item.id in numbers or item.id in closed):
            least, most = bounds(item)
            # What is not asked, because of an answer before it, counts as none of it.
            answer = numbers.get(item.id, least)
            parts.append(least + most - answer if item.id in scale.reverse else answer)
    missing = len(scale.items) - len(parts)
    value = _sum(parts, len(scale.items)) if missing <= scale.most_missing else None
    return ScaleScore(
        name=scale.name,
        title=scale.title,
        value=value,
        range=[scale.min, scale.max],
        reading=_reading(scale, value),
        complete=missing == 0,
    )


def _sum(parts: list[int], count: int) -> int:
    """The sum, with the mean in the place of each part that is missing; rounded, a half upwards."""
    return (2 * sum(parts) * count + len(parts)) // (2 * len(parts))


def _reading(scale: Scale, value: int | None) -> str | None:
    reached = [cut_off.words for cut_off in scale.cut_offs if value is not None and value >= cut_off.at_least]
    return reached[-1] if reached else None
