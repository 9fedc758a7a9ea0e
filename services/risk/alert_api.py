"""Alerts: who is asked, what was done, and how much is asked of whom."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from infra.access import NotYours
from infra.web import check_if_match, conflict, etag, needs, page, permit, permit_many, refuse, who
from schemas import risk as say
from services.risk import service
from services.risk.alert_model import Found, PastAlerts, WrongState
from services.risk.asking import load_of, on_duty
from services.risk.model import Course, clock_now, courses
from services.risk.on_call_model import ON_CALL, OnCall

api = service.api

MOST_ON_CALL = 20


@api.get("/alerts")
@needs("care")
@api.response(200, say.AlertPage.Schema)
def list_alerts() -> Any:
    """The alerts that the caller was asked to answer, newest first."""
    asked = page(state=("open", "acknowledged", "closed"))
    me, state = who().person_id, asked.filters.get("state")
    found = [
        Found(course.id, alert)
        for course in courses({"alerts.told": me, **({"alerts.state": state} if state else {})})
        for alert in course.alerts
        if alert.state == (state or alert.state) and (asked.after is None or alert.id < asked.after)
    ]
    past = PastAlerts.told(me, asked.after) if state in (None, "closed") else iter(())
    found = [one for one in found if _is_asked(me, one)]
    # A past one may be newer than a recent one that is still open; a page of each holds the page of both.
    found += islice((one for one in past if _is_asked(me, one)), asked.limit + 1)
    found.sort(key=lambda one: str(one.alert.id), reverse=True)
    items, following = asked.cut(found[: asked.limit + 1], lambda one: str(one.alert.id))
    permit_many(service.grants, [one.client_id for one in items], "alert")
    return {"items": [_out(one) for one in items], "next": following}


@api.get("/alerts/load")
@needs("coach|supervisor")
@api.response(200, say.Loads.Schema)
def show_load() -> Any:
    """How much is asked of every coach, for a supervisor; of oneself, for a coach. The heaviest first."""
    me = who()
    coaches = service.people.with_role("coach") if me.role == "supervisor" else [me.person_id]
    moment, there, budget = clock_now().moment, set(on_duty()), service.settings.alert_budget
    loads = {coach: load_of(coach, moment) for coach in coaches}
    items = [
        {"coach_id": coach, "on_duty": coach in there, **load._asdict(), "budget": budget, "over": load.day > budget}
        for coach, load in sorted(loads.items(), key=lambda pair: pair[1], reverse=True)
    ]
    return {"items": items}


@api.get("/alerts/<alert_id>")
@needs("care")
@api.response(200, say.AlertOut.Schema)
def show_alert(alert_id: str) -> Any:
    return _out(_found(alert_id))


@api.get("/alerts/<alert_id>/trail")
@needs("care")
@api.response(200, say.Trail.Schema)
def show_trail(alert_id: str) -> Any:
    """Every step that was taken, the oldest first."""
    return {"items": list(_found(alert_id).alert.trail)}


@api.post("/alerts/<alert_id>/acknowledge")
@needs("care")
@api.response(200, say.AlertOut.Schema)
def acknowledge(alert_id: str) -> Any:
    """The caller is on it, and the clock stops; one that is not closed later is asked about again."""
    return _act(alert_id, lambda course: course.acknowledge(alert_id, who().person_id, clock_now()))


@api.post("/alerts/<alert_id>/hand-over")
@needs("care")
@api.arguments(say.HandOver.Schema)
@api.response(200, say.AlertOut.Schema)
def hand_over(body: say.HandOver, alert_id: str) -> Any:
    """Another coach or a supervisor is asked, with a clock of their own."""

    def act(course: Course) -> None:
        # Only whoever may see the alert learns who is one.
        if body.to == who().person_id or not _answers_alerts(body.to):
            refuse("to", "Must be another coach or a supervisor.")
        course.hand_over(alert_id, who().person_id, body.to, clock_now())

    return _act(alert_id, act)


@api.post("/alerts/<alert_id>/close")
@needs("care")
@api.arguments(say.Closing.Schema)
@api.response(200, say.AlertOut.Schema)
def close(body: say.Closing, alert_id: str) -> Any:
    return _act(alert_id, lambda course: course.close(alert_id, who().person_id, body, clock_now().moment))


@api.get("/on-call")
@needs("coach|supervisor")
@api.response(200, say.OnCallOut.Schema)
def show_on_call() -> Any:
    """Who is asked when nobody else answers."""
    return _on_call(OnCall.now())


@api.put("/on-call")
@needs("supervisor")
@api.arguments(say.OnCallEdit.Schema)
@api.response(200, say.OnCallOut.Schema)
def name_on_call(body: say.OnCallEdit) -> Any:
    """Name the programme's on-call contacts: coaches or supervisors, all asked together."""
    if len(body.people) > MOST_ON_CALL or len(set(body.people)) < len(body.people):
        refuse("people", f"Must be at most {MOST_ON_CALL} people, each once.")
    for person_id in body.people:
        if not _answers_alerts(person_id):
            refuse("people", f"{person_id} is not a coach or a supervisor.")
    me = who().person_id

    def act(latest: OnCall) -> None:
        check_if_match(latest.version)
        latest.name(me, body.people)

    return _on_call(OnCall.change(ON_CALL, act, create=True))


def _on_call(kept: OnCall) -> Any:
    return {"people": kept.people, "supervisors": service.people.with_role("supervisor")}, 200, etag(kept.version)


def _answers_alerts(person_id: str) -> bool:
    return service.people.is_role(person_id, "coach") or service.people.is_role(person_id, "supervisor")


def _found(alert_id: str) -> Found:
    """The alert, for whoever was asked to answer it or cares for the client."""
    raw = Course.raw().find_one({"alerts.id": alert_id}, {"alerts": 1})
    found = PastAlerts.find(alert_id) if raw is None else Found(raw["_id"], Course.read(raw).alert(alert_id))
    # A client sees what was found at /clients/{id}/risk; the alert is the coaches' working paper.
    if found is None or who().person_id == found.client_id:
        raise NotYours(alert_id)
    permit(service.grants, found.client_id, "alert", because=_is_asked(who().person_id, found))
    return found


def _is_asked(person_id: str, found: Found) -> bool:
    """Whoever was asked may see it until it is closed; afterwards only with a grant that holds."""
    if person_id not in found.alert.told:
        return False
    return found.alert.state != "closed" or service.grants.allows(person_id, found.client_id)


def _act(alert_id: str, act: Callable[[Course], None]) -> Any:
    client_id = _found(alert_id).client_id
    try:
        course = Course.change(client_id, act)
        return _out(Found(client_id, course.alert(alert_id)))
    except WrongState as error:
        conflict(str(error))


def _out(found: Found) -> dict[str, Any]:
    alert = found.alert
    return {
        "id": alert.id,
        "client_id": found.client_id,
        "band": alert.band,
        "reasons": alert.reasons,
        "state": alert.state,
        "rung": alert.rung,
        "raised_at": alert.raised_at,
        "due_at": alert.due_at,
        "acknowledged_by": alert.acknowledged_by,
        "outcome": alert.outcome,
        "contact": alert.contact,
        "support": alert.support,
        "contested": any(step["what"] == "contested" for step in alert.trail),
    }
