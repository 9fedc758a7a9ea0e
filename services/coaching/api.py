"""Duty, referrals, assignments and the caseload."""

from __future__ import annotations

from typing import Any

from flask import request

from infra.access import NotYours, key_for
from infra.ids import derived_id
from infra.store import Conflict
from infra.web import (
    Problem,
    check_if_match,
    etag,
    fingerprint,
    needs,
    page,
    permit_many,
    refuse,
    same_or_conflict,
    who,
)
from schemas import coaching as say
from schemas.base import now
from services.coaching import rules, service
from services.coaching.model import Assignment, Coach, Referral

api = service.api

# How long an assignment waits to answer with the grants that follow from it. They come in milliseconds; when the log is
# away they come later, and the answer says so by leaving them out.
GRANTS_WITHIN_SECONDS = 3.0
# What a coach sets once for every week. Setting it is an edit; going on and off duty is not.
SETTINGS = {"zone", "hours", "holidays", "capacity"}


@api.get("/coaches")
@needs("self")
@api.response(200, say.CoachPage.Schema)
def list_coaches() -> Any:
    found, following = page().read(Coach.raw(), {}, newest_first=False)
    return {"items": [{"id": raw["_id"], "on_duty": raw["on_duty"]} for raw in found], "next": following}


@api.get("/me/availability")
@needs("coach")
@api.response(200, say.Availability.Schema)
def show_availability() -> Any:
    return _availability(Coach.load(who().person_id) or Coach(id=who().person_id))


@api.put("/me/availability")
@needs("coach")
@api.arguments(say.AvailabilityEdit.Schema)
@api.response(200, say.Availability.Schema)
def set_availability(body: say.AvailabilityEdit) -> Any:
    """What is left out stays as it is. ``on_duty`` and ``do_not_disturb_until`` are the coach's last word and need no
    If-Match; an edit of anything else does."""
    given = request.get_json().keys()
    if not given:
        refuse("on_duty", "Missing, and so is everything else that can be set.")
    _check_hours(body)
    moment = now()

    def act(coach: Coach) -> None:
        if given & SETTINGS:
            check_if_match(coach.edition)
            coach.arrange(body, moment)
        if "on_duty" in given:
            coach.go(body.on_duty, moment)
        if "do_not_disturb_until" in given:
            coach.rest(body.do_not_disturb_until)
        coach.settle(moment)

    return _availability(Coach.change(who().person_id, act, create=True))


def _check_hours(body: say.AvailabilityEdit) -> None:
    """Raises ``Problem`` 422 naming the place of each mistake."""
    errors: dict[str, Any] = {}
    if body.hours is not None and (wrong := rules.mistakes(body.hours.dump())):
        errors["hours"] = wrong
    if body.holidays is not None and (
        back := [place for place, holiday in enumerate(body.holidays) if holiday.last < holiday.first]
    ):
        errors["holidays"] = {str(place): {"last": ["Must not be before first."]} for place in back}
    if errors:
        raise Problem(422, "Unprocessable Content", "Something in the hours is not as it should be.", errors)


def _availability(coach: Coach) -> Any:
    shown = {
        "on_duty": coach.on_duty,
        "do_not_disturb_until": coach.quiet_until if coach.quiet_until and coach.quiet_until > now() else None,
        "zone": coach.zone,
        "hours": {day: coach.hours.get(day, []) for day in rules.WEEKDAYS},
        "holidays": coach.holidays,
        "capacity": coach.capacity,
        "next_change_at": rules.next_change(coach.duty(), now()),
    }
    return shown, 200, etag(coach.edition)


@api.get("/caseload")
@needs("coach")
@api.response(200, say.CaseloadPage.Schema)
def caseload() -> Any:
    """The caller's own clients, and nobody else's."""
    found, following = page().read(Assignment.raw(), {"coach_id": who().person_id, "state": "active"})
    permit_many(service.grants, [raw["client_id"] for raw in found], "caseload")
    items = [{"assignment_id": raw["_id"], "client_id": raw["client_id"], "since": raw["made_at"]} for raw in found]
    return {"items": items, "next": following}


@api.post("/referrals")
@needs("client")
@api.arguments(say.NewReferral.Schema)
@api.response(201, say.ReferralOut.Schema)
@api.alt_response(200, schema=say.ReferralOut.Schema)
def ask_for_a_coach(body: say.NewReferral) -> Any:
    made = _fingerprint(body)
    if (before := Referral.load(body.id)) is not None:
        return _repeat_of_referral(before, made)
    if body.coach_id is not None and not service.people.is_role(body.coach_id, "coach"):
        refuse("coach_id", "No such coach.")
    referral = Referral(id=body.id, client_id=who().person_id, coach_id=body.coach_id, made_at=now(), fingerprint=made)
    try:
        referral.commit()
    except Conflict:
        return _repeat_of_referral(_found(Referral.load(body.id)), made)
    return referral, 201


@api.get("/referrals")
@needs("client|coach|supervisor")
@api.response(200, say.ReferralPage.Schema)
def list_referrals() -> Any:
    """A client's own; for a coach those that name the coach or nobody; for a supervisor all that are open."""
    caller = who()
    chosen: dict[str, dict[str, Any]] = {
        "client": {"client_id": caller.person_id},
        "coach": {"state": "open", "coach_id": {"$in": [caller.person_id, None]}},
        "supervisor": {"state": "open"},
    }
    where = chosen[caller.role]
    found, following = page().read(Referral.raw(), where)
    permit_many(service.grants, [raw["client_id"] for raw in found], "referral")
    return {"items": [Referral.read(raw) for raw in found], "next": following}


@api.post("/assignments")
@needs("supervisor|coach")
@api.arguments(say.NewAssignment.Schema)
@api.response(201, say.AssignmentOut.Schema)
@api.alt_response(200, schema=say.AssignmentOut.Schema)
def assign(body: say.NewAssignment) -> Any:
    """A supervisor assigns anybody; a coach takes on a client who asked."""
    made = _fingerprint(body)
    if (before := Assignment.load(body.id)) is not None:
        return _repeat_of_assignment(before, made)
    asked = _open_referral(body.client_id, body.coach_id)
    if who().role == "coach" and (who().person_id != body.coach_id or asked is None):
        raise NotYours(body.client_id)
    if not service.people.is_role(body.client_id, "client"):
        refuse("client_id", "No such client.")
    if not service.people.is_role(body.coach_id, "coach"):
        refuse("coach_id", "No such coach.")
    assignment = Assignment(id=body.id, client_id=body.client_id, coach_id=body.coach_id, fingerprint=made)
    assignment.begin()
    try:
        assignment.commit()
    except Conflict:
        return _repeat_of_assignment(_found(Assignment.load(body.id)), made)
    if asked is not None:
        Referral.change(asked, Referral.take)
    return _with_grants(assignment), 201


@api.post("/assignments/<assignment_id>/end")
@needs("supervisor|coach|client")
@api.response(200, say.AssignmentOut.Schema)
def end_assignment(assignment_id: str) -> Any:
    """A supervisor, or either of the two."""
    assignment = _found(Assignment.load(assignment_id))
    if who().role != "supervisor" and who().person_id not in (assignment.client_id, assignment.coach_id):
        raise NotYours(assignment_id)
    return _with_grants(Assignment.change(assignment_id, Assignment.end))


def _open_referral(client_id: str, coach_id: str) -> str | None:
    """What the client asked for that this coach answers."""
    where = {"client_id": client_id, "state": "open", "coach_id": {"$in": [coach_id, None]}}
    found = Referral.raw().find_one(where, {"_id": 1})
    return None if found is None else str(found["_id"])


def _fingerprint(body: say.NewReferral | say.NewAssignment) -> str:
    return fingerprint(body, key_for(service.settings.secret, "fingerprint")) + who().person_id


def _repeat_of_referral(before: Referral, made: str) -> Any:
    same_or_conflict(before.fingerprint, made)
    return before, 200


def _repeat_of_assignment(before: Assignment, made: str) -> Any:
    same_or_conflict(before.fingerprint, made)
    return _with_grants(before), 200


def _with_grants(assignment: Assignment) -> dict[str, Any]:
    grant_id = derived_id(assignment.id, "care")
    waited = GRANTS_WITHIN_SECONDS if assignment.state == "active" else 0
    grants = [
        {
            "id": copy["_id"],
            "holder_id": copy["holder"],
            "subject_id": copy["subject"],
            "scope": copy["scope"],
            "until": copy["until"],
        }
        for copy in service.grants.wait_for([grant_id], waited)
        if not copy["ended"]
    ]
    return {
        "id": assignment.id,
        "client_id": assignment.client_id,
        "coach_id": assignment.coach_id,
        "state": assignment.state,
        "made_at": assignment.made_at,
        "grants": grants if assignment.state == "active" else [],
    }


def _found(document: Any) -> Any:
    if document is None:
        raise NotYours
    return document
