"""A coach's duty, a client's asking, and the assignment that joins the two."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from mongoengine import BooleanField, DateTimeField, DictField, IntField, ListField, StringField

from infra.store import Aggregate
from schemas.base import now
from schemas.coaching import (
    CAPACITY,
    AssignmentEnded,
    AvailabilityEdit,
    ClientAssigned,
    CoachAvailabilityChanged,
    CoachWentOffDuty,
    CoachWentOnDuty,
)
from services.coaching import rules, service


class Coach(Aggregate):
    """Whether a coach answers now, for others' clients too: by own hours, and by a word that stands against them.

    ``edition`` counts the edits of hours and the like. It is what an If-Match names, so that going on and off duty in
    between, by hand or by the clock, makes no edit stale.
    """

    meta: ClassVar[dict[str, Any]] = {
        "db_alias": "coaching",
        "collection": "coaches",
        "indexes": [{"fields": ["next_change_at"], "sparse": True}],
    }
    on_duty = BooleanField(default=False)
    said = BooleanField()
    holds_until = DateTimeField()
    quiet_until = DateTimeField()
    zone = StringField(default="UTC")
    hours = DictField()
    holidays = ListField(DictField())
    capacity = IntField(default=CAPACITY)
    told_capacity = IntField(default=CAPACITY)
    edition = IntField(default=0)
    next_change_at = DateTimeField()
    back_at = DateTimeField()

    def go(self, on_duty: bool, moment: datetime) -> None:
        """Go on or off duty by one's own word. Saying it twice says it once."""
        if on_duty:
            # Whoever says "on" means it, and is disturbed.
            self.quiet_until = None
        self.said, self.holds_until = on_duty, rules.stands_until(self.duty(), on_duty, moment)

    def rest(self, until: datetime | None) -> None:
        """Not be disturbed until then; None ends it."""
        self.quiet_until = until

    def arrange(self, edit: AvailabilityEdit, moment: datetime) -> None:
        """Change the hours and the like, as far as they are given. New hours decide from now on."""
        self.edition += 1
        if edit.zone is not None:
            self.zone = edit.zone
        if edit.holidays is not None:
            self.holidays = [holiday.dump() for holiday in edit.holidays]
        if edit.capacity is not None:
            self.capacity = edit.capacity
        if edit.hours is not None and (hours := edit.hours.dump()) != self.hours:
            self.said, self.hours, self.holds_until = self.on_duty, hours, None
        elif self.holds_until is not None and self.holds_until > moment:
            self.holds_until = rules.stands_until(self.duty(), self.said, moment)

    def follow(self, moment: datetime) -> None:
        """Do what the hours say, when it is time to."""
        if self.next_change_at is not None and self.next_change_at <= moment:
            self.settle(moment)

    def settle(self, moment: datetime) -> None:
        """Tell what is different now, and note when to look again. Once a change, after all of it: others take in one
        word of a coach for each version."""
        duty = self.duty()
        on_duty, turns_at = rules.answers(duty, moment), rules.next_change(duty, moment)
        self.next_change_at = turns_at or (moment + rules.AHEAD if duty.has_hours else None)
        if self.on_duty != on_duty:
            self.on_duty = on_duty
            self.record(CoachWentOnDuty if on_duty else CoachWentOffDuty, coach_id=self.id)
        back_at = None if on_duty else turns_at
        if (self.capacity, back_at) != (self.told_capacity, self.back_at):
            self.told_capacity, self.back_at = self.capacity, back_at
            self.record(CoachAvailabilityChanged, coach_id=self.id, capacity=self.capacity, back_at=back_at)

    def duty(self) -> rules.Duty:
        """What decides whether this coach answers."""
        said = self.on_duty if self.said is None else self.said
        return rules.Duty(said, self.holds_until, self.quiet_until, self.zone, self.hours, self.holidays)


class Referral(Aggregate):
    """A client asks for a coach."""

    meta: ClassVar[dict[str, Any]] = {
        "db_alias": "coaching",
        "collection": "referrals",
        "indexes": [("client_id", "state")],
    }
    client_id = StringField(required=True)
    coach_id = StringField()
    state = StringField(default="open")
    made_at = DateTimeField(required=True)
    fingerprint = StringField(required=True)

    def take(self) -> None:
        """A coach has taken the client on."""
        self.state = "taken"


class Assignment(Aggregate):
    """A client is with a coach, until it ends."""

    meta: ClassVar[dict[str, Any]] = {
        "db_alias": "coaching",
        "collection": "assignments",
        "indexes": [("coach_id", "state"), "client_id"],
    }
    client_id = StringField(required=True)
    coach_id = StringField(required=True)
    state = StringField(default="active")
    made_at = DateTimeField(required=True)
    fingerprint = StringField(required=True)

    def begin(self) -> None:
        """Assign; call once, before the first commit."""
        self.made_at = now()
        self.record(ClientAssigned, assignment_id=self.id, client_id=self.client_id, coach_id=self.coach_id)

    def end(self) -> None:
        """End it. Repeating it changes nothing."""
        if self.state == "active":
            self.state = "ended"
            self.record(AssignmentEnded, assignment_id=self.id, client_id=self.client_id, coach_id=self.coach_id)


service.aggregates = (Coach, Referral, Assignment)
