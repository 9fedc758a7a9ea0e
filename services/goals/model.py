"""A goal, from proposed to completed, on which both agree; and the client's own aim, on which nobody else decides."""

from __future__ import annotations

from typing import Any, ClassVar

from mongoengine import BinaryField, DateTimeField, DictField, ListField, StringField

from infra.store import Aggregate
from schemas.base import now
from schemas.goals import AimChosen, GoalAgreed, GoalCompleted, GoalProposed, NewAim
from services.goals import service

# So many choices are kept in one document, which has room for more.
AIMS_MOST = 1000


class WrongState(Exception):
    """It cannot do that now; ``str`` says why."""


class Goal(Aggregate):
    """One goal of one client. The words are sealed for the client."""

    meta: ClassVar[dict[str, Any]] = {"db_alias": "goals", "collection": "goals", "indexes": ["client_id"]}
    client_id = StringField(required=True)
    text = BinaryField(required=True)
    state = StringField(default="proposed")
    proposed_by = StringField(required=True)
    agreed_by = StringField()
    changed_at = DateTimeField(required=True)
    fingerprint = StringField(required=True)

    def propose(self, text: str, tell: list[str]) -> None:
        """Put it into words; call once, before the first commit."""
        self._write(text)
        self.record(GoalProposed, goal_id=self.id, client_id=self.client_id, by=self.proposed_by, tell=tell)

    def reword(self, text: str) -> None:
        """Say it better, until it is agreed. Raises ``WrongState`` afterwards: what was agreed stays as it was."""
        if self.state != "proposed":
            raise WrongState("It was agreed as it stands; propose another.")
        self._write(text)

    def agree(self, by: str, tell: list[str]) -> None:
        """The other one says yes. Raises ``WrongState`` for the one who proposed it, or once it is completed."""
        if self.state == "agreed":
            return
        if self.state != "proposed":
            raise WrongState(f"It is {self.state} already.")
        if by == self.proposed_by or self.client_id not in (by, self.proposed_by):
            raise WrongState("A goal is agreed between the client and somebody else.")
        self.state, self.agreed_by, self.changed_at = "agreed", by, now()
        self.record(GoalAgreed, goal_id=self.id, client_id=self.client_id, by=by, tell=tell)

    def complete(self, by: str, tell: list[str]) -> None:
        """The client got there, and says so. Raises ``WrongState`` before it is agreed."""
        if self.state == "completed":
            return
        if self.state != "agreed":
            raise WrongState("A goal is agreed before it is completed.")
        self.state, self.changed_at = "completed", now()
        self.record(GoalCompleted, goal_id=self.id, client_id=self.client_id, by=by, tell=tell)

    def words(self) -> str:
        """The goal as it was put. Raises ``Erased``."""
        return service.vault.open(self.client_id, f"goals/{self.id}/text", self.text)

    def _write(self, text: str) -> None:
        self.text = service.vault.seal(self.client_id, f"goals/{self.id}/text", text)
        self.changed_at = now()


class Aim(Aggregate):
    """What a client aims at with their own use, now and before. Its id is the client's.

    Each choice is ``{"aim", "substances", "days_per_week", "since", "chosen_at"}``, the newest last. None is ever
    changed or dropped: an aim that was given up is a part of the way, and no counter starts from nothing.
    """

    meta: ClassVar[dict[str, Any]] = {"db_alias": "goals", "collection": "aims"}
    choices = ListField(DictField())

    def choose(self, choice: NewAim, tell: list[str]) -> None:
        """Aim at this from now on. Raises ``WrongState`` once there are ``AIMS_MOST`` choices."""
        if len(self.choices) >= AIMS_MOST:
            raise WrongState(f"It was changed {AIMS_MOST:,} times, and no more are kept.")
        self.choices = [*self.choices, {**choice.dump(), "chosen_at": now()}]
        self.record(
            AimChosen,
            client_id=self.id,
            aim=choice.aim,
            substances=choice.substances,
            days_per_week=choice.days_per_week,
            tell=tell,
        )


service.aggregates = (Goal, Aim)
