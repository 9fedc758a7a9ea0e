"""Help that is there whatever else is not: the person's own plan, numbers to call, and who is on duty.

Nothing here waits for long, and nothing that cannot be read keeps the rest from being shown.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, NamedTuple

import pymongo
from flask import request

from infra import telemetry
from infra.store import STORE_DOWN
from infra.vault import Erased, Tampered
from infra.web import needs, refuse, spoken, who
from schemas import safety as say
from schemas.base import now
from schemas.crisis import LANGUAGES, LINES
from schemas.risk import Band, Card
from services.risk import service
from services.risk.asking import on_duty
from services.risk.help_rules import Staffing, cards, help_cards, staffing
from services.risk.model import Course
from services.risk.peers_model import anybody_offers
from services.risk.plan_model import SafetyPlan

api = service.api
log_line = telemetry.logger("help")

# Whoever asks for help waits no longer than this for what could be read.
READ_SECONDS = 1.5
# For so long after a lapse with opioids was told, the words about tolerance come first.
TOLERANCE_DAYS = 28
_OF_A_LAPSE = ("id", "substances", "used_days", "at", "received_at", "corrected_by")


@api.get("/help")
@needs("self")
@api.response(200, say.HelpOut.Schema)
def get_help() -> Any:
    """What helps now. It answers also when the store is down, and says what could not be read."""
    # Whoever asks for help is not told that a region is not known.
    given, me = request.args.get("region"), who().person_id
    region = given if given in LINES else service.settings.region
    with pymongo.timeout(READ_SECONDS):
        found = _plan_of(me)
        known = None if found.state == "unreachable" else _known_of(me)
    staffed, opioids, peers = known or (None, False, False)
    # Only a client asks peers.
    peers = peers and who().role == "client"
    return {
        "cards": help_cards(region, found.plan, staffed, opioids, spoken(LANGUAGES), peers),
        "plan": found.state,
        "staffed": staffed.staffed if staffed else "unreachable",
        "coach_id": staffed.person_id if staffed and staffed.staffed == "on_duty" else None,
    }


@api.get("/crisis-lines")
@needs("public")
@api.response(200, say.CrisisLines.Schema)
def crisis_lines() -> Any:
    region = request.args.get("region", service.settings.region)
    if region not in LINES:
        refuse("region", f"Must be one of: {', '.join(LINES)}.")
    return {"items": list(LINES[region]), "next": None}


def cards_for(course: Course, band: Band, opioids: bool) -> list[Card]:
    """The cards of the answer to a bad day that was written down. Raises nothing that the store does."""
    plan, humans = None, _Humans()
    if band in ("high", "urgent"):
        with pymongo.timeout(READ_SECONDS):
            found = _plan_of(course.id)
            plan = found.plan
            humans = _Humans() if found.state == "unreachable" else _humans_of(course)
    return cards(band, opioids, service.settings.region, plan, humans.asked, spoken(LANGUAGES), humans.there)


class _Plan(NamedTuple):
    state: Literal["shown", "none", "unreachable"]
    plan: say.NewSafetyPlan | None


class _Known(NamedTuple):
    """Of somebody who asks for help: who is on duty, a lapse with opioids told lately, and peers who offered."""

    staffed: Staffing
    opioids: bool
    peers: bool


class _Humans(NamedTuple):
    """Who is asked about the alert that is open or, where none is, who is there. Neither where that is not known."""

    asked: Staffing | None = None
    there: Staffing | None = None


def _plan_of(person_id: str) -> _Plan:
    """To a coach who takes an instrument together with a client, only where the client shares it."""
    try:
        plan = SafetyPlan.load(person_id)
        words = plan.newest().opened() if plan and plan.edition and _shown_to_caller(plan) else None
    except Erased:
        return _Plan("none", None)
    except (*STORE_DOWN, Tampered) as error:
        log_line.warning("plan_unreachable", why=type(error).__name__)
        return _Plan("unreachable", None)
    if words is None or not any(words.dump().values()):
        return _Plan("none", None)
    return _Plan("shown", words)


def _shown_to_caller(plan: SafetyPlan) -> bool:
    me = who()
    shown = plan.may_read(me.person_id, partial(service.grants.allows, me.person_id, plan.id))
    if shown:
        service.grants.saw(me, [plan.id], "safety plan")
    return shown


def _known_of(person_id: str) -> _Known | None:
    """None where that cannot be read."""
    try:
        course = _course(person_id, "assignments", "past", *(f"check_ins.{name}" for name in _OF_A_LAPSE))
        there, peers = on_duty(), anybody_offers(person_id)
    except STORE_DOWN as error:
        log_line.warning("duty_unreachable", why=type(error).__name__)
        return None
    coaches, used = (course.coaches(), course.diary().used.get("opioids", set())) if course else ([], set())
    told = max(used, default=0) >= now().toordinal() - TOLERANCE_DAYS
    return _Known(staffing([*coaches, *there], there), told, peers)


def _humans_of(course: Course) -> _Humans:
    try:
        there = on_duty()
    except STORE_DOWN as error:
        log_line.warning("duty_unreachable", why=type(error).__name__)
        return _Humans()
    alert = course.open_alert()
    if alert is None:
        return _Humans(there=staffing([*course.coaches(), *there], there))
    return _Humans(asked=staffing(alert.told, there, alert.acknowledged_by))


def _course(client_id: str, *fields: str) -> Course | None:
    """As much of it as is asked for: the rest is a year of words and numbers, and somebody is waiting."""
    raw = Course.raw().find_one({"_id": client_id}, dict.fromkeys(fields, 1))
    return None if raw is None else Course.read(raw)
