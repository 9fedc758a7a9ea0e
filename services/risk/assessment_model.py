"""An assessment: what a client answered to an instrument, and what was found then."""

from __future__ import annotations

import json
from datetime import date
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from mongoengine import BinaryField, DateTimeField, DictField, IntField, ListField, StringField

from infra.store import Aggregate, Raw
from schemas.assessments import AssessmentTaken, Instrument, NewAssessment
from schemas.base import now
from services.risk import service
from services.risk.assessment_rules import Finding


class Assessment(Aggregate):
    """Kept as it was scored when it was taken: a file that changes later, or goes, changes nothing that was said."""

    meta: ClassVar[dict[str, Any]] = {
        "db_alias": "risk",
        "collection": "assessments",
        "indexes": [("client_id", "-place"), ("client_id", "instrument", "-place")],
    }
    client_id = StringField(required=True)
    taken_by = StringField(required=True)
    instrument = StringField(required=True)
    # ``version`` is the document's own.
    edition = IntField(required=True)
    variant = StringField()
    at = DateTimeField(required=True)
    received_at = DateTimeField(required=True)
    # Where it stands among the others. A phone whose clock is ahead does not hide what follows.
    place = DateTimeField(required=True)
    timezone = StringField()
    numbers = DictField(IntField())
    # Which of the numbers were given as yes or no.
    truths = ListField(StringField())
    words = BinaryField()
    scales = ListField(DictField())
    triage = StringField()
    reasons = ListField(StringField())
    fuller_screen = StringField()
    fingerprint = StringField(required=True)

    @classmethod
    def of(cls, body: NewAssessment, client_id: str, taken_by: str, asked: Instrument, found: Finding) -> Assessment:
        """An assessment that is not kept yet. Raises ``Erased`` where there are words and the client's key is gone."""
        moment = now()
        words = json.dumps(found.words)
        return cls(
            id=body.id,
            client_id=client_id,
            taken_by=taken_by,
            instrument=asked.id,
            edition=asked.version,
            variant=asked.variant,
            at=body.at or moment,
            received_at=moment,
            place=min(body.at or moment, moment),
            timezone=body.timezone,
            numbers=found.numbers,
            truths=[item.id for item in asked.items if item.kind == "yes-no" and item.id in found.numbers],
            words=service.vault.seal(client_id, f"assessments/{body.id}", words) if found.words else None,
            scales=[score.dump() for score in found.scales],
            triage=found.triage,
            reasons=found.reasons,
            fuller_screen=found.fuller_screen,
        )

    def keep(self, fingerprint: str) -> None:
        """Write it, once. Raises ``Conflict`` when there is one of this id."""
        self.fingerprint = fingerprint
        self.record(AssessmentTaken, assessment_id=self.id, client_id=self.client_id, instrument=self.instrument)
        self.commit()

    def answers(self) -> dict[str, Any]:
        """As they were given. Raises ``Erased``."""
        sealed = self.words and service.vault.open(self.client_id, f"assessments/{self.id}", self.words)
        truths = {id: bool(self.numbers[id]) for id in self.truths}
        return {**self.numbers, **truths, **(json.loads(sealed) if sealed else {})}


class Past:
    """What one client was assessed with, in days of the client's own zone.

    Attributes:
        today: in that zone.
        first_day: day 1, when the client joined; where that was never heard, that of the first assessment, or today.
    """

    def __init__(self, client_id: str, timezone: str | None) -> None:
        """``timezone`` is what the phone says; else the one of the newest assessment that has one, else UTC."""
        wanted = {"instrument": 1, "place": 1, "timezone": 1, "fuller_screen": 1}
        self._taken = list(Assessment.raw().find({"client_id": client_id}, wanted).sort("place", -1))
        known = [timezone, *(taken.get("timezone") for taken in self._taken), "UTC"]
        self._zone = ZoneInfo(next(name for name in known if name))
        self.today = now().astimezone(self._zone).date()
        joined = service.people.joined_at(client_id) or (self._taken[-1]["place"] if self._taken else now())
        self.first_day = min(joined.astimezone(self._zone).date(), self.today)

    def latest(self, instrument: str) -> date | None:
        """When any version of an instrument was taken last."""
        taken = self._newest(instrument=instrument)
        return None if taken is None else self._day(taken)

    def called_for(self, instrument: str) -> date | None:
        """Since when another's answers call for this one, which was not taken since; or None."""
        call, taken = self._newest(fuller_screen=instrument), self._newest(instrument=instrument)
        if call is None or (taken is not None and taken["place"] >= call["place"]):
            return None
        return self._day(call)

    def _newest(self, **where: str) -> Raw | None:
        return next((taken for taken in self._taken if where.items() <= taken.items()), None)

    def _day(self, taken: Raw) -> date:
        day: date = taken["place"].astimezone(self._zone).date()
        return day


service.aggregates += (Assessment,)
