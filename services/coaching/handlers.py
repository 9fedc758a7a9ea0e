"""What coaching reacts to: a new coach has a place in the list before going on duty for the first time."""

from __future__ import annotations

from schemas.people import PersonJoined
from services.coaching import service
from services.coaching.model import Coach


@service.on(PersonJoined)
def give_the_coach_a_place(event: PersonJoined) -> None:
    if event.role == "coach":
        Coach.change(event.person_id, lambda coach: coach.go(coach.on_duty), cause=event.id, create=True)
