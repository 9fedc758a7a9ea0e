"""Goals that are the client's own and agreed together."""

from __future__ import annotations

from typing import ClassVar, Literal

from schemas.base import Event, Hint, Shape
from schemas.fields import Count, Date, DaysPerWeek, Id, Moment, Text
from schemas.substances import Substance

GoalState = Literal["proposed", "agreed", "completed"]
AimKind = Literal["abstinence", "moderation"]


class _GoalEvent(Event):
    topic: ClassVar[str] = "goals"
    key: ClassVar[str] = "client_id"
    goal_id: Id
    client_id: Id
    by: Id
    tell: list[Id]


class GoalProposed(_GoalEvent):
    """The client or the coach put a goal into words."""

    hint: ClassVar[Hint | None] = Hint("goal", ("goal_id",), "proposed", "goal")


class GoalAgreed(_GoalEvent):
    """The other one said yes."""

    hint: ClassVar[Hint | None] = Hint("goal", ("goal_id",), "agreed", "goal")


class GoalCompleted(_GoalEvent):
    """The client got there."""

    hint: ClassVar[Hint | None] = Hint("goal", ("goal_id",), "completed", "goal")


class AimChosen(Event):
    """A client chose what to aim at: no use, or less. It is the client's choice alone, and each one is told whole.

    No open app is told: the contract has no hint for it.
    """

    topic: ClassVar[str] = "goals"
    key: ClassVar[str] = "client_id"
    client_id: Id
    aim: AimKind
    substances: list[Substance]
    days_per_week: Count | None
    tell: list[Id]


class NewGoal(Shape):
    """A client leaves ``client_id`` out; a coach names the client whose goal it would be."""

    id: Id
    text: Text
    client_id: Id | None = None


class GoalEdit(Shape):
    text: Text


class GoalOut(Shape):
    id: Id
    client_id: Id
    text: Text
    state: GoalState
    proposed_by: Id
    agreed_by: Id | None
    changed_at: Moment


class GoalPage(Shape):
    items: list[GoalOut]
    next: str | None


class NewAim(Shape):
    """What a client aims at, of which substances. ``days_per_week`` goes with moderation: on how many of any seven days
    at most. ``since`` is the day from which it counts."""

    aim: AimKind
    substances: list[Substance]
    days_per_week: DaysPerWeek | None = None
    since: Date | None = None


class AimChoice(NewAim):
    """One that was chosen at ``chosen_at``."""

    chosen_at: Moment


class AimOut(Shape):
    """What a client aims at now; ``aim`` is null before the first choice. ``history`` are the earlier choices, the
    newest first."""

    client_id: Id
    aim: AimKind | None
    substances: list[Substance]
    days_per_week: DaysPerWeek | None
    since: Date | None
    chosen_at: Moment | None
    history: list[AimChoice]
