"""Every event there is, and every topic. Adding an event to its owner's module adds it here."""

from __future__ import annotations

from schemas import alumni, assessments, chat, coaching, goals, peers, people, risk, safety
from schemas.base import Event

MODULES = (people, coaching, goals, risk, assessments, safety, peers, alumni, chat)

EVENTS: dict[str, type[Event]] = {
    thing.type_name(): thing
    for module in MODULES
    for name, thing in vars(module).items()
    if isinstance(thing, type) and issubclass(thing, Event) and thing is not Event and not name.startswith("_")
}

# Partitions bound how many processes of one service can share the work. They never change once a topic exists,
# because a key must stay where its earlier events are.
PARTITIONS = 6
TOPICS: dict[str, int] = dict.fromkeys(sorted({event.topic for event in EVENTS.values()}), PARTITIONS)

# The first segments of a path under /v1, and who answers there. The gateway forwards by this table; a test holds it
# against the routes that the services really have.
OWNERS: dict[str, str] = {
    "auth": "people",
    "me": "people",
    "people": "people",
    "grants": "people",
    "audit": "people",
    "coaches": "coaching",
    "me/availability": "coaching",
    "me/reminder": "risk",
    "caseload": "coaching",
    "referrals": "coaching",
    "assignments": "coaching",
    "me/peer-support": "risk",
    "check-ins": "risk",
    "assessments": "risk",
    "instruments": "risk",
    "alerts": "risk",
    "clients": "risk",
    "on-call": "risk",
    "reports/model": "risk",
    "help": "risk",
    "crisis-lines": "risk",
    "safety-plan": "risk",
    "goals": "goals",
    "sobriety": "goals",
    "networks": "alumni",
}
SERVICES = ("people", "coaching", "goals", "risk", "alumni")


def owner_of(path: str) -> str | None:
    """The service that answers a path, given without ``/v1/``; None where nobody does."""
    first, _, rest = path.partition("/")
    second = rest.partition("/")[0]
    return OWNERS.get(f"{first}/{second}") or OWNERS.get(first)
