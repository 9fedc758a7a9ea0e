"""A client's course: recent check-ins, and the alert that is open because of them.

One document a client, so that a check-in, what it means and whom it is told to are one write.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple

from mongoengine import (
    BinaryField,
    DateTimeField,
    DictField,
    EmbeddedDocument,
    EmbeddedDocumentListField,
    ListField,
    StringField,
)

from infra.ids import new_id
from infra.store import Aggregate, Raw, Store
from schemas.base import now
from schemas.risk import (
    AlertAcknowledged,
    AlertClosed,
    AlertEscalated,
    AlertRaised,
    AlertWorsened,
    Band,
    CheckInRecorded,
    NewCheckIn,
    Outcome,
    Rung,
)
from services.risk import service
from services.risk.rules import Verdict, worse

# Older check-ins move to the archive, so that a write costs the same after ten years.
RECENT = 60
_WORDS = ("note", "used")


class Ladder(NamedTuple):
    """Who can be asked now, in the order in which they are asked.

    Attributes:
        on_duty: coaches on duty, the least burdened first.
        supervisors: all of them.
        seconds: by band, how long each rung has.
    """

    on_duty: list[str]
    supervisors: list[str]
    seconds: Mapping[str, int]


class CheckIn(EmbeddedDocument):
    """What a client said of a day. Numbers are plain; words are sealed."""

    id = StringField(required=True)
    at = DateTimeField(required=True)
    received_at = DateTimeField(required=True)
    answers = DictField()
    words = BinaryField()
    band = StringField(required=True)
    reasons = ListField(StringField())
    opioids = StringField()
    fingerprint = StringField(required=True)

    def place(self) -> datetime:
        """Where it stands among the others. A phone whose clock is ahead does not hide the days that follow."""
        at: datetime = min(self.at, self.received_at)
        return at


class Alert(EmbeddedDocument):
    """An episode in which a human is asked to be in touch."""

    id = StringField(required=True)
    band = StringField(required=True)
    reasons = ListField(StringField())
    state = StringField(default="open")
    rung = StringField(required=True)
    raised_at = DateTimeField(required=True)
    due_at = DateTimeField()
    told = ListField(StringField())
    acknowledged_by = StringField()
    acknowledged_at = DateTimeField()
    outcome = StringField()
    closed_at = DateTimeField()
    causes = ListField(StringField())


class WrongState(Exception):
    """The alert cannot do that now; ``str`` says why."""


class Course(Aggregate):
    """How things go for one client. Its id is the client's."""

    meta: ClassVar[dict[str, Any]] = {
        "db_alias": "risk",
        "collection": "courses",
        "indexes": [
            "alerts.id",
            ("alerts.told", "alerts.state"),
            {"fields": ["alerts.due_at"], "sparse": True},
        ],
    }
    # Each ``{"id", "coach", "ended"}``, the newest first. An ended one stays: its beginning may be heard late.
    assignments = ListField(DictField())
    check_ins = EmbeddedDocumentListField(CheckIn)
    alerts = EmbeddedDocumentListField(Alert)

    # -- what happens to a client

    def observe(self, check_in: CheckIn, verdict: Verdict, ladder: Ladder) -> None:
        """Take a check-in in, and ask a human when it is a bad one. A second bad one joins the alert that is open."""
        self.check_ins = sorted([*self.check_ins, check_in], key=CheckIn.place)
        self.record(CheckInRecorded, check_in_id=check_in.id, client_id=self.id, band=verdict.band)
        self.ask_a_human(check_in.id, verdict, ladder)

    def ask_a_human(self, cause_id: str, verdict: Verdict, ladder: Ladder) -> None:
        """Raise an alert for a verdict that is worse than ``watch``, or let it join the one that is open.

        Args:
            cause_id: the check-in or the assessment that the verdict is on.
        """
        if not worse(verdict.band, "watch"):
            return
        alert = self.open_alert()
        if alert is None:
            self._raise(cause_id, verdict, ladder)
        else:
            self._join(alert, cause_id, verdict, ladder)

    def assign(self, assignment_id: str, coach_id: str) -> None:
        """A coach takes the client on; the newest is asked first."""
        if all(kept["id"] != assignment_id for kept in self.assignments):
            self.assignments = [{"id": assignment_id, "coach": coach_id, "ended": False}, *self.assignments]

    def release(self, assignment_id: str, coach_id: str) -> None:
        """An assignment ends. A coach who has no other is asked no more, and an open alert goes to somebody else."""
        others = [kept for kept in self.assignments if kept["id"] != assignment_id]
        self.assignments = [*others, {"id": assignment_id, "coach": coach_id, "ended": True}]
        alert = self.open_alert()
        if alert is None or coach_id in self.coaches() or coach_id not in alert.told:
            return
        alert.told = [person for person in alert.told if person != coach_id]
        if not alert.told or alert.acknowledged_by == coach_id:
            # Nobody is on it now: it is due at once, and the next tick asks the next human.
            alert.state, alert.acknowledged_by, alert.acknowledged_at = "open", None, None
            alert.rung, alert.due_at = alert.rung if alert.told else "nobody", now()

    # -- what happens to an alert

    def acknowledge(self, alert_id: str, by: str) -> None:
        """``by`` is on it, and the clock stops. Raises ``WrongState`` when somebody was first, or it is closed."""
        alert = self.alert(alert_id)
        if alert.state == "acknowledged" and alert.acknowledged_by == by:
            return
        if alert.state != "open":
            raise WrongState(f"It is {alert.state} already.")
        alert.state, alert.acknowledged_by, alert.acknowledged_at, alert.due_at = "acknowledged", by, now(), None
        self._tell(AlertAcknowledged, alert, alert.told, by=by)

    def close(self, alert_id: str, by: str, outcome: Outcome) -> None:
        """The episode is over. Raises ``WrongState`` when it was closed with another outcome."""
        alert = self.alert(alert_id)
        if alert.state == "closed":
            if alert.outcome != outcome:
                raise WrongState("It is closed already.")
            return
        alert.state, alert.outcome, alert.closed_at, alert.due_at = "closed", outcome, now(), None
        self._tell(AlertClosed, alert, alert.told, by=by)

    def escalate(self, moment: datetime, ladder: Ladder) -> None:
        """Ask the next human about every open alert that is overdue, or the last ones again: never nobody, if anybody.

        An alert for which nobody is known stays due, so that it is given to the first human who is.
        """
        for alert in self.alerts:
            if alert.state == "open" and alert.due_at is not None and alert.due_at <= moment:
                rung, asked = _next_rung(alert, ladder, self.coaches())
                if rung == "nobody":
                    continue
                alert.rung, alert.due_at = rung, moment + _clock(alert.band, ladder)
                alert.told = _union(alert.told, asked)
                self._tell(AlertEscalated, alert, asked, due_at=alert.due_at)

    # -- what there is

    def open_alert(self) -> Alert | None:
        """The episode that is not over, whether or not somebody is on it."""
        return next((alert for alert in self.alerts if alert.state != "closed"), None)

    def coaches(self) -> list[str]:
        """The client's own coaches, the newest first."""
        return list(dict.fromkeys(kept["coach"] for kept in self.assignments if not kept["ended"]))

    def alert(self, alert_id: str) -> Alert:
        return next(alert for alert in self.alerts if alert.id == alert_id)

    def latest(self) -> CheckIn | None:
        return self.check_ins[-1] if self.check_ins else None

    # -- how

    def _raise(self, cause_id: str, verdict: Verdict, ladder: Ladder) -> None:
        moment = now()
        rung, asked = _first_rung(self.coaches(), ladder)
        alert = Alert(
            id=new_id(),
            band=verdict.band,
            reasons=verdict.reasons,
            rung=rung,
            raised_at=moment,
            due_at=moment if rung == "nobody" else moment + _clock(verdict.band, ladder),
            told=asked,
            causes=[cause_id],
        )
        self.alerts = [*self.alerts, alert]
        self._tell(AlertRaised, alert, asked, due_at=alert.due_at)

    def _join(self, alert: Alert, cause_id: str, verdict: Verdict, ladder: Ladder) -> None:
        alert.causes = [*alert.causes, cause_id]
        if not worse(verdict.band, alert.band):
            return
        # Whoever acknowledged a high alert has not seen that it became urgent: the clock starts again.
        moment = now()
        alert.band, alert.reasons = verdict.band, verdict.reasons
        alert.state, alert.acknowledged_by, alert.acknowledged_at = "open", None, None
        alert.due_at = moment if alert.rung == "nobody" else moment + _clock(alert.band, ladder)
        self._tell(AlertWorsened, alert, alert.told, due_at=alert.due_at)

    def _tell(self, kind: type[Any], alert: Alert, tell: list[str], **fields: Any) -> None:
        self.record(
            kind,
            alert_id=alert.id,
            client_id=self.id,
            band=alert.band,
            rung=alert.rung,
            tell=list(tell),
            **fields,
        )


def _first_rung(coaches: list[str], ladder: Ladder) -> tuple[Rung, list[str]]:
    """The client's own coach is told, on duty or not: an alert overrides quiet hours, and the clock does the rest."""
    if coaches:
        return "coach", [coaches[0]]
    return _cover(ladder, [])


def _next_rung(alert: Alert, ladder: Ladder, coaches: list[str]) -> tuple[Rung, list[str]]:
    if alert.rung == "nobody":
        return _first_rung(coaches, ladder)
    if alert.rung == "coach":
        rung, asked = _cover(ladder, alert.told)
    else:
        rung, asked = _supervisors(ladder)
    # With nobody further up, those who were told are told again, until one of them answers.
    return (alert.rung, alert.told) if rung == "nobody" else (rung, asked)


def _cover(ladder: Ladder, told: list[str]) -> tuple[Rung, list[str]]:
    others = [coach for coach in ladder.on_duty if coach not in told]
    return ("cover", others[:1]) if others else _supervisors(ladder)


def _supervisors(ladder: Ladder) -> tuple[Rung, list[str]]:
    return ("supervisor", ladder.supervisors) if ladder.supervisors else ("nobody", [])


def _clock(band: Band, ladder: Ladder) -> timedelta:
    return timedelta(seconds=ladder.seconds[band])


def _union(told: list[str], asked: list[str]) -> list[str]:
    return [*told, *(person for person in asked if person not in told)]


def make_indexes(store: Store) -> None:
    """Safe to repeat."""
    store.collection("archive").create_index([("client_id", 1), ("at", -1), ("_id", -1)])


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
    def trim(cls, course: Course) -> None:
        """Move what is not recent out of the course. Repeating it after a crash does the same again."""
        for old in course.check_ins[:-RECENT]:
            key = f"{course.id}/{old.id}"
            cls.collection().replace_one(
                {"_id": key}, {"client_id": course.id, "at": old.at, "check_in": old.to_mongo()}, upsert=True
            )
        course.check_ins = course.check_ins[-RECENT:]


def seal_check_in(client_id: str, body: NewCheckIn, verdict: Verdict, opioids: bool, print_: str) -> CheckIn:
    """A check-in as it is kept: the words apart, sealed for the client."""
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
        band=verdict.band,
        reasons=verdict.reasons,
        opioids="yes" if opioids else None,
        fingerprint=print_,
    )


def open_check_in(client_id: str, kept: CheckIn) -> Raw:
    """A check-in as its owner and the coach read it. Raises ``Erased``."""
    words = json.loads(service.vault.open(client_id, f"check-ins/{kept.id}", kept.words)) if kept.words else {}
    return {
        **kept.answers,
        **words,
        "id": kept.id,
        "at": kept.at,
        "client_id": client_id,
        "band": kept.band,
        "reasons": kept.reasons,
    }


def courses(where: Raw) -> Iterator[Course]:
    """One after the other."""
    for raw in Course.raw().find(where, {"outbox": 0, "seen": 0}):
        yield Course.read(raw)


def ladder_now() -> Ladder:
    """Who can be asked at this moment."""
    on_duty = [raw["_id"] for raw in service.store.collection("duty").find({"on": True})]
    burden: Callable[[str], int] = lambda coach: Course.raw().count_documents(  # noqa: E731
        {"alerts": {"$elemMatch": {"told": coach, "state": "open"}}}
    )
    return Ladder(
        on_duty=sorted(on_duty, key=burden) if len(on_duty) > 1 else on_duty,
        supervisors=service.people.with_role("supervisor"),
        seconds=service.settings.alert_seconds,
    )


service.aggregates += (Course,)
service.preparations.append(make_indexes)
