"""A check-in as it is kept: numbers in plain, words sealed; and the archive of those that are no longer recent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from mongoengine import BinaryField, DateTimeField, DictField, EmbeddedDocument, IntField, ListField, StringField

from infra.store import Raw
from schemas.base import now
from schemas.risk import NewCheckIn
from schemas.substances import Substance
from services.risk import service
from services.risk.diary_rules import Diary

_WORDS = ("note", "used")


class CheckIn(EmbeddedDocument):
    """What a client said of a day. Numbers are plain; words are sealed.

    Attributes:
        band, reasons, compared: what was found when it came.
        substances, used_days: the kinds of what was used and on how many days, when a use was told.
        corrects, corrected_by: the check-in that this one takes the place of, and the one that took this one's.
        contest: the client's own sealed words on why the band is not right.
    """

    id = StringField(required=True)
    at = DateTimeField(required=True)
    received_at = DateTimeField(required=True)
    answers = DictField()
    words = BinaryField()
    band = StringField()
    reasons = ListField(StringField())
    compared = ListField(StringField())
    substances = ListField(StringField())
    used_days = IntField()
    corrects = StringField()
    corrected_by = StringField()
    contest = BinaryField()
    contested_at = DateTimeField()
    fingerprint = StringField(required=True)

    def place(self) -> datetime:
        """Where it stands among the others. A phone whose clock is ahead does not hide the days that follow."""
        at: datetime = min(self.at, self.received_at)
        return at

    def day(self) -> int:
        """The day that it is about, counted from the year 1, in UTC."""
        return self.place().toordinal()

    def used_on(self) -> range:
        """The days on which a use was told: that of the check-in and those before it, as many as were told."""
        return range(self.day() - (self.used_days or 0) + 1, self.day() + 1)

    def enter(self, diary: Diary) -> None:
        """Write it into a diary."""
        diary.check_in(
            self.day(),
            self.substances,
            self.used_on(),
            self.answers.get("medication_taken"),
            self.answers.get("withdrawal"),
        )


def seal_check_in(client_id: str, body: NewCheckIn, substances: Sequence[Substance], print_: str) -> CheckIn:
    """A check-in as it is kept: the words apart, sealed for the client. Raises ``Erased``."""
    answers = body.dump()
    words = {name: answers.pop(name) for name in _WORDS if answers.get(name) is not None}
    moment = now()
    for name in ("id", "at", *_WORDS):
        answers.pop(name, None)
    return CheckIn(
        id=body.id,
        at=body.at or moment,
        received_at=moment,
        answers={name: value for name, value in answers.items() if value is not None},
        words=service.vault.seal(client_id, f"check-ins/{body.id}", json.dumps(words)) if words else None,
        substances=list(substances),
        used_days=body.used.days if body.used else None,
        fingerprint=print_,
    )


def open_check_in(client_id: str, kept: CheckIn) -> Raw:
    """A check-in as its owner and the coach read it. Raises ``Erased``."""
    words = json.loads(service.vault.open(client_id, f"check-ins/{kept.id}", kept.words)) if kept.words else {}
    contest = service.vault.open(client_id, f"check-ins/{kept.id}/contest", kept.contest) if kept.contest else None
    return {
        **kept.answers,
        **words,
        "id": kept.id,
        "at": kept.at,
        "client_id": client_id,
        "band": kept.band,
        "reasons": kept.reasons,
        "compared": kept.compared,
        "corrects": kept.corrects,
        "corrected_by": kept.corrected_by,
        "contested": contest,
    }


class Archive:
    """Check-ins that are no longer recent. An older one is kept there before it leaves the course."""

    @staticmethod
    def collection() -> Any:
        return service.store.collection("archive")

    @classmethod
    def find(cls, client_id: str, check_in_id: str) -> CheckIn | None:
        raw = cls.collection().find_one({"_id": f"{client_id}/{check_in_id}"})
        return None if raw is None else CheckIn._from_son(raw["check_in"])

    @classmethod
    def behind(cls, client_id: str, check_in_id: str | None, most: int, but: set[str]) -> list[CheckIn]:
        """Up to ``most``, newest first: those older than one of them, or the newest; ``but`` are left out."""
        where: Raw = {"client_id": client_id, "_id": {"$nin": [f"{client_id}/{id}" for id in but]}}
        if check_in_id is not None:
            mark = cls.collection().find_one({"_id": f"{client_id}/{check_in_id}"}, {"at": 1})
            if mark is None:
                return []
            where["$or"] = [{"at": {"$lt": mark["at"]}}, {"at": mark["at"], "_id": {"$lt": mark["_id"]}}]
        found = cls.collection().find(where).sort([("at", -1), ("_id", -1)]).limit(most)
        return [CheckIn._from_son(raw["check_in"]) for raw in found]

    @classmethod
    def everything(cls, client_id: str) -> list[CheckIn]:
        """All of a client's, in no order."""
        return [CheckIn._from_son(raw["check_in"]) for raw in cls.collection().find({"client_id": client_id})]

    @classmethod
    def keep(cls, client_id: str, old: Iterable[CheckIn]) -> None:
        """Repeating it after a crash does the same again."""
        for check_in in old:
            kept = {"client_id": client_id, "at": check_in.place(), "check_in": check_in.to_mongo()}
            cls.collection().replace_one({"_id": f"{client_id}/{check_in.id}"}, kept, upsert=True)
