"""An alert: an episode in which a human is asked to be in touch, and everything that was done about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mongoengine import DateTimeField, DictField, EmbeddedDocument, ListField, StringField


class WrongState(Exception):
    """The alert cannot do that now; ``str`` says why."""


class Alert(EmbeddedDocument):
    """Lives in the course of its client.

    Attributes:
        next_at: when somebody is asked next: the next human while it is open, whoever acknowledged it once it is
            acknowledged. None when it is closed.
        told: everybody who was asked, in the order in which they were.
        causes: the check-ins and assessments that it is about.
        trail: every step, the oldest first: ``{at, what, by, to, rung, times}``.
    """

    id = StringField(required=True)
    band = StringField(required=True)
    reasons = ListField(StringField())
    state = StringField(default="open")
    rung = StringField(required=True)
    raised_at = DateTimeField(required=True)
    next_at = DateTimeField()
    told = ListField(StringField())
    acknowledged_by = StringField()
    acknowledged_at = DateTimeField()
    outcome = StringField()
    contact = StringField()
    support = ListField(StringField())
    closed_by = StringField()
    closed_at = DateTimeField()
    causes = ListField(StringField())
    trail = ListField(DictField())

    @property
    def due_at(self) -> datetime | None:
        """When the next human is asked; None while somebody is on it, and once it is closed."""
        due: datetime | None = self.next_at if self.state == "open" else None
        return due

    def note(self, what: str, at: datetime, by: str | None = None, to: Sequence[str] = ()) -> None:
        """Write a step into the trail. The same step again, as in a night in which nobody answers, is counted."""
        step: dict[str, Any] = {"what": what, "by": by, "to": list(to), "rung": self.rung}
        last = self.trail[-1] if self.trail else {}
        if all(last.get(name) == value for name, value in step.items()):
            self.trail = [*self.trail[:-1], {**last, "last_at": at, "times": last["times"] + 1}]
        else:
            self.trail = [*self.trail, {**step, "at": at, "last_at": at, "times": 1}]

    def reopen(self, next_at: datetime) -> None:
        """Nobody is on it any more."""
        self.state, self.acknowledged_by, self.acknowledged_at, self.next_at = "open", None, None, next_at
