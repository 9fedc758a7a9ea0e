"""An alert: an episode in which a human is asked to be in touch, and everything that was done about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from mongoengine import DateTimeField, DictField, EmbeddedDocument, ListField, StringField

from infra.store import Raw, Store
from services.risk import service
from services.risk.diary_rules import Diary


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

    def enter(self, diary: Diary) -> None:
        """Write into a diary whether it ended in a contact; nothing while it is open."""
        if self.closed_at and self.outcome in ("talked", "messaged", "met"):
            diary.kept.add(self.closed_at.toordinal())
        elif self.closed_at and self.outcome == "no_answer":
            diary.missed.add(self.closed_at.toordinal())

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


class Found(NamedTuple):
    """An alert, and whose it is."""

    client_id: str
    alert: Alert


class PastAlerts:
    """Alerts that were closed long ago. Each is kept there before it leaves the course of its client."""

    @staticmethod
    def collection() -> Any:
        return service.store.collection("past_alerts")

    @classmethod
    def keep(cls, client_id: str, old: Iterable[Alert]) -> None:
        """Repeating it after a crash does the same again."""
        for alert in old:
            kept = {"client_id": client_id, "told": alert.told, "alert": alert.to_mongo()}
            cls.collection().replace_one({"_id": alert.id}, kept, upsert=True)

    @classmethod
    def find(cls, alert_id: str) -> Found | None:
        raw = cls.collection().find_one({"_id": alert_id})
        return None if raw is None else _read(raw)

    @classmethod
    def told(cls, person_id: str, after: str | None) -> Iterator[Found]:
        """Those that somebody was asked about, the newest first, from behind the one named ``after``."""
        where: Raw = {"told": person_id, **({"_id": {"$lt": after}} if after else {})}
        return map(_read, cls.collection().find(where).sort("_id", -1))


def _read(raw: Raw) -> Found:
    return Found(raw["client_id"], Alert._from_son(raw["alert"]))


def make_indexes(store: Store) -> None:
    """Safe to repeat."""
    store.collection("past_alerts").create_index([("told", 1), ("_id", -1)])


service.preparations.append(make_indexes)
