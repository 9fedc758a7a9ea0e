"""The safety plan: written and shared by its client, read by whom the client chose."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from flask import request

from infra.access import NotYours
from infra.vault import Erased
from infra.web import check_if_match, etag, needs, page, permit, refuse, who
from schemas import safety as say
from services.risk import service
from services.risk.plan_model import Edition, Editions, SafetyPlan, write_plan

api = service.api


@api.put("/safety-plan")
@needs("client")
@api.arguments(say.NewSafetyPlan.Schema)
@api.response(200, say.SafetyPlanOut.Schema)
@api.alt_response(201, schema=say.SafetyPlanOut.Schema)
def put_plan(body: say.NewSafetyPlan) -> Any:
    """Write the plan, or a new version of it. The first needs no If-Match; the ETag is the number of the version."""
    me = who().person_id

    def check(plan: SafetyPlan) -> None:
        if plan.edition or "If-Match" in request.headers:
            check_if_match(plan.edition)

    plan = write_plan(me, body, service.grants.holders(me), check)
    return _own(plan, plan.newest()), 200 if plan.edition > 1 else 201, etag(plan.edition)


@api.get("/safety-plan")
@needs("client")
@api.response(200, say.SafetyPlanOut.Schema)
def show_plan() -> Any:
    """The newest version, or ``?version=``."""
    plan, number = _mine(), _version()
    edition = plan.newest() if number is None else Editions.find(plan, number)
    if edition is None:
        raise NotYours(f"version {number}")
    return _own(plan, edition), 200, etag(edition.number)


@api.get("/safety-plan/versions")
@needs("client")
@api.response(200, say.PlanVersionPage.Schema)
def list_versions() -> Any:
    """All of them, the newest first."""
    asked = page()
    plan = _mine()
    below = plan.edition + 1 if asked.after is None else _number("after", asked.after)
    items, following = asked.cut(Editions.before(plan, below, asked.limit + 1), lambda edition: str(edition.number))
    return {
        "items": [{"version": edition.number, "written_at": edition.written_at} for edition in items],
        "next": following,
    }


@api.put("/safety-plan/sharing")
@needs("client")
@api.arguments(say.Sharing.Schema)
@api.response(200, say.Sharing.Schema)
def share_plan(body: say.Sharing) -> Any:
    """Choose who may read it. The last word of the client holds at once, so no If-Match is asked for."""
    me = who().person_id
    carers = service.grants.holders(me)
    plan = SafetyPlan.change(_mine().id, lambda plan: plan.share(body.coach, body.people, carers))
    return {"coach": plan.coach, "people": plan.people}


@api.get("/safety-plan/shared-with-me")
@needs("client|coach|supervisor|organiser")
@api.response(200, say.SharedPlanPage.Schema)
def list_shared_plans() -> Any:
    """The plans of those who named the caller."""
    found, following = page().read(SafetyPlan.raw(), {"people": who().person_id})
    plans = list(_readable(SafetyPlan.read(raw) for raw in found))
    service.grants.saw(who(), [plan.id for plan in plans], "shared safety plans")
    return {"items": [{"client_id": plan.id, "written_at": plan.written_at} for plan in plans], "next": following}


@api.get("/clients/<client_id>/safety-plan")
@needs("care")
@api.response(200, say.SafetyPlanOut.Schema)
def show_clients_plan(client_id: str) -> Any:
    """The newest version, for those whom the client chose."""
    me = who()
    plan = SafetyPlan.load(client_id)
    if plan is None or plan.edition == 0:
        raise NotYours(client_id)
    # An admin sees no clinical record, whoever names them.
    if me.role == "admin" or not plan.may_read(me.person_id, partial(service.grants.allows, me.person_id, client_id)):
        raise NotYours(client_id)
    permit(service.grants, client_id, "safety plan", because=True)
    if me.person_id == client_id:
        return _own(plan, plan.newest())
    return _out(plan.newest())


def _readable(plans: Iterable[SafetyPlan]) -> Iterator[SafetyPlan]:
    """Without those of people who were erased."""
    for plan in plans:
        with suppress(Erased):
            plan.newest().opened()
            yield plan


def _mine() -> SafetyPlan:
    plan = SafetyPlan.load(who().person_id)
    if plan is None or plan.edition == 0:
        raise NotYours("safety plan")
    return plan


def _version() -> int | None:
    for name in request.args:
        if name != "version":
            refuse(name, "Unknown field.")
    asked = request.args.get("version")
    return None if asked is None else _number("version", asked)


def _number(field: str, text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text, re.ASCII):
        refuse(field, "Must be the number of a version.")
    return int(text)


def _own(plan: SafetyPlan, edition: Edition) -> dict[str, Any]:
    return {**_out(edition), "sharing": {"coach": plan.coach, "people": plan.people}}


def _out(edition: Edition) -> dict[str, Any]:
    return {
        **edition.opened().dump(),
        "client_id": edition.client_id,
        "version": edition.number,
        "written_at": edition.written_at,
        "sharing": None,
    }
