"""The safety plan that a client writes, and the help that is there whatever else is not."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, ClassVar, Literal

from marshmallow import fields, validate

from schemas.base import Event, Shape
from schemas.fields import Count, Date, Id, Line, Matches, Moment, String
from schemas.risk import Card

MOST_LINES = 20
MOST_PEOPLE = 20

Phone = Annotated[
    str,
    String(
        validate=Matches(
            r"^(?=.*[0-9])[0-9+*#(][0-9 ()./#*,+-]{1,39}$",
            error="Must be a number to call: 2 to 40 of 0-9, '+', '*', '#', '(', ')', '.', ',', '/', '-' and spaces.",
        )
    ),
]


class Contact(Shape):
    """Somebody, or a place, and the number if there is one."""

    name: Line
    phone: Phone | None = None


def _at_most(most: int, inner: fields.Field[object], of: str) -> fields.List[object]:
    return fields.List(inner, validate=validate.Length(max=most), metadata={"description": f"At most {most} {of}."})


Lines = Annotated[list[str], _at_most(MOST_LINES, String(validate=validate.Length(1, 200)), "lines")]
Contacts = Annotated[list[Contact], _at_most(MOST_LINES, fields.Nested(Contact.Schema), "lines")]
People = Annotated[list[str], _at_most(MOST_PEOPLE, Id.__metadata__[0], "people")]


class SafetyPlanWritten(Event):
    """A client wrote a safety plan, or wrote it anew. ``edition`` numbers what was written, from 1."""

    topic: ClassVar[str] = "risk"
    key: ClassVar[str] = "client_id"
    client_id: Id
    edition: Count
    tell: list[Id]


class SafetyPlanShared(Event):
    """A client chose anew who may read the plan: ``coach`` whoever cares for the client, ``people`` by their ids.

    ``tell`` are all who may read it from now on, but the client.
    """

    topic: ClassVar[str] = "risk"
    key: ClassVar[str] = "client_id"
    client_id: Id
    coach: bool
    people: list[Id]
    tell: list[Id]


class NewSafetyPlan(Shape):
    """The six steps of Stanley and Brown, in their order, and what is worth living for. The words are the client's."""

    warning_signs: Lines = field(default_factory=list)
    coping_strategies: Lines = field(default_factory=list)
    people_and_places: Contacts = field(default_factory=list)
    people_to_ask: Contacts = field(default_factory=list)
    professionals: Contacts = field(default_factory=list)
    safer_surroundings: Lines = field(default_factory=list)
    reasons: Lines = field(default_factory=list)


class Sharing(Shape):
    """Who may read the plan beside its client: whoever cares for the client now, and people by their ids."""

    coach: bool
    people: People


class SafetyPlanOut(NewSafetyPlan):
    """One version of a plan. ``sharing`` is shown to its client alone."""

    client_id: Id
    version: Count
    written_at: Moment
    sharing: Sharing | None


class SharedPlan(Shape):
    """A plan whose client named the caller; it is read at ``/clients/{id}/safety-plan``."""

    client_id: Id
    written_at: Moment


class SharedPlanPage(Shape):
    items: list[SharedPlan]
    next: str | None


class PlanVersion(Shape):
    version: Count
    written_at: Moment


class PlanVersionPage(Shape):
    items: list[PlanVersion]
    next: str | None


class CrisisLine(Shape):
    """``source`` is where its operator publishes the number, ``checked_on`` the day on which both were compared."""

    name: Line
    call: Line | None
    text: Line | None
    source: Line
    checked_on: Date


class CrisisLines(Shape):
    items: list[CrisisLine]
    next: str | None = None


class HelpOut(Shape):
    """What to show on a bad night, first and whatever else is down.

    Attributes:
        plan: whether the person's own plan is among the cards, is not written, or could not be read just now.
        staffed: whether somebody is on duty at this moment; ``off_duty`` where a coach is known, but nobody is on duty.
        coach_id: of the one on duty, the person's own coach before another.
    """

    cards: list[Card]
    plan: Literal["shown", "none", "unreachable"]
    staffed: Literal["on_duty", "off_duty", "nobody", "unreachable"]
    coach_id: Id | None
