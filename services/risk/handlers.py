"""What risk reacts to: who cares for whom, who is on duty, and clocks that run out."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from infra import telemetry
from infra.store import keep_newer
from schemas.coaching import AssignmentEnded, ClientAssigned, CoachWentOffDuty, CoachWentOnDuty
from services.risk import service
from services.risk.model import Course, courses, ladder_now


@service.on(ClientAssigned)
def know_the_coach(event: ClientAssigned) -> None:
    Course.change(
        event.client_id, lambda course: course.assign(event.assignment_id, event.coach_id), cause=event.id, create=True
    )


@service.on(AssignmentEnded)
def forget_the_coach(event: AssignmentEnded) -> None:
    Course.change(
        event.client_id, lambda course: course.release(event.assignment_id, event.coach_id), cause=event.id, create=True
    )


@service.on(CoachWentOnDuty, CoachWentOffDuty)
def know_who_is_on_duty(event: CoachWentOnDuty | CoachWentOffDuty) -> None:
    on = isinstance(event, CoachWentOnDuty)
    keep_newer(service.store.collection("duty"), event.coach_id, event.version, {"on": on})


@service.every(1)
def ask_the_next_human(moment: datetime) -> None:
    """Escalate what is overdue. Where two processes race, one commits and the other finds nothing overdue."""
    overdue = {"alerts": {"$elemMatch": {"state": "open", "due_at": {"$lte": moment}}}}
    for course in courses(overdue):
        # Asked anew for each, because the one before may have given somebody more to do.
        ladder = ladder_now()
        Course.change(course.id, partial(Course.escalate, moment=moment, ladder=ladder))
    telemetry.alerts_unrouted.set(
        Course.raw().count_documents({"alerts": {"$elemMatch": {"state": "open", "rung": "nobody"}}})
    )
