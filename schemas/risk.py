"""Check-ins, bands and alerts."""

from __future__ import annotations

from dataclasses import field
from typing import ClassVar, Literal

from schemas.base import Event, Hint, Shape
from schemas.fields import Days, Hours, Id, Level, Line, Moment, RiskySituation, Scale, Text

Band = Literal["steady", "watch", "high", "urgent"]
Rung = Literal["coach", "cover", "supervisor", "nobody"]
Outcome = Literal["talked", "messaged", "met", "emergency", "no_answer", "not_needed"]


class CheckInRecorded(Event):
    """A client said how things are. The words stay where they were written."""

    topic: ClassVar[str] = "risk"
    key: ClassVar[str] = "client_id"
    check_in_id: Id
    client_id: Id
    band: Band


class _AlertEvent(Event):
    topic: ClassVar[str] = "risk"
    key: ClassVar[str] = "client_id"
    alert_id: Id
    client_id: Id
    band: Band
    rung: Rung
    tell: list[Id]


class AlertRaised(_AlertEvent):
    """A named human is asked to be in touch by ``due_at``."""

    hint: ClassVar[Hint | None] = Hint("alert", ("alert_id",), "raised", "alert")
    due_at: Moment


class AlertWorsened(_AlertEvent):
    """Another check-in, worse than the one before, joined an alert that is open."""

    hint: ClassVar[Hint | None] = Hint("alert", ("alert_id",), "worsened", "alert")
    due_at: Moment


class AlertEscalated(_AlertEvent):
    """Nobody acknowledged in time: somebody else is asked too."""

    hint: ClassVar[Hint | None] = Hint("alert", ("alert_id",), "escalated", "alert")
    due_at: Moment


class AlertAcknowledged(_AlertEvent):
    """A human is on it."""

    hint: ClassVar[Hint | None] = Hint("alert", ("alert_id",), "acknowledged", None)
    by: Id


class AlertClosed(_AlertEvent):
    """The contact was made, or was found not to be needed."""

    hint: ClassVar[Hint | None] = Hint("alert", ("alert_id",), "closed", None)
    by: Id


class Used(Shape):
    """What was used, and on how many days since the last check-in."""

    what: Line
    days: Days = 1


class NewCheckIn(Shape):
    """How today is. Only ``id`` and ``craving`` are asked for; ``mood`` and ``confidence`` are good when high."""

    id: Id
    craving: Scale
    at: Moment | None = None
    confidence: Scale | None = None
    mood: Scale | None = None
    hungry: Scale | None = None
    angry: Scale | None = None
    lonely: Scale | None = None
    tired: Scale | None = None
    sleep_hours: Hours | None = None
    risky_situation: RiskySituation | None = None
    used: Used | None = None
    medication_taken: bool | None = None
    withdrawal: Level | None = None
    note: Text | None = None


class Card(Shape):
    """Words for the person who checked in, with what can be done now. ``call`` and ``text`` are numbers."""

    kind: Literal["plan", "crisis", "overdose", "coach", "peers", "kindness"]
    title: Line
    body: Text
    call: Line | None = None
    text: Line | None = None


class CheckInOut(Shape):
    id: Id
    at: Moment
    band: Band
    reasons: list[Line]
    cards: list[Card]


class CheckInRecord(NewCheckIn):
    """A check-in as it is read back."""

    client_id: Id = ""
    band: Band = "steady"
    reasons: list[Line] = field(default_factory=list)


class CheckInPage(Shape):
    items: list[CheckInRecord]
    next: str | None


class AlertOut(Shape):
    id: Id
    client_id: Id
    band: Band
    reasons: list[Line]
    state: Literal["open", "acknowledged", "closed"]
    rung: Rung
    raised_at: Moment
    due_at: Moment | None
    acknowledged_by: Id | None
    outcome: Outcome | None


class AlertPage(Shape):
    items: list[AlertOut]
    next: str | None


class Closing(Shape):
    outcome: Outcome


class RiskOut(Shape):
    """What the latest check-in says. ``band`` is null before the first."""

    client_id: Id
    band: Band | None
    reasons: list[Line]
    at: Moment | None
    open_alert: Id | None
