"""A client's own wish to be reminded of the check-in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from mongoengine import BooleanField, DateTimeField, StringField

from infra.ids import new_id
from infra.store import Aggregate
from schemas.risk import CheckInDue, ReminderEdit
from services.risk import service
from services.risk.reminder_rules import is_of_the_day, is_still_of_use, newest_by, next_after


class Reminder(Aggregate):
    """When one client is reminded. Its id is the client's; ``name`` is what a push calls it, the same every day."""

    meta: ClassVar[dict[str, Any]] = {
        "db_alias": "risk",
        "collection": "reminders",
        "indexes": [{"fields": ["due_at"], "sparse": True}],
    }
    name = StringField(default=new_id)
    at = StringField()
    timezone = StringField()
    on = BooleanField(default=False)
    due_at = DateTimeField()
    sent_at = DateTimeField()

    def arrange(self, wish: ReminderEdit, moment: datetime) -> None:
        """Be reminded at another time, or not at all."""
        self.at, self.timezone, self.on = wish.at, wish.timezone, wish.on
        self.due_at = self._next(moment) if self.on else None

    def ring(self, moment: datetime, check_ins: Sequence[datetime], is_with_a_human: bool) -> None:
        """Do what is due, if anything is, and note when the next is.

        Nothing goes out to whoever has checked in on that day already, nor while a human is asked to be in touch. Of
        several that were missed only the newest goes out, and only on its own day.

        Args:
            check_ins: the moments that the client's check-ins are about.
            is_with_a_human: there is an alert about the client that is not closed.
        """
        if self.due_at is None or self.due_at > moment:
            return
        at = newest_by(self.at, self.timezone, moment)
        done = is_of_the_day(check_ins, at, self.timezone)
        if is_still_of_use(at, self.timezone, moment) and not done and not is_with_a_human:
            self.sent_at = at
            self.record(CheckInDue, client_id=self.id, reminder_id=self.name, tell=[self.id])
        self.due_at = self._next(moment)

    def _next(self, moment: datetime) -> datetime:
        """Another one on a day that had one already is one too many."""
        at = next_after(self.at, self.timezone, moment)
        if self.sent_at is not None and is_of_the_day([self.sent_at], at, self.timezone):
            return next_after(self.at, self.timezone, at)
        return at


service.aggregates += (Reminder,)
