"""Coaches, who is on duty, and which client is with which coach."""

from __future__ import annotations

from typing import ClassVar, Literal

from schemas.base import Event, Shape
from schemas.fields import Id, Moment
from schemas.people import GrantOut


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


class Availability(Shape):
    on_duty: bool


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
