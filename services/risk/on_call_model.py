"""Whom the programme named for when nobody else answers."""

from __future__ import annotations

from typing import Any, ClassVar

from mongoengine import ListField, StringField

from infra.store import Aggregate
from schemas.risk import OnCallNamed
from services.risk import service

# There is one rota.
ON_CALL = "on-call"


class OnCall(Aggregate):
    """The last rung: one document for the whole programme."""

    meta: ClassVar[dict[str, Any]] = {"db_alias": "risk", "collection": "on_call"}
    people = ListField(StringField())

    @classmethod
    def now(cls) -> OnCall:
        """As it is; with nobody named, an empty one of version 0."""
        return cls.load(ON_CALL) or cls(id=ON_CALL)

    def name(self, by: str, people: list[str]) -> None:
        """Name them, in the place of those named before."""
        if self.people != people:
            self.people = people
            self.record(OnCallNamed, by=by, people=people)


service.aggregates += (OnCall,)
