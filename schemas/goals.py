"""Goals that are the client's own and agreed together."""

from __future__ import annotations

from typing import ClassVar, Literal

from schemas.base import Event, Hint, Shape
from schemas.fields import Id, Moment, Text

GoalState = Literal["proposed", "agreed", "completed"]


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
