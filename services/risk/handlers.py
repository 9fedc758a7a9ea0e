"""What risk reacts to: who cares for whom, who is on duty, and clocks that run out."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from infra import telemetry
from infra.ids import derived_id
from infra.service import to_each
from infra.store import keep_newer
from schemas.coaching import AssignmentEnded, ClientAssigned, CoachWentOffDuty, CoachWentOnDuty
from schemas.people import GrantEnded
from services.risk import service
from services.risk.asking import ladder_now
from services.risk.model import Course, clock_now, courses


@service.on(ClientAssigned)
def know_the_coach(event: ClientAssigned) -> None:
    Course.change(
        event.client_id, lambda course: course.assign(event.assignment_id, event.coach_id), cause=event.id, create=True
    )


@service.on(AssignmentEnded)
def forget_the_coach(event: AssignmentEnded) -> None:
    moment = clock_now().moment
    Course.change(
        event.client_id,
        lambda course: course.release(event.assignment_id, event.coach_id, moment),
        cause=event.id,
        create=True,
    )


@service.on(GrantEnded)
def ask_no_more(event: GrantEnded) -> None:
    """Whoever may not see the client any more is asked no more, and the alert goes on to somebody who may."""

    def withdraw(course: Course) -> None:
        for kept in course.assignments:
            if derived_id(kept["id"], "care") == event.grant_id:
                course.release(kept["id"], event.holder_id, moment)
        alert = course.open_alert()
        if alert is not None and derived_id(alert.id, event.holder_id, "cover") == event.grant_id:
            course.withdraw(event.holder_id, moment)

    if Course.raw().find_one({"_id": event.subject_id}, {"_id": 1}) is not None:
        moment = clock_now().moment
        Course.change(event.subject_id, withdraw)


@service.on(CoachWentOnDuty, CoachWentOffDuty)
def know_who_is_on_duty(event: CoachWentOnDuty | CoachWentOffDuty) -> None:
    on = isinstance(event, CoachWentOnDuty)
    keep_newer(service.store.collection("duty"), event.coach_id, event.version, {"on": on})


@service.every(1)
def ask_the_next_human(moment: datetime) -> None:
    """Escalate what is overdue. Where two processes race, one commits and the other finds nothing overdue."""
    of_nobody: list[str] = []

    def ask(overdue: Course) -> None:
        # Asked anew for each, because the one before may have given somebody more to do.
        course = Course.change(overdue.id, partial(Course.escalate, ladder=ladder_now(moment)))
        alert = course.open_alert()
        if alert is not None and alert.rung == "nobody":
            of_nobody.append(alert.id)

    try:
        to_each(courses({"alerts.next_at": {"$lte": moment}}), ask)
    finally:
        telemetry.alerts_unrouted.set(len(of_nobody))
