"""Instruments over HTTP: which there are, answering one, what was answered, and what is due."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from marshmallow import RAISE

from infra.access import NotYours, key_for
from infra.store import Conflict, Raw
from infra.web import Problem, fingerprint, needs, page, permit, refuse, same_or_conflict, who
from schemas import assessments as say
from schemas.risk import Card
from services.risk import rules, service
from services.risk.asking import ladder_now
from services.risk.assessment_model import Assessment, Past
from services.risk.assessment_rules import Finding, WrongAnswers, assess, due_since
from services.risk.help_api import cards_for
from services.risk.instruments import shelf
from services.risk.model import Course

api = service.api


@api.get("/instruments")
@needs("self")
@api.response(200, say.InstrumentPage.Schema)
def list_instruments() -> Any:
    """The newest version of each, with its questions, for a phone to show."""
    asked = page()
    found = [one for one in shelf.newest() if asked.after is None or one.key > asked.after]
    items, following = asked.cut(found[: asked.limit + 1], lambda one: str(one.key))
    return {"items": items, "next": following}


@api.get("/instruments/<instrument_id>")
@needs("self")
@api.arguments(say.InstrumentQuery.Schema, location="query", unknown=RAISE)
@api.response(200, say.Instrument.Schema)
def show_instrument(query: say.InstrumentQuery, instrument_id: str) -> Any:
    """Of several versions the newest, of several variants the first, unless the query names one."""
    versions = shelf.versions(instrument_id, None if query.version is None else int(query.version))
    found = [one for one in versions if query.variant in (None, one.variant)]
    if not found:
        raise NotYours(instrument_id)
    return found[0]


@api.post("/assessments")
@needs("care")
@api.arguments(say.NewAssessment.Schema)
@api.response(201, say.AssessmentOut.Schema)
@api.alt_response(200, schema=say.AssessmentOut.Schema)
def take_assessment(body: say.NewAssessment) -> Any:
    """A client answers; or a coach asks a client of the caseload, and says whose answers they are."""
    client_id = _client_of(body.client_id)
    made = fingerprint(body, key_for(service.settings.secret, "fingerprint")) + who().person_id
    if (before := Assessment.load(body.id)) is not None:
        return _repeat(before, made)
    permit(service.grants, client_id, "assessment")
    asked = _chosen(body)
    found = _assessed(asked, body, client_id)
    fresh = Assessment.of(body, client_id, who().person_id, asked, found)
    if found.reasons:
        # Before it is kept: a process that dies in between leaves a human who was asked, and the phone sends it again.
        _ask_a_human(client_id, body.id, found.reasons)
    try:
        fresh.keep(made)
    except Conflict:
        return _repeat(_load(body.id), made)
    return _answer(fresh), 201


@api.get("/assessments")
@needs("care")
@api.response(200, say.AssessmentPage.Schema)
def list_assessments() -> Any:
    """The caller's own, or those of ``client_id``; newest first."""
    asked = page(client_id=(), instrument=())
    client_id = asked.filters.get("client_id", who().person_id)
    permit(service.grants, client_id, "assessments")
    where: Raw = {"client_id": client_id}
    if "instrument" in asked.filters:
        where["instrument"] = asked.filters["instrument"]
    if asked.after is not None:
        mark = Assessment.raw().find_one({"_id": asked.after, "client_id": client_id}, {"place": 1})
        if mark is None:
            return {"items": [], "next": None}
        where["$or"] = [{"place": {"$lt": mark["place"]}}, {"place": mark["place"], "_id": {"$lt": mark["_id"]}}]
    found = Assessment.raw().find(where, {"outbox": 0, "seen": 0}).sort([("place", -1), ("_id", -1)])
    items, following = asked.cut(list(found.limit(asked.limit + 1)), lambda raw: str(raw["_id"]))
    return {"items": [_record(Assessment.read(raw)) for raw in items], "next": following}


@api.get("/assessments/due")
@needs("care")
@api.arguments(say.DueQuery.Schema, location="query", unknown=RAISE)
@api.response(200, say.DuePage.Schema)
def list_due_assessments(query: say.DueQuery) -> Any:
    """What is due now for the caller or for ``client_id``, in the days of ``timezone``: the longest due first."""
    client_id = _client_of(query.client_id)
    permit(service.grants, client_id, "assessments")
    due = sorted(_due(client_id, query.timezone), key=lambda one: str(one["since"]))
    return {"items": due, "next": None}


@api.get("/assessments/<assessment_id>")
@needs("care")
@api.response(200, say.AssessmentRecord.Schema)
def show_assessment(assessment_id: str) -> Any:
    found = _load(assessment_id)
    permit(service.grants, found.client_id, "assessment")
    return _record(found)


def _client_of(client_id: str | None) -> str:
    """Only a client has assessments; a coach says whose it is."""
    me = who()
    if (client_id or me.person_id) == me.person_id and me.role != "client":
        raise NotYours
    return client_id or me.person_id


def _chosen(body: say.NewAssessment) -> say.Instrument:
    """The instrument that the answers are to, which is never guessed."""
    if not (versions := shelf.versions(body.instrument)):
        refuse("instrument", "There is no such instrument.")
    if not (variants := shelf.versions(body.instrument, body.version)):
        refuse("version", f"Must be one of: {', '.join(sorted({str(one.version) for one in versions}))}.")
    chosen = next((one for one in variants if one.variant == body.variant), None)
    if chosen is None:
        names = sorted(one.variant for one in variants if one.variant)
        refuse("variant", f"Must be one of: {', '.join(names)}." if names else "It has no variants.")
    return chosen


def _assessed(asked: say.Instrument, body: say.NewAssessment, client_id: str) -> Finding:
    """What the answers say. Those of a crisis ask a human also where others beside them are wrong."""
    try:
        return assess(asked, body.answers)
    except WrongAnswers as error:
        wrong = Problem(
            422, "Unprocessable Content", "Some answers do not fit their questions.", {"answers": error.problems}
        )
        if error.reasons:
            _ask_a_human(client_id, body.id, error.reasons)
            wrong.extra["cards"] = [card.dump() for card in _cards(client_id)]
        raise wrong from error


def _ask_a_human(client_id: str, assessment_id: str, reasons: list[str]) -> None:
    """Raise the alert, or let it join the one that is open, once for an assessment however often it is sent."""
    verdict = rules.Verdict("urgent", reasons, pressing=True)

    def act(course: Course) -> None:
        if all(assessment_id not in alert.causes for alert in course.alerts):
            course.ask_a_human(assessment_id, verdict, ladder_now)

    Course.change(client_id, act, create=True)


def _due(client_id: str, timezone: str | None) -> Iterator[dict[str, Any]]:
    past = Past(client_id, timezone)
    for one in shelf.newest():
        called_for = past.called_for(one.id)
        since = called_for
        if since is None and one.schedule is not None:
            since = due_since(one.schedule, past.first_day, past.latest(one.id), past.today)
        if since is not None:
            yield {
                "instrument": one.id,
                "version": one.version,
                "variant": one.variant,
                "title": one.title,
                "since": since.isoformat(),
                "because": "schedule" if called_for is None else "screen",
            }


def _load(assessment_id: str) -> Assessment:
    found = Assessment.load(assessment_id)
    if found is None:
        raise NotYours(assessment_id)
    return found


def _repeat(before: Assessment, made: str) -> Any:
    permit(service.grants, before.client_id, "assessment")
    same_or_conflict(before.fingerprint, made)
    return _answer(before), 200


def _answer(kept: Assessment) -> dict[str, Any]:
    return {**_record(kept), "cards": _cards(kept.client_id) if kept.reasons else []}


def _cards(client_id: str) -> list[Card]:
    """What helps in a crisis, for the client whom a human was asked for."""
    course = Course.load(client_id)
    return cards_for(course, "urgent", False) if course else []


def _record(kept: Assessment) -> dict[str, Any]:
    return {
        "id": kept.id,
        "client_id": kept.client_id,
        "instrument": kept.instrument,
        "version": kept.edition,
        "variant": kept.variant,
        "at": kept.at,
        "taken_by": kept.taken_by,
        "answers": kept.answers(),
        "scales": kept.scales,
        "triage": kept.triage,
        "crisis": bool(kept.reasons),
        "reasons": kept.reasons,
        "fuller_screen": kept.fuller_screen,
    }
