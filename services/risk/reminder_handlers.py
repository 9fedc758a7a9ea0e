"""Reminders go out when they are due."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from infra.service import to_each
from services.risk import service
from services.risk.model import Course
from services.risk.reminder_model import Reminder


@service.every(1)
def remind(moment: datetime) -> None:
    """Where two processes race, one commits and the other finds nothing due."""
    due = list(Reminder.raw().find({"due_at": {"$lte": moment}}, {"_id": 1}).limit(500))
    to_each((raw["_id"] for raw in due), partial(_ring, moment=moment))


def _ring(client_id: str, moment: datetime) -> None:
    course = Course.load(client_id)
    check_ins = [check_in.place() for check_in in course.valid()] if course else []
    is_with_a_human = course is not None and course.open_alert() is not None
    ring = partial(Reminder.ring, moment=moment, check_ins=check_ins, is_with_a_human=is_with_a_human)
    Reminder.change(client_id, ring)
