"""Check-ins, bands and alerts."""

from __future__ import annotations

from dataclasses import field
from typing import ClassVar, Literal

from schemas.base import Event, Hint, Shape
from schemas.fields import (
    Count,
    Date,
    Days,
    Figures,
    Hours,
    Id,
    Level,
    Line,
    Moment,
    RiskySituation,
    Scale,
    Text,
    WallTime,
    Zone,
)

Band = Literal["steady", "watch", "high", "urgent"]
Rung = Literal["coach", "cover", "supervisor", "on_call", "nobody"]
Outcome = Literal["talked", "messaged", "met", "emergency", "no_answer", "not_needed"]
Contact = Literal["phone", "video", "chat", "in_person"]
# The four kinds that Reif 2014 tells apart.
Support = Literal["emotional", "informational", "instrumental", "affiliational"]


class CheckInRecorded(Event):
    """A client said how things are. The words stay where they were written."""

    topic: ClassVar[str] = "risk"
    key: ClassVar[str] = "client_id"
    check_in_id: Id
    client_id: Id
    band: Band


class CheckInCorrected(Event):
    """A client put another check-in in the place of one; both are kept."""

    topic: ClassVar[str] = "risk"
    key: ClassVar[str] = "client_id"
    check_in_id: Id
    by_check_in_id: Id
    client_id: Id
    band: Band


class BandContested(Event):
    """A client said that the band of a check-in is not right. The words stay where they were written."""

    topic: ClassVar[str] = "risk"
    key: ClassVar[str] = "client_id"
    check_in_id: Id
    client_id: Id


class OnCallNamed(Event):
    """Who is asked when nobody else answers."""

    topic: ClassVar[str] = "risk"
    key: ClassVar[str] = "by"
    by: Id
    people: list[Id]


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


class AlertHandedOver(_AlertEvent):
    """One human asks another to be in touch instead."""

    hint: ClassVar[Hint | None] = Hint("alert", ("alert_id",), "handed_over", "alert")
    due_at: Moment
    by: Id


class AlertAcknowledged(_AlertEvent):
    """A human is on it."""

    hint: ClassVar[Hint | None] = Hint("alert", ("alert_id",), "acknowledged", None)
    by: Id


class AlertClosed(_AlertEvent):
    """The contact was made, or was found not to be needed."""

    hint: ClassVar[Hint | None] = Hint("alert", ("alert_id",), "closed", None)
    by: Id


class CheckInDue(Event):
    """It is the time at which a client wished to be reminded of the check-in.

    No open app is told. The push is one of kind ``session``, whose words are "Reminder": of the kinds that there are it
    is the only one with these words that waits for the end of quiet hours.
    """

    topic: ClassVar[str] = "risk"
    key: ClassVar[str] = "client_id"
    hint: ClassVar[Hint | None] = Hint(None, ("reminder_id",), None, "session")
    client_id: Id
    reminder_id: Id
    tell: list[Id]


class Used(Shape):
    """What was used, and on how many days since the last check-in."""

    what: Line
    days: Days = 1


class NewCheckIn(Shape):
    """How today is. Only ``id`` and ``craving`` are asked for; ``mood`` and ``confidence`` are good when high.

    ``hungry``, ``angry``, ``lonely`` and ``tired`` are HALT, which is a folk tool and not a validated one.
    """

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
    """``compared`` says how today is beside the person's own last week."""

    id: Id
    at: Moment
    band: Band
    reasons: list[Line]
    compared: list[Line]
    cards: list[Card]


class CheckInRecord(NewCheckIn):
    """A check-in as it is read back.

    ``corrects`` and ``corrected_by`` are the other check-in where one took the place of another; ``contested`` is what
    the client says against the band.
    """

    client_id: Id = ""
    band: Band = "steady"
    reasons: list[Line] = field(default_factory=list)
    compared: list[Line] = field(default_factory=list)
    corrects: Id | None = None
    corrected_by: Id | None = None
    contested: Text | None = None


class Contest(Shape):
    """Why the band is not right, in the client's own words."""

    words: Text


class CheckInPage(Shape):
    items: list[CheckInRecord]
    next: str | None


class ReminderEdit(Shape):
    """``at`` on clocks of ``timezone``, every day; ``on`` false keeps the time and reminds of nothing."""

    at: WallTime
    timezone: Zone
    on: bool


class ReminderOut(Shape):
    """``at`` and ``timezone`` are null before they are first set. ``due_at`` is when the next one is due."""

    at: WallTime | None
    timezone: Zone | None
    on: bool
    due_at: Moment | None


class AsideOut(Shape):
    """A check-in that could not be read and is kept whole. ``fields`` are the names of what was wrong; ``taken_at`` is
    when it could be read after all."""

    id: Id
    at: Moment
    fields: list[Line]
    taken_at: Moment | None


class AsidePage(Shape):
    items: list[AsideOut]
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
    contact: Contact | None
    support: list[Support]
    contested: bool


class AlertPage(Shape):
    items: list[AlertOut]
    next: str | None


class HandOver(Shape):
    """The coach or supervisor who is asked instead."""

    to: Id


class Closing(Shape):
    """How it ended; by what kind of contact, and what kinds of support it gave."""

    outcome: Outcome
    contact: Contact | None = None
    support: list[Support] = field(default_factory=list)


class Step(Shape):
    """One step in the trail of an alert. The same step again is counted, and ``last_at`` is the last time."""

    at: Moment
    last_at: Moment
    times: Count
    what: Line
    rung: Rung
    by: Id | None
    to: list[Id]


class Trail(Shape):
    items: list[Step]
    next: str | None = None


class LoadOut(Shape):
    """How much a coach is asked: open alerts, those of the last 24 hours and 7 days, and the budget of a day."""

    coach_id: Id
    on_duty: bool
    open: Count
    day: Count
    week: Count
    budget: Count
    over: bool


class Loads(Shape):
    items: list[LoadOut]
    next: str | None = None


class OnCallEdit(Shape):
    """Coaches or supervisors, all of whom are asked together."""

    people: list[Id]


class OnCallOut(OnCallEdit):
    """``supervisors`` are all there are, to choose from beside the coaches."""

    supervisors: list[Id]


class RiskOut(Shape):
    """What the latest check-in says. ``band`` is null before the first; the client and the coach see the same.

    ``answered`` is whether a human is on the open alert, and null where none is open.
    """

    client_id: Id
    band: Band | None
    reasons: list[Line]
    compared: list[Line]
    at: Moment | None
    check_in_id: Id | None
    contested: Text | None
    open_alert: Id | None
    answered: bool | None


class BandOut(Shape):
    """What a band of the score finds and costs, on the weeks that the model was fitted on.

    Of the weeks that were followed by use ``sensitivity`` is found; of the others ``specificity`` is left alone;
    ``flagged`` of all weeks are called by it, which is so many alerts a day for a coach with the caseload.
    """

    band: Band
    horizon_days: Count
    wanted_sensitivity: float
    cut: float
    sensitivity: float
    specificity: float
    flagged: float
    alerts_per_coach_day: float


class ModelOut(Shape):
    """The model behind the score. ``figures`` are as the model file has them; ``assumed`` are answers nobody fitted."""

    about: Text
    date: Date
    people: Count
    person_weeks: Count
    caseload: Count
    inputs: list[Line]
    assumed: list[Line]
    bands: list[BandOut]
    figures: Figures
