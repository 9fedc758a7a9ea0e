"""What coaching reacts to: a new coach has a place in the list, and hours begin and end."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from schemas.people import PersonJoined
from services.coaching import service
from services.coaching.model import Coach


@service.on(PersonJoined)
def give_the_coach_a_place(event: PersonJoined) -> None:
    if event.role == "coach":
        Coach.change(event.person_id, lambda _: None, cause=event.id, create=True)


@service.every(1)
def follow_the_hours(moment: datetime) -> None:
    """Coaches go on and off duty by their hours. Where two processes race, one commits and the other finds it done."""
    due = Coach.raw().find({"next_change_at": {"$lte": moment}}, {"_id": 1}).limit(500)
    for raw in due:
        Coach.change(raw["_id"], partial(Coach.follow, moment=moment))
