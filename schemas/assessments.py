"""Instruments, which are data, and what people answer to them."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, ClassVar, Literal

from marshmallow import fields, validate

from schemas.base import Event, Shape
from schemas.fields import Date, Id, Language, Line, Matches, Moment, String, Text, Truth, Version, Whole, Zone
from schemas.risk import Card

Name = Annotated[
    str,
    String(
        validate=Matches(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,23}$", error="Must be 1 to 24 of A-Z, a-z, 0-9, '_' and '-'."),
    ),
]
Points = Annotated[int, Whole(validate=validate.Range(0, 1000))]
Day = Annotated[int, Whole(validate=validate.Range(1, 3660))]
# What a person answered is held against the instrument, which alone knows what a question takes.
Answers = Annotated[
    dict[str, Any],
    fields.Dict(
        keys=String(),
        values=fields.Raw(allow_none=True),
        metadata={"description": "By question: a whole number, true or false, or words, as the instrument says."},
    ),
]
Kind = Literal["scale", "options", "yes-no", "days", "text"]
Level = Literal["high", "moderate", "low"]


class AssessmentTaken(Event):
    """A client answered an instrument. The answers stay where they were given."""

    topic: ClassVar[str] = "risk"
    key: ClassVar[str] = "client_id"
    assessment_id: Id
    client_id: Id
    instrument: Id


class Option(Shape):
    """A value that can be chosen, or a point of a scale that has a name."""

    value: Points
    label: Line


class Condition(Shape):
    """The answer to ``item`` is ``at_least`` that much; yes is 1 and no is 0. Of several, one is enough."""

    item: Name
    at_least: Points


class Item(Shape):
    """A question. ``scale`` and ``days`` take a whole number from ``min`` to ``max``; ``options`` one of its values.

    It is asked when one of ``asked_when`` holds, or always where there is none. ``verify`` says what nobody has
    checked against the source yet.
    """

    id: Name
    text: Text
    kind: Kind
    min: Points | None = None
    max: Points | None = None
    options: list[Option] = field(default_factory=list)
    asked_when: list[Condition] = field(default_factory=list)
    optional: bool = False
    verify: Text | None = None


class CutOff(Shape):
    """What a value from ``at_least`` up to the next cut-off is called."""

    at_least: Points
    words: Line


class Scale(Shape):
    """The sum of some answers, those of ``reverse`` turned round.

    Up to ``most_missing`` answers may be missing: the mean of the others stands for each, and the sum is rounded.
    """

    name: Name
    title: Line
    items: list[Name]
    min: Points
    max: Points
    reverse: list[Name] = field(default_factory=list)
    most_missing: Points = 0
    cut_offs: list[CutOff] = field(default_factory=list)
    verify: Text | None = None


class Triage(Shape):
    """The first level of which a condition holds is the one of the person."""

    level: Level
    words: Line
    when: list[Condition]


class Crisis(Shape):
    """Answers for which a human is asked at once. ``reason`` is in words that the client would use."""

    when: list[Condition]
    reason: Line
    fuller_screen: Name | None = None


class Schedule(Shape):
    """When it is due: so many days after the last time, or on days of which the client's first is 1."""

    every_days: Day | None = None
    on_days: list[Day] = field(default_factory=list)


class Instrument(Shape):
    """One version, and one variant, of a questionnaire. ``partial`` is its own rule for answers that are missing."""

    id: Name
    version: Version
    title: Line
    language: Language
    recall_days: Points | None
    instructions: Text
    attribution: Text
    licence: Text
    source: Text
    partial: Text
    items: list[Item]
    variant: Name | None = None
    note: Text | None = None
    verify: Text | None = None
    scales: list[Scale] = field(default_factory=list)
    triage: list[Triage] = field(default_factory=list)
    crisis: list[Crisis] = field(default_factory=list)
    schedule: Schedule | None = None
    scores_withheld: bool = False

    @property
    def key(self) -> str:
        """It is told from all others by this, such as ``bam-likert-1``."""
        return "-".join([self.id, *([self.variant] if self.variant else []), str(self.version)])


class LeftOut(Shape):
    """An operator does without an instrument: all variants of a version, or one."""

    id: Name
    version: Version
    off: Annotated[bool, Truth(validate=validate.Equal(True))]
    variant: Name | None = None


class InstrumentPage(Shape):
    items: list[Instrument]
    next: str | None


class InstrumentQuery(Shape):
    version: Annotated[str, String(validate=Matches(r"^[1-9][0-9]{0,8}$", error="Must be a version."))] | None = None
    variant: Name | None = None


class NewAssessment(Shape):
    """Answers to one version of an instrument. A coach who asks the questions says whose answers they are."""

    id: Id
    instrument: Name
    version: Version
    answers: Answers
    variant: Name | None = None
    at: Moment | None = None
    timezone: Zone | None = None
    client_id: Id | None = None


class ScaleScore(Shape):
    """``value`` is null where too much is missing, ``complete`` where nothing is; ``reading`` is what it is called."""

    name: Name
    title: Line
    value: int | None
    range: list[int]
    reading: Line | None
    complete: bool


class AssessmentRecord(Shape):
    """An assessment as it is read back."""

    id: Id
    client_id: Id
    instrument: Name
    version: Version
    variant: Name | None
    at: Moment
    taken_by: Id
    answers: Answers
    scales: list[ScaleScore]
    triage: Level | None
    crisis: bool
    reasons: list[Line]
    fuller_screen: Name | None


class AssessmentOut(AssessmentRecord):
    """The answer to whoever took it, with what helps now."""

    cards: list[Card]


class AssessmentPage(Shape):
    items: list[AssessmentRecord]
    next: str | None


class DueQuery(Shape):
    client_id: Id | None = None
    timezone: Zone | None = None


class DueAssessment(Shape):
    """What is due since a day of the client's: by its schedule, or because another's answers call for it."""

    instrument: Name
    version: Version
    variant: Name | None
    title: Line
    since: Date
    because: Literal["schedule", "screen"]


class DuePage(Shape):
    items: list[DueAssessment]
    next: str | None
