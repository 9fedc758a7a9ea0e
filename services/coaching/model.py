"""A coach's duty, a client's asking, and the assignment that joins the two."""

from __future__ import annotations

from typing import Any, ClassVar

from mongoengine import BooleanField, DateTimeField, StringField

from infra.store import Aggregate
from schemas.base import now
from schemas.coaching import AssignmentEnded, ClientAssigned, CoachWentOffDuty, CoachWentOnDuty
from services.coaching import service


class Coach(Aggregate):
    """Whether a coach answers now, for others' clients too."""

    meta: ClassVar[dict[str, Any]] = {"db_alias": "coaching", "collection": "coaches"}
    on_duty = BooleanField(default=False)

    def go(self, on_duty: bool) -> None:
        """Go on or off duty. Saying it twice says it once."""
        if self.on_duty != on_duty:
            self.on_duty = on_duty
            self.record(CoachWentOnDuty if on_duty else CoachWentOffDuty, coach_id=self.id)


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
