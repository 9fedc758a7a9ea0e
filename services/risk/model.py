"""A client's course: recent check-ins, and the alert that is open because of them.

One document a client, so that a check-in, what it means and whom it is told to are one write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from mongoengine import DictField, EmbeddedDocumentListField, ListField, StringField

from infra.ids import new_id
from infra.store import Aggregate, Raw, Store, clock_of
from schemas.risk import (
    AlertAcknowledged,
    AlertClosed,
    AlertEscalated,
    AlertHandedOver,
    AlertRaised,
    AlertWorsened,
    BandContested,
    CheckInCorrected,
    CheckInRecorded,
    Closing,
)
from services.risk import service
from services.risk.alert_model import Alert, PastAlerts, WrongState
from services.risk.check_in_model import Archive, CheckIn
from services.risk.diary_rules import Diary
from services.risk.ladder_rules import Clock, Ladder, first_rung, next_rung
from services.risk.rules import Verdict, worse

# Older check-ins move to the archive, so that a write costs the same after ten years: several at once, because moving
# them is a write too.
RECENT = 30
MOVED_FROM = 40
# How long the weeks behind a client raise no second alert once a human has looked at them: the score's own horizon.
LOOKED_AT = timedelta(days=7)
# How long a closed alert stays in the document: longer than anything that is counted by days looks back.
SETTLED = timedelta(days=30)

Asking = Callable[[], Ladder]


class Course(Aggregate):
    """How things go for one client. Its id is the client's."""

    meta: ClassVar[dict[str, Any]] = {
        "db_alias": "risk",
        "collection": "courses",
        "indexes": [
            "alerts.id",
            ("alerts.told", "alerts.state"),
            {"fields": ["alerts.next_at"], "sparse": True},
        ],
    }
    # Each ``{"id", "coach", "ended"}``, the newest first. An ended one stays: its beginning may be heard late.
    assignments = ListField(DictField())
    check_ins = EmbeddedDocumentListField(CheckIn)
    alerts = EmbeddedDocumentListField(Alert)
    # The diary of the check-ins that are in the archive.
    past = StringField()

    # -- what happens to a client

    def observe(self, check_in: CheckIn, verdict: Verdict, asking: Asking) -> None:
        """Take a check-in in, and ask a human when it is a bad one. A second bad one joins the alert that is open."""
        check_in.band, check_in.reasons, check_in.compared = verdict.band, verdict.reasons, verdict.compared
        self.check_ins = sorted([*self.check_ins, check_in], key=CheckIn.place)
        self.record(CheckInRecorded, check_in_id=check_in.id, client_id=self.id, band=verdict.band)
        self.ask_a_human(check_in.id, verdict, asking)

    def correct(self, check_in_id: str, correction: CheckIn, verdict: Verdict, asking: Asking) -> None:
        """Put a check-in in the place of another, which stays to be read. What was asked of a human is not unasked.

        Raises:
            WrongState: the other was corrected before, or is not recent.
        """
        before = self.check_in(check_in_id)
        if before.corrected_by is not None:
            raise WrongState("It was corrected already; correct the correction.")
        before.corrected_by, correction.corrects = correction.id, before.id
        self.record(
            CheckInCorrected, check_in_id=before.id, client_id=self.id, by_check_in_id=correction.id, band=verdict.band
        )
        for alert in self._open_alerts():
            if before.id in alert.causes:
                alert.note("corrected", correction.received_at, by=self.id)
        self.observe(correction, verdict, asking)

    def contest(self, check_in_id: str, sealed: bytes, moment: datetime) -> None:
        """The client says that a band is not right. It stays beside the band, for the coach to see.

        Raises:
            WrongState: the check-in is not recent.
        """
        check_in = self.check_in(check_in_id)
        check_in.contest, check_in.contested_at = sealed, moment
        self.record(BandContested, check_in_id=check_in.id, client_id=self.id)
        for alert in self._open_alerts():
            if check_in.id in alert.causes:
                alert.note("contested", moment, by=self.id)

    def assign(self, assignment_id: str, coach_id: str) -> None:
        """A coach takes the client on; the newest is asked first."""
        if all(kept["id"] != assignment_id for kept in self.assignments):
            self.assignments = [{"id": assignment_id, "coach": coach_id, "ended": False}, *self.assignments]

    def release(self, assignment_id: str, coach_id: str, moment: datetime) -> None:
        """An assignment ends. A coach who has no other is asked no more, and an open alert goes to somebody else."""
        others = [kept for kept in self.assignments if kept["id"] != assignment_id]
        self.assignments = [*others, {"id": assignment_id, "coach": coach_id, "ended": True}]
        if coach_id not in self.coaches():
            self.withdraw(coach_id, moment)

    def withdraw(self, person_id: str, moment: datetime) -> None:
        """Somebody may not see this client any more. What they were asked is asked of the next human, at once."""
        for alert in self._open_alerts():
            if person_id not in alert.told:
                continue
            alert.told = [person for person in alert.told if person != person_id]
            alert.note("withdrawn", moment, to=[person_id])
            if not alert.told or alert.acknowledged_by == person_id:
                # From the foot of the ladder: whoever is above may be the one who was taken off it.
                alert.reopen(moment)
                alert.rung = "coach" if alert.told else "nobody"

    # -- what happens to an alert

    def ask_a_human(self, cause_id: str, verdict: Verdict, asking: Asking) -> None:
        """Raise an alert for a verdict that is worse than ``watch``, or let it join the one that is open.

        Args:
            cause_id: the check-in or the assessment that the verdict is on.
            verdict: on it.
            asking: who can be asked; called once, and only when somebody is.
        """
        if not worse(verdict.band, "watch"):
            return
        alert, ladder = self.open_alert(), asking()
        if alert is not None:
            self._join(alert, cause_id, verdict, ladder.clock)
        elif not (verdict.lasting and self._looked_at(ladder.clock.moment)):
            self._raise(cause_id, verdict, ladder)

    def acknowledge(self, alert_id: str, by: str, clock: Clock) -> None:
        """``by`` is on it. Raises ``WrongState`` when somebody was first, or it is closed."""
        alert = self.alert(alert_id)
        if alert.state == "acknowledged" and alert.acknowledged_by == by:
            return
        if alert.state != "open":
            raise WrongState(f"It is {alert.state} already.")
        alert.state, alert.acknowledged_by, alert.acknowledged_at = "acknowledged", by, clock.moment
        alert.next_at = clock.look_again()
        self._ask_too(alert, by)
        alert.note("acknowledged", clock.moment, by=by)
        self._tell(AlertAcknowledged, alert, alert.told, by=by)

    def hand_over(self, alert_id: str, by: str, to: str, clock: Clock) -> None:
        """``to`` is asked instead of ``by``, with a clock of their own. Raises ``WrongState`` once it is closed."""
        alert = self.alert(alert_id)
        if alert.state == "closed":
            raise WrongState("It is closed already.")
        alert.rung = "nobody"
        self._ask_too(alert, to)
        alert.reopen(clock.due(alert.band))
        alert.note("handed_over", clock.moment, by=by, to=[to])
        self._tell(AlertHandedOver, alert, [to], due_at=alert.due_at, by=by)

    def close(self, alert_id: str, by: str, closing: Closing, moment: datetime) -> None:
        """The episode is over.

        Raises:
            WrongState: it was closed otherwise, or nobody was reached on an urgent one.
        """
        alert = self.alert(alert_id)
        if alert.state == "closed":
            before = (alert.outcome, alert.contact, list(alert.support))
            if before != (closing.outcome, closing.contact, list(closing.support)):
                raise WrongState("It is closed already.")
            return
        if alert.band == "urgent" and closing.outcome == "no_answer":
            raise WrongState("Nobody was reached. Hand it over, or close it as `emergency` once help was called.")
        alert.state, alert.next_at, alert.outcome = "closed", None, closing.outcome
        alert.contact, alert.support = closing.contact, list(closing.support)
        alert.closed_by, alert.closed_at = by, moment
        alert.note("closed", moment, by=by)
        self._tell(AlertClosed, alert, alert.told, by=by)

    def escalate(self, ladder: Ladder) -> None:
        """Ask the next human about every alert that is overdue, or all again: never nobody, if there is anybody.

        One that was acknowledged and forgotten is open again. One for which nobody is known stays due, so that it is
        given to the first human who is.
        """
        clock = ladder.clock
        for alert in self._open_alerts():
            if alert.next_at > clock.moment:
                continue
            rung, asked = next_rung(alert.rung, alert.told, self.coaches(), ladder)
            if rung == "nobody":
                continue
            forgotten = alert.acknowledged_by
            alert.reopen(clock.due(alert.band))
            alert.rung, alert.told = rung, _union(alert.told, asked)
            asked = _union([forgotten] if forgotten else [], asked)
            alert.note("asked_again" if forgotten else "asked", clock.moment, to=asked)
            self._tell(AlertEscalated, alert, asked, due_at=alert.due_at)

    # -- what there is

    def open_alert(self) -> Alert | None:
        """The episode that is not over, whether or not somebody is on it."""
        return next(iter(self._open_alerts()), None)

    def coaches(self) -> list[str]:
        """The client's own coaches, the newest first."""
        return list(dict.fromkeys(kept["coach"] for kept in self.assignments if not kept["ended"]))

    def alert(self, alert_id: str) -> Alert:
        """One that is open or was closed lately. Raises ``WrongState`` for one that is past."""
        found = next((alert for alert in self.alerts if alert.id == alert_id), None)
        if found is None:
            raise WrongState("It was closed long ago.")
        return found

    def check_in(self, check_in_id: str) -> CheckIn:
        """One of the recent ones. Raises ``WrongState`` for any other."""
        found = next((kept for kept in self.check_ins if kept.id == check_in_id), None)
        if found is None:
            raise WrongState("It is too long ago to be changed; write to your coach.")
        return found

    def kept_before(self, check_in_id: str) -> CheckIn | None:
        """The check-in of this id that is here or in the archive."""
        here = next((kept for kept in self.check_ins if kept.id == check_in_id), None)
        # Without a past nothing is in the archive, and it need not be asked.
        return here or (Archive.find(self.id, check_in_id) if self.past else None)

    def valid(self) -> list[CheckIn]:
        """The recent check-ins that were not corrected, the oldest first."""
        return [kept for kept in self.check_ins if kept.corrected_by is None]

    def latest(self) -> CheckIn | None:
        return next(iter(reversed(self.valid())), None)

    def diary(self, but: str | None = None) -> Diary:
        """What the record holds of the last ``KEPT_DAYS``, without the check-in ``but``."""
        return self.diary_of((kept for kept in self.valid() if kept.id != but), Diary.load(self.past))

    def diary_of(self, check_ins: Iterable[CheckIn], diary: Diary | None = None) -> Diary:
        """These check-ins and the contacts that came of alerts, written into a diary or a new one."""
        diary = diary or Diary()
        for entered in (*check_ins, *self.alerts):
            entered.enter(diary)
        return diary

    def trim(self) -> None:
        """Move check-ins that are not recent, and alerts that are long closed, to where the past is kept.

        Repeating it after a crash does the same again.
        """
        newest = self.check_ins[-1].place()
        old = self.check_ins[:-RECENT]
        settled = [alert for alert in self.alerts if alert.closed_at and alert.closed_at < newest - SETTLED]
        Archive.keep(self.id, old)
        PastAlerts.keep(self.id, settled)
        past = Diary.load(self.past)
        for entered in (*(kept for kept in old if kept.corrected_by is None), *settled):
            entered.enter(past)
        self.past = past.dump(until=newest.toordinal())
        self.check_ins = self.check_ins[-RECENT:]
        self.alerts = [alert for alert in self.alerts if alert not in settled]

    # -- how

    def _open_alerts(self) -> list[Alert]:
        return [alert for alert in self.alerts if alert.state != "closed"]

    def _ask_too(self, alert: Alert, person_id: str) -> None:
        """Whoever is on it is among those who may read it, on a rung from which the ladder goes on."""
        alert.told = _union(alert.told, [person_id])
        if alert.rung == "nobody":
            alert.rung = "coach" if person_id in self.coaches() else "cover"

    def _looked_at(self, moment: datetime) -> bool:
        return any(alert.closed_at and alert.closed_at > moment - LOOKED_AT for alert in self.alerts)

    def _raise(self, cause_id: str, verdict: Verdict, ladder: Ladder) -> None:
        clock = ladder.clock
        rung, asked = first_rung(self.coaches(), ladder)
        alert = Alert(
            id=new_id(),
            band=verdict.band,
            reasons=verdict.reasons,
            rung=rung,
            raised_at=clock.moment,
            next_at=clock.moment if rung == "nobody" else clock.due(verdict.band),
            told=asked,
            causes=[cause_id],
        )
        alert.note("raised", clock.moment, to=asked)
        self.alerts = [*self.alerts, alert]
        self._tell(AlertRaised, alert, asked, due_at=alert.due_at)

    def _join(self, alert: Alert, cause_id: str, verdict: Verdict, clock: Clock) -> None:
        if cause_id in alert.causes:
            return
        alert.causes = [*alert.causes, cause_id]
        alert.reasons = _union(verdict.reasons, alert.reasons)
        unseen = verdict.band == "urgent" and alert.acknowledged_by is not None
        if not (worse(verdict.band, alert.band) or verdict.pressing or unseen):
            alert.note("joined", clock.moment)
            return
        # Whoever acknowledged has not seen that it became urgent, or is so anew: the clock starts again.
        alert.band = verdict.band
        alert.reopen(clock.moment if alert.rung == "nobody" else clock.due(alert.band))
        alert.note("worsened", clock.moment, to=alert.told)
        self._tell(AlertWorsened, alert, alert.told, due_at=alert.due_at)

    def _tell(self, kind: type[Any], alert: Alert, tell: Sequence[str], **fields: Any) -> None:
        self.record(
            kind,
            alert_id=alert.id,
            client_id=self.id,
            band=alert.band,
            rung=alert.rung,
            tell=list(tell),
            **fields,
        )


def _union(told: Iterable[str], asked: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*told, *asked]))


def make_indexes(store: Store) -> None:
    """Safe to repeat."""
    store.collection("archive").create_index([("client_id", 1), ("at", -1), ("_id", -1)])


def courses(where: Raw) -> Iterator[Course]:
    """One after the other."""
    for raw in Course.raw().find(where, {"outbox": 0, "seen": 0}):
        yield Course.read(raw)


def clock_now(moment: datetime | None = None) -> Clock:
    """The deadlines of the settings at a moment, or now by the store's clock."""
    settings = service.settings
    return Clock(moment or clock_of(service.store.records), settings.alert_seconds, settings.follow_up_seconds)


service.aggregates += (Course,)
service.preparations.append(make_indexes)
