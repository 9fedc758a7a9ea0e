"""A client says when to be reminded."""

from __future__ import annotations

from typing import Any

from infra.web import needs, who
from schemas import risk as say
from schemas.base import now
from services.risk import service
from services.risk.reminder_model import Reminder

api = service.api


@api.get("/me/reminder")
@needs("client")
@api.response(200, say.ReminderOut.Schema)
def show_reminder() -> Any:
    return Reminder.load(who().person_id) or Reminder(id=who().person_id)


@api.put("/me/reminder")
@needs("client")
@api.arguments(say.ReminderEdit.Schema)
@api.response(200, say.ReminderOut.Schema)
def set_reminder(body: say.ReminderEdit) -> Any:
    """The client's last word, given whole; it needs no If-Match, as little as going on duty does."""
    moment = now()
    return Reminder.change(who().person_id, lambda reminder: reminder.arrange(body, moment), create=True)
