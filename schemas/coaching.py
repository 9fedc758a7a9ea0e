"""Coaches, who is on duty, and which client is with which coach."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, ClassVar, Literal

from marshmallow.validate import Range

from schemas.base import Event, Shape
from schemas.fields import Count, Date, Id, Moment, WallEnd, WallTime, Whole, Zone
from schemas.people import GrantOut

# How many clients of others, who ask for whoever is on duty, a coach talks with at once.
CAPACITY = 8
Capacity = Annotated[
    int,
    Whole(validate=Range(0, 50), metadata={"description": "Conversations at once with whoever asks, 0 to 50."}),
]
# What an edit leaves out stays as it is. It is no value that may be given.
LEFT_OUT: Any = None


class ClientAssigned(Event):
    """A coach takes a client on. The grants that the coach needs follow from it."""

    topic: ClassVar[str] = "coaching"
    key: ClassVar[str] = "client_id"
    assignment_id: Id
    client_id: Id
    coach_id: Id


class AssignmentEnded(Event):
    """The coach no longer has this client, and the grants end with it."""

    topic: ClassVar[str] = "coaching"
    key: ClassVar[str] = "client_id"
    assignment_id: Id
    client_id: Id
    coach_id: Id


class CoachWentOnDuty(Event):
    """The coach answers from now on, for others' clients too."""

    topic: ClassVar[str] = "coaching"
    key: ClassVar[str] = "coach_id"
    coach_id: Id


class CoachWentOffDuty(Event):
    """The coach rests."""

    topic: ClassVar[str] = "coaching"
    key: ClassVar[str] = "coach_id"
    coach_id: Id


class CoachAvailabilityChanged(Event):
    """How many conversations the coach takes at once, and when the coach, who rests now, is on duty again.

    ``back_at`` is null for a coach who is on duty, and where nobody knows.
    """

    topic: ClassVar[str] = "coaching"
    key: ClassVar[str] = "coach_id"
    coach_id: Id
    capacity: Count
    back_at: Moment | None


class Interval(Shape):
    """From ``start`` until ``end`` on the coach's own clock. A night is two: until 24:00, and from 00:00."""

    start: WallTime
    end: WallEnd


class Week(Shape):
    """The hours of each weekday, in any order; a day without any is a day off."""

    monday: list[Interval] = field(default_factory=list)
    tuesday: list[Interval] = field(default_factory=list)
    wednesday: list[Interval] = field(default_factory=list)
    thursday: list[Interval] = field(default_factory=list)
    friday: list[Interval] = field(default_factory=list)
    saturday: list[Interval] = field(default_factory=list)
    sunday: list[Interval] = field(default_factory=list)


class Holiday(Shape):
    """Days without hours, the ``first`` and the ``last`` included."""

    first: Date
    last: Date


class AvailabilityEdit(Shape):
    """``on_duty`` and ``do_not_disturb_until`` are the coach's word of the moment; the rest is kept for every week."""

    on_duty: bool = LEFT_OUT
    do_not_disturb_until: Moment | None = None
    zone: Zone = LEFT_OUT
    hours: Week = LEFT_OUT
    holidays: list[Holiday] = LEFT_OUT
    capacity: Capacity = LEFT_OUT


class Availability(Shape):
    """``on_duty`` says whether the coach answers now; it turns at ``next_change_at``, if nobody says otherwise."""

    on_duty: bool
    do_not_disturb_until: Moment | None
    zone: Zone
    hours: Week
    holidays: list[Holiday]
    capacity: Capacity
    next_change_at: Moment | None


class CoachOut(Shape):
    id: Id
    on_duty: bool


class CoachPage(Shape):
    items: list[CoachOut]
    next: str | None


class NewReferral(Shape):
    """A client asks for a coach, by name or for anybody."""

    id: Id
    coach_id: Id | None = None


class ReferralOut(Shape):
    id: Id
    client_id: Id
    coach_id: Id | None
    state: Literal["open", "taken"]
    made_at: Moment


class ReferralPage(Shape):
    items: list[ReferralOut]
    next: str | None


class NewAssignment(Shape):
    id: Id
    client_id: Id
    coach_id: Id


class AssignmentOut(Shape):
    """``grants`` are those that have been issued by the time of the answer; normally all."""

    id: Id
    client_id: Id
    coach_id: Id
    state: Literal["active", "ended"]
    made_at: Moment
    grants: list[GrantOut]


class CaseloadItem(Shape):
    assignment_id: Id
    client_id: Id
    since: Moment


class CaseloadPage(Shape):
    items: list[CaseloadItem]
    next: str | None
