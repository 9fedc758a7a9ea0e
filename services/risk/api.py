"""Check-ins and alerts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from infra.access import NotYours, key_for
from infra.web import conflict, fingerprint, needs, page, permit, permit_many, same_or_conflict, who
from schemas import risk as say
from services.risk import rules, service
from services.risk.help_api import cards_for
from services.risk.model import (
    RECENT,
    Alert,
    Archive,
    CheckIn,
    Course,
    WrongState,
    courses,
    ladder_now,
    open_check_in,
    seal_check_in,
)

api = service.api


@api.post("/check-ins")
@needs("client")
@api.arguments(say.NewCheckIn.Schema)
@api.response(201, say.CheckInOut.Schema)
@api.alt_response(200, schema=say.CheckInOut.Schema)
def check_in(body: say.NewCheckIn) -> Any:
    """Say how today is. The answer carries what helps now, without waiting for any other part."""
    client_id = who().person_id
    print_ = fingerprint(body, key_for(service.settings.secret, "fingerprint"))
    verdict = rules.judge(body)
    opioids = body.used is not None and rules.speaks_of_opioids(body.used.what)
    fresh = seal_check_in(client_id, body, verdict, opioids, print_)
    ladder = ladder_now()
    before: list[CheckIn] = []

    def observe(course: Course) -> None:
        before[:] = [kept for kept in course.check_ins if kept.id == body.id]
        if before:
            raise _Repeated
        course.observe(fresh, verdict, ladder)

    archived = Archive.find(client_id, body.id)
    if archived is not None:
        return _repeat(archived, print_)
    try:
        course = Course.change(client_id, observe, create=True)
    except _Repeated:
        return _repeat(before[0], print_)
    if len(course.check_ins) > RECENT:
        # After the commit: what is in the archive has been told, so a repeat that is found there needs nothing more.
        Course.change(client_id, Archive.trim)
    return _answer(fresh), 201


@api.get("/check-ins")
@needs("care")
@api.response(200, say.CheckInPage.Schema)
def list_check_ins() -> Any:
    """The caller's own, or those of ``client_id``; newest first."""
    asked = page(client_id=())
    client_id = asked.filters.get("client_id", who().person_id)
    permit(service.grants, client_id, "check-ins")
    course = Course.load(client_id)
    recent = list(reversed(course.check_ins)) if course else []
    after = next((place for place, kept in enumerate(recent) if kept.id == asked.after), None)
    found = recent if asked.after is None else [] if after is None else recent[after + 1 :]
    if len(found) <= asked.limit:
        in_archive = asked.after if after is None else None
        found = found + Archive.behind(client_id, in_archive, asked.limit + 1 - len(found), but={c.id for c in recent})
    items, following = asked.cut(found[: asked.limit + 1], lambda check_in: str(check_in.id))
    return {"items": [open_check_in(client_id, item) for item in items], "next": following}


@api.get("/alerts")
@needs("care")
@api.response(200, say.AlertPage.Schema)
def list_alerts() -> Any:
    """The alerts that the caller was asked to answer, newest first."""
    asked = page(state=("open", "acknowledged", "closed"))
    me = who().person_id
    mine: dict[str, Any] = {"told": me, **({"state": asked.filters["state"]} if asked.filters else {})}
    found = [
        (course, alert)
        for course in courses({"alerts": {"$elemMatch": mine}})
        for alert in course.alerts
        if alert.state == asked.filters.get("state", alert.state)
        if (asked.after is None or alert.id < asked.after) and _is_asked(me, course, alert)
    ]
    found.sort(key=lambda pair: str(pair[1].id), reverse=True)
    items, following = asked.cut(found[: asked.limit + 1], lambda pair: str(pair[1].id))
    permit_many(service.grants, [course.id for course, _ in items], "alert")
    return {"items": [_alert(course, alert) for course, alert in items], "next": following}


@api.get("/alerts/<alert_id>")
@needs("care")
@api.response(200, say.AlertOut.Schema)
def show_alert(alert_id: str) -> Any:
    course, alert = _found(alert_id)
    return _alert(course, alert)


@api.post("/alerts/<alert_id>/acknowledge")
@needs("care")
@api.response(200, say.AlertOut.Schema)
def acknowledge(alert_id: str) -> Any:
    return _act(alert_id, lambda course: course.acknowledge(alert_id, who().person_id))


@api.post("/alerts/<alert_id>/close")
@needs("care")
@api.arguments(say.Closing.Schema)
@api.response(200, say.AlertOut.Schema)
def close(body: say.Closing, alert_id: str) -> Any:
    return _act(alert_id, lambda course: course.close(alert_id, who().person_id, body.outcome))


@api.get("/clients/<client_id>/risk")
@needs("care")
@api.response(200, say.RiskOut.Schema)
def show_risk(client_id: str) -> Any:
    permit(service.grants, client_id, "risk")
    course = Course.load(client_id)
    latest = course.latest() if course else None
    alert = course.open_alert() if course else None
    return {
        "client_id": client_id,
        "band": latest.band if latest else None,
        "reasons": latest.reasons if latest else [],
        "at": latest.at if latest else None,
        "open_alert": alert.id if alert else None,
    }


class _Repeated(Exception):
    """The check-in is in the course already."""


def _repeat(before: CheckIn, print_: str) -> Any:
    same_or_conflict(before.fingerprint, print_)
    return _answer(before), 200


def _answer(kept: CheckIn) -> dict[str, Any]:
    return {
        "id": kept.id,
        "at": kept.at,
        "band": kept.band,
        "reasons": kept.reasons,
        "cards": cards_for(who().person_id, kept.band, kept.opioids is not None),
    }


def _found(alert_id: str) -> tuple[Course, Alert]:
    """The alert, for whoever was asked to answer it or cares for the client."""
    raw = Course.raw().find_one({"alerts.id": alert_id}, {"outbox": 0, "seen": 0})
    if raw is None:
        raise NotYours(alert_id)
    course = Course.read(raw)
    alert = course.alert(alert_id)
    if who().person_id == course.id:
        # A client sees what was found at /clients/{id}/risk; the alert is the coaches' working paper.
        raise NotYours(alert_id)
    permit(service.grants, course.id, "alert", because=_is_asked(who().person_id, course, alert))
    return course, alert


def _is_asked(person_id: str, course: Course, alert: Alert) -> bool:
    """Whoever was asked may see it until it is closed; afterwards only with a grant that holds."""
    if person_id not in alert.told:
        return False
    return alert.state != "closed" or service.grants.allows(person_id, course.id)


def _act(alert_id: str, act: Callable[[Course], None]) -> Any:
    course, _ = _found(alert_id)
    try:
        course = Course.change(course.id, act)
    except WrongState as error:
        conflict(str(error))
    return _alert(course, course.alert(alert_id))


def _alert(course: Course, alert: Alert) -> dict[str, Any]:
    return {
        "id": alert.id,
        "client_id": course.id,
        "band": alert.band,
        "reasons": alert.reasons,
        "state": alert.state,
        "rung": alert.rung,
        "raised_at": alert.raised_at,
        "due_at": alert.due_at,
        "acknowledged_by": alert.acknowledged_by,
        "outcome": alert.outcome,
    }
