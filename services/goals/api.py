"""Proposing, agreeing and completing goals; and choosing what to aim at."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from flask import request

from infra.access import NotYours, key_for
from infra.store import Conflict
from infra.web import check_if_match, conflict, etag, fingerprint, needs, page, permit, refuse, same_or_conflict, who
from schemas import goals as say
from schemas.base import now
from services.goals import service
from services.goals.model import Aim, Goal, WrongState

api = service.api


@api.post("/goals")
@needs("care")
@api.arguments(say.NewGoal.Schema)
@api.response(201, say.GoalOut.Schema)
@api.alt_response(200, schema=say.GoalOut.Schema)
def propose(body: say.NewGoal) -> Any:
    """A client proposes for oneself; a coach for a client of the caseload."""
    client_id = _client_of(body.client_id)
    made = fingerprint(body, key_for(service.settings.secret, "fingerprint")) + who().person_id
    if (before := Goal.load(body.id)) is not None:
        return _repeat(before, made)
    permit(service.grants, client_id, "goal")
    goal = Goal(id=body.id, client_id=client_id, proposed_by=who().person_id, fingerprint=made)
    goal.propose(body.text, _others(client_id))
    try:
        goal.commit()
    except Conflict:
        return _repeat(_load(body.id), made)
    return _out(goal), 201, etag(goal.version)


@api.get("/goals")
@needs("care")
@api.response(200, say.GoalPage.Schema)
def list_goals() -> Any:
    """The caller's own goals, or those of ``client_id``."""
    asked = page(client_id=())
    client_id = asked.filters.get("client_id", who().person_id)
    permit(service.grants, client_id, "goals")
    found, following = asked.read(Goal.raw(), {"client_id": client_id})
    return {"items": [_out(Goal.read(raw)) for raw in found], "next": following}


@api.get("/goals/<goal_id>")
@needs("care")
@api.response(200, say.GoalOut.Schema)
def show_goal(goal_id: str) -> Any:
    goal = _load(goal_id)
    permit(service.grants, goal.client_id, "goal")
    return _out(goal), 200, etag(goal.version)


@api.patch("/goals/<goal_id>")
@needs("care")
@api.arguments(say.GoalEdit.Schema)
@api.response(200, say.GoalOut.Schema)
def reword(body: say.GoalEdit, goal_id: str) -> Any:
    def act(goal: Goal, _: list[str]) -> None:
        check_if_match(goal.version)
        goal.reword(body.text)

    return _act(goal_id, act)


@api.post("/goals/<goal_id>/agree")
@needs("care")
@api.response(200, say.GoalOut.Schema)
def agree(goal_id: str) -> Any:
    return _act(goal_id, lambda goal, tell: goal.agree(who().person_id, tell))


@api.post("/goals/<goal_id>/complete")
@needs("care")
@api.response(200, say.GoalOut.Schema)
def complete(goal_id: str) -> Any:
    """For the client to say: the goal is the client's own."""
    if _load(goal_id).client_id != who().person_id:
        raise NotYours(goal_id)
    return _act(goal_id, lambda goal, tell: goal.complete(who().person_id, tell))


@api.put("/sobriety")
@needs("client")
@api.arguments(say.NewAim.Schema)
@api.response(200, say.AimOut.Schema)
def choose_an_aim(body: say.NewAim) -> Any:
    """The client's own choice: no use, or less. The first needs no If-Match; a later one is an edit."""
    _check_aim(body)
    others = _others(who().person_id)

    def act(aim: Aim) -> None:
        if aim.version or request.headers.get("If-Match"):
            check_if_match(aim.version)
        aim.choose(body, others)

    try:
        aim = Aim.change(who().person_id, act, create=True)
    except WrongState as error:
        conflict(str(error))
    return _aim(aim), 200, etag(aim.version)


@api.get("/sobriety")
@needs("care")
@api.response(200, say.AimOut.Schema)
def show_aim() -> Any:
    """The caller's own aim, or that of ``client_id``."""
    client_id = page(client_id=()).filters.get("client_id", who().person_id)
    permit(service.grants, client_id, "aim")
    aim = Aim.load(client_id) or Aim(id=client_id)
    return _aim(aim), 200, etag(aim.version)


def _check_aim(body: say.NewAim) -> None:
    if not body.substances:
        refuse("substances", "At least one.")
    if len(set(body.substances)) < len(body.substances):
        refuse("substances", "Each only once.")
    if body.aim == "moderation" and body.days_per_week is None:
        refuse("days_per_week", "Needed for moderation.")
    if body.aim == "abstinence" and body.days_per_week is not None:
        refuse("days_per_week", "Goes with moderation alone.")
    # Somewhere it is tomorrow already, and the client may be there.
    if body.since is not None and date.fromisoformat(body.since) > now().date() + timedelta(days=1):
        refuse("since", "Must not be in the future.")


def _aim(aim: Aim) -> dict[str, Any]:
    nothing: dict[str, Any] = {"aim": None, "substances": [], "days_per_week": None, "since": None, "chosen_at": None}
    *before, current = aim.choices or [nothing]
    return {"client_id": aim.id, **current, "history": before[::-1]}


def _act(goal_id: str, act: Callable[[Goal, list[str]], None]) -> Any:
    goal = _load(goal_id)
    permit(service.grants, goal.client_id, "goal")
    others = _others(goal.client_id)
    try:
        goal = Goal.change(goal_id, lambda latest: act(latest, others))
    except WrongState as error:
        conflict(str(error))
    return _out(goal), 200, etag(goal.version)


def _client_of(client_id: str | None) -> str:
    """Only a client has goals; a coach says whose it would be."""
    me = who()
    if (client_id or me.person_id) == me.person_id and me.role != "client":
        raise NotYours
    return client_id or me.person_id


def _others(client_id: str) -> list[str]:
    """Everybody who is in on this client's goals, but the caller."""
    everybody = [client_id, *service.grants.holders(client_id, ("care",))]
    return [person for person in everybody if person != who().person_id]


def _repeat(before: Goal, made: str) -> Any:
    permit(service.grants, before.client_id, "goal")
    same_or_conflict(before.fingerprint, made)
    return _out(before), 200, etag(before.version)


def _load(goal_id: str) -> Goal:
    goal = Goal.load(goal_id)
    if goal is None:
        raise NotYours(goal_id)
    return goal


def _out(goal: Goal) -> dict[str, Any]:
    return {
        "id": goal.id,
        "client_id": goal.client_id,
        "text": goal.words(),
        "state": goal.state,
        "proposed_by": goal.proposed_by,
        "agreed_by": goal.agreed_by,
        "changed_at": goal.changed_at,
    }
