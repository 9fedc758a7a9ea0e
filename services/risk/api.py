"""Check-ins and alerts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from infra.access import NotYours, key_for
from infra.web import conflict, fingerprint, needs, page, permit, same_or_conflict, who
from schemas import risk as say
from schemas.base import now
from services.risk import service
from services.risk.alert_model import WrongState
from services.risk.aside_api import keeps_unreadable
from services.risk.asking import ladder_now
from services.risk.check_in_model import Archive, CheckIn, open_check_in, seal_check_in
from services.risk.help_api import cards_for
from services.risk.model import MOVED_FROM, Course
from services.risk.rules import Verdict
from services.risk.weighing import Weighing

api = service.api


@api.post("/check-ins")
@keeps_unreadable
@needs("client")
@api.arguments(say.NewCheckIn.Schema)
@api.response(201, say.CheckInOut.Schema)
@api.alt_response(200, schema=say.CheckInOut.Schema)
def check_in(body: say.NewCheckIn) -> Any:
    """Say how today is. The answer carries what helps now, without waiting for any other part."""
    return _take(body, lambda course, fresh, verdict: course.observe(fresh, verdict, ladder_now))


@api.post("/check-ins/<check_in_id>/correct")
@needs("client")
@api.arguments(say.NewCheckIn.Schema)
@api.response(201, say.CheckInOut.Schema)
@api.alt_response(200, schema=say.CheckInOut.Schema)
def correct(body: say.NewCheckIn, check_in_id: str) -> Any:
    """Put another check-in in the place of a recent one. Both are kept; only the new one counts."""
    before = _found(check_in_id)
    if body.at is None:
        body = replace(body, at=before.at)
    return _take(
        body, lambda course, fresh, verdict: course.correct(check_in_id, fresh, verdict, ladder_now), before.id
    )


@api.post("/check-ins/<check_in_id>/contest")
@needs("client")
@api.arguments(say.Contest.Schema)
@api.response(200, say.CheckInRecord.Schema)
def contest(body: say.Contest, check_in_id: str) -> Any:
    """Say that the band of a recent check-in is not right. The coach sees the words beside it."""
    client_id = who().person_id
    _found(check_in_id)
    sealed = service.vault.seal(client_id, f"check-ins/{check_in_id}/contest", body.words)
    moment = now()
    try:
        course = Course.change(client_id, lambda course: course.contest(check_in_id, sealed, moment))
    except WrongState as error:
        conflict(str(error))
    return open_check_in(client_id, course.check_in(check_in_id))


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


@api.get("/clients/<client_id>/risk")
@needs("care")
@api.response(200, say.RiskOut.Schema)
def show_risk(client_id: str) -> Any:
    permit(service.grants, client_id, "risk")
    course = Course.load(client_id)
    latest = course.latest() if course else None
    alert = course.open_alert() if course else None
    seen = open_check_in(client_id, latest) if latest else {}
    return {
        "client_id": client_id,
        "band": latest.band if latest else None,
        "reasons": latest.reasons if latest else [],
        "compared": latest.compared if latest else [],
        "at": latest.at if latest else None,
        "check_in_id": latest.id if latest else None,
        "contested": seen.get("contested"),
        "open_alert": alert.id if alert else None,
        "answered": alert.state == "acknowledged" if alert else None,
    }


class _Repeated(Exception):
    """The check-in was taken before."""

    def __init__(self, course: Course, before: CheckIn) -> None:
        super().__init__(before.id)
        self.course, self.before = course, before


def _take(body: say.NewCheckIn, act: Callable[[Course, CheckIn, Verdict], None], instead_of: str | None = None) -> Any:
    """Judge a check-in by what the course holds and put it in, once however often it comes."""
    client_id = who().person_id
    print_ = fingerprint(body, key_for(service.settings.secret, "fingerprint"))
    weighing = Weighing.of(client_id, body)
    fresh = seal_check_in(client_id, body, weighing.substances, print_)

    def observe(course: Course) -> None:
        if (before := course.kept_before(body.id)) is not None:
            raise _Repeated(course, before)
        act(course, fresh, weighing.verdict(course, fresh, instead_of))

    try:
        course = Course.change(client_id, observe, create=True)
    except _Repeated as repeated:
        same_or_conflict(repeated.before.fingerprint, print_)
        if instead_of is not None and repeated.before.corrects != instead_of:
            conflict("This id was used before, and not to correct this check-in.")
        return _answer(repeated.course, repeated.before), 200
    except WrongState as error:
        conflict(str(error))
    # One that came late goes where newer ones are already.
    if len(course.check_ins) > MOVED_FROM or (course.past and course.check_ins[0].id == fresh.id):
        # After the commit: what is in the archive has been told, so a repeat that is found there needs nothing more.
        Course.change(client_id, Course.trim)
    return _answer(course, fresh), 201


def _found(check_in_id: str) -> CheckIn:
    """One of the caller's check-ins, recent or not."""
    course = Course.load(who().person_id)
    found = course.kept_before(check_in_id) if course else None
    if found is None:
        raise NotYours(check_in_id)
    return found


def _answer(course: Course, kept: CheckIn) -> dict[str, Any]:
    return {
        "id": kept.id,
        "at": kept.at,
        "band": kept.band,
        "reasons": kept.reasons,
        "compared": kept.compared,
        "cards": cards_for(course, kept.band, "opioids" in kept.substances),
    }
