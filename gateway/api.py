"""REST under ``/v1``: what the gateway owns itself, and the way to everything else."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import urllib3
from flask import Flask, Response, g, jsonify, request
from flask_limiter import Limiter, RequestLimit
from flask_limiter.util import get_remote_address
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect

from gateway.chat import Chat, Refused
from gateway.chat_store import ChatStore, new_conversation
from gateway.live import Live
from gateway.push import keep_device, next_on_duty, taken
from infra import telemetry
from infra.access import IDENTITY_SECONDS, Identity, NotYours, Tokens, key_for
from infra.service import Service
from infra.settings import Settings
from infra.store import Raw
from infra.web import (
    IDENTITY_HEADER,
    REQUEST_ID_HEADER,
    RETRY_AFTER,
    Blueprint,
    Problem,
    conflict,
    fingerprint,
    needs,
    page,
    permit,
    problem_response,
    refuse,
    same_or_conflict,
    who,
)
from schemas import chat as say
from schemas.catalogue import SERVICES, owner_of
from schemas.crisis import crisis_cards
from schemas.fields import ID_PATTERN

log_line = telemetry.logger("gateway")

ON_DUTY = "on-duty"
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

# Generous for people, tight for guessing: only sign-ins that failed count against the second.
PER_PERSON = "3000 per minute"
WRONG_SIGN_INS = "10 per minute"


# What of the headers passes through the door, inwards and outwards.
_ASKED = ("Content-Type", "If-Match", "Accept")
_ANSWERED = ("Content-Type", "ETag", "Retry-After", "Allow", "WWW-Authenticate")


class Door:
    """Forwards a request to the service that owns its path, with an identity signed for that service alone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tokens = {name: Tokens(settings.secret, name) for name in SERVICES}
        self._http = urllib3.PoolManager(
            num_pools=16, maxsize=64, retries=False, timeout=urllib3.Timeout(connect=2, read=15)
        )

    def forward(self, owner: str) -> Response:
        """The owner's answer to the current request; 503 while it is away."""
        headers = {name: request.headers[name] for name in _ASKED if name in request.headers}
        target = _target()
        answer = self.ask(owner, request.method, target, g.get("identity"), request.get_data(), headers)
        kept = {name: answer.headers[name] for name in _ANSWERED if name in answer.headers}
        return Response(answer.data, status=answer.status, headers=kept)

    def ask(
        self,
        owner: str,
        method: str,
        target: str,
        person: Identity | None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Ask a service for a person.

        Raises:
            Problem: 503, with the crisis lines where it was risk that did not answer.
        """
        sent = {**(headers or {}), REQUEST_ID_HEADER: telemetry.request_id.get() or ""}
        if person is not None:
            token = self._tokens[owner].sign(person.person_id, person.role, person.session_id, IDENTITY_SECONDS)
            sent[IDENTITY_HEADER] = token
        try:
            return self._http.request(method, self._settings.peers[owner] + target, body=body, headers=sent)
        except urllib3.exceptions.HTTPError as error:
            log_line.warning("service_away", service=owner, why=type(error).__name__)
            raise self._away(owner) from error

    def set_duty(self, person: Identity, on: bool) -> None:
        """Ask coaching to put a coach on or off duty. Raises ``Refused`` with coaching's own status."""
        body = b'{"on_duty": true}' if on else b'{"on_duty": false}'
        json = {"Content-Type": "application/json"}
        try:
            answer = self.ask("coaching", "PUT", "/v1/me/availability", person, body, json)
        except Problem as problem:
            raise Refused(problem.code or 503, problem.title) from problem
        if answer.status != 200:
            raise Refused(answer.status, "Not done")

    def _away(self, owner: str) -> Problem:
        problem = Problem(
            503,
            "Service Unavailable",
            "A part is away for a moment. Try again; what was sent under an id is not done twice.",
            headers={"Retry-After": RETRY_AFTER},
        )
        if owner == "risk":
            # Whoever asks for help must not be answered with an error alone.
            problem.extra["cards"] = [card.dump() for card in crisis_cards(self._settings.region)]
        return problem


def _target() -> str:
    """Path and query of the current request, as the owner has to read them.

    The path was decoded to find its owner, so it is encoded again: a ``?`` that was escaped is not a query now.

    Raises:
        NotYours: for steps that would lead to another path than the one that was judged.
    """
    if {".", ".."} & set(request.path.split("/")):
        raise NotYours(request.path)
    query = request.query_string.decode("latin-1")
    return quote(request.path) + (f"?{query}" if query else "")


def chat_routes(service: Service, live: Live, store: ChatStore) -> Blueprint:
    """Conversations, messages, devices and deliveries."""
    api = Blueprint("chat", __name__)
    chat = live.chat

    @api.get("/conversations")
    @needs("care")
    @api.response(200, say.ConversationPage.Schema)
    def list_conversations() -> Any:
        asked = page()
        me = who().person_id
        live.note_activity()
        found, following = asked.cut(store.of_person(me, asked.limit, asked.after), lambda found: str(found["_id"]))
        items = [conversation for conversation in found if me in chat.readers(conversation)]
        service.grants.saw(who(), [conversation["owner"] for conversation in items], "conversations")
        g.permitted = True
        return {"items": [_shown(store, conversation) for conversation in items], "next": following}

    @api.post("/conversations")
    @needs("care")
    @api.arguments(say.NewConversation.Schema)
    @api.response(201, say.ConversationOut.Schema)
    @api.alt_response(200, schema=say.ConversationOut.Schema)
    def open_conversation(body: say.NewConversation) -> Any:
        me = who()
        made = fingerprint(body, key_for(service.settings.secret, "fingerprint")) + me.person_id
        before = store.conversation(body.id)
        if before is None:
            fresh = _on_duty(body, me, made) if body.with_ == ON_DUTY else _direct(service, body, me, made)
            if store.open(fresh):
                g.permitted = True
                live.opened(fresh)
                if len(fresh["members"]) > 1 and fresh["kind"] == "on_duty":
                    live.tell(taken({**fresh, "members": [fresh["owner"]]}, fresh["members"][1]))
                return _shown(store, fresh), 201
            before = store.conversation(body.id)
        assert before is not None
        if me.person_id not in before["members"]:
            conflict("This id is in use.")
        permit(service.grants, before["owner"], "conversation", because=before["kind"] == "on_duty")
        same_or_conflict(before["fingerprint"], made)
        return _shown(store, before), 200

    @api.get("/conversations/<conversation_id>")
    @needs("care")
    @api.response(200, say.ConversationOut.Schema)
    def show_conversation(conversation_id: str) -> Any:
        _member(chat, service, conversation_id, "conversation")
        found = store.conversation(conversation_id)
        assert found is not None
        return _shown(store, found)

    @api.get("/conversations/<conversation_id>/messages")
    @needs("care")
    @api.response(200, say.MessagePage.Schema)
    def list_messages(conversation_id: str) -> Any:
        """Ascending: those behind ``after``, or the last ones in front of ``before``."""
        limit, after, before = _range()
        _member(chat, service, conversation_id, "messages")
        if before is not None:
            found = store.before(conversation_id, before, limit)
        else:
            found = store.after(conversation_id, after, limit)
        last = store.last_seq(conversation_id)
        following = str(found[-1]["seq"]) if found and before is None and found[-1]["seq"] < last else None
        return {"items": [store.shown(message) for message in found], "next": following, "last_seq": last}

    @api.post("/conversations/<conversation_id>/messages")
    @needs("care")
    @api.arguments(say.NewMessage.Schema)
    @api.response(201, say.MessageOut.Schema)
    @api.alt_response(200, schema=say.MessageOut.Schema)
    def send_message(body: say.NewMessage, conversation_id: str) -> Any:
        try:
            message, new = chat.send(who(), conversation_id, body.client_message_id, body.text)
        except Refused as refusal:
            raise _problem(refusal) from refusal
        g.permitted = True
        return message, 201 if new else 200

    for act, read in (("delivered", False), ("read", True)):
        _cursor_route(api, live, act, read)

    @api.put("/devices/<device_id>")
    @needs("self")
    @api.arguments(say.NewDevice.Schema)
    @api.response(200, say.DeviceOut.Schema)
    def put_device(body: say.NewDevice, device_id: str) -> Any:
        if not re.fullmatch(ID_PATTERN, device_id):
            refuse("id", "Must be an id: 1 to 64 of A-Z, a-z, 0-9, '.', '_', ':' and '-'.")
        keep_device(
            who().person_id,
            device_id,
            {
                "kind": body.kind,
                "value": body.value,
                "timezone": body.timezone,
                "quiet_hours": body.quiet_hours.dump() if body.quiet_hours else None,
            },
        )
        return {"id": device_id, "kind": body.kind, "timezone": body.timezone, "quiet_hours": body.quiet_hours}

    @api.delete("/devices/<device_id>")
    @needs("self")
    @api.response(204)
    def delete_device(device_id: str) -> None:
        service.store.collection("devices").delete_one({"_id": f"{who().person_id}/{device_id}"})

    @api.get("/deliveries")
    @needs("self")
    @api.response(200, say.DeliveryPage.Schema)
    def list_deliveries() -> Any:
        """The caller's own, newest first."""
        asked = page(device=())
        where: Raw = {"person": who().person_id}
        if "device" in asked.filters:
            where["device"] = f"{who().person_id}/{asked.filters['device']}"
        found = service.store.collection("deliveries").find(where).sort([("at", -1), ("_id", -1)])
        items, following = asked.cut(list(found.limit(asked.limit + 1)), lambda delivery: str(delivery["_id"]))
        return {"items": [_delivery(delivery) for delivery in items], "next": following}

    return api


def forwarding(app: Flask, door: Door) -> None:
    """Everything else under ``/v1`` goes to its owner."""

    @app.route("/v1/<path:path>", methods=METHODS)
    @needs("public")
    def forward(path: str) -> Response:
        owner = owner_of(path)
        if owner is None:
            if allowed := _methods_of_our_own(app):
                raise MethodNotAllowed(valid_methods=allowed)
            raise NotYours(path)
        answer = door.forward(owner)
        if answer.status_code == 401 and "WWW-Authenticate" in answer.headers and g.get("identity_problem"):
            # The owner only saw that nobody is signed in; the phone has to know that its token ended.
            who()
        return answer


def _methods_of_our_own(app: Flask) -> list[str]:
    """What the gateway's own routes would take at the path of the current request."""
    adapter = app.url_map.bind_to_environ(request.environ)
    found = []
    for method in METHODS:
        try:
            rule, _ = adapter.match(method=method, return_rule=True)
        except (HTTPException, RequestRedirect):
            continue
        if rule.endpoint != "forward":
            found.append(method)
    return found


def limits(app: Flask, settings: Settings) -> None:
    """Too many requests answer 429 with ``Retry-After``."""

    def caller() -> str:
        identity: Identity | None = g.get("identity")
        return identity.person_id if identity is not None else get_remote_address()

    if not settings.rate_limits:
        return
    limiter = Limiter(caller, app=app, default_limits=[PER_PERSON], storage_uri="memory://", on_breach=_too_many)
    # The routes refer to it weakly.
    app.extensions["alongside-limiter"] = limiter
    for name in ("livez", "readyz", "metrics"):
        limiter.exempt(app.view_functions[name])
    guarded = limiter.limit(
        WRONG_SIGN_INS,
        key_func=_account_asked_for,
        exempt_when=lambda: request.path != "/v1/auth/token",
        deduct_when=lambda response: response.status_code == 401,
        override_defaults=False,
    )
    app.view_functions["forward"] = guarded(app.view_functions["forward"])  # type: ignore[assignment]


def _too_many(limit: RequestLimit) -> Response:
    seconds = max(1, math.ceil(limit.reset_at - time.time()))
    detail = "Wait a little, then try again."
    return problem_response(Problem(429, "Too Many Requests", detail, headers={"Retry-After": str(seconds)}))


def _account_asked_for() -> str:
    """Guessing at one account does not lock out others who sign in from the same address."""
    body = request.get_json(silent=True)
    login = body.get("login") if isinstance(body, dict) else None
    return f"{get_remote_address()} {str(login)[:100]}"


def documents(app: Flask, door: Door, own: Callable[[], Raw], asyncapi: Callable[[], Raw]) -> None:
    """The two documents, made from the schemas that validate: the services' own and the gateway's, as one."""

    @app.get("/v1/openapi.json")
    @needs("public")
    def describe_rest() -> Response:
        merged = own()
        for name in SERVICES:
            part = door.ask(name, "GET", "/openapi.json", None).json()
            merged["paths"].update(part["paths"])
            for kind, members in part["components"].items():
                merged["components"].setdefault(kind, {}).update(members)
        return jsonify(merged)

    @app.get("/v1/asyncapi.json")
    @needs("public")
    def describe_events() -> Response:
        return jsonify(asyncapi())


def _cursor_route(api: Blueprint, live: Live, act: str, read: bool) -> None:
    @api.post(f"/conversations/<conversation_id>/{act}", endpoint=act)
    @needs("care")
    @api.arguments(say.CursorMove.Schema)
    @api.response(204)
    def move(body: say.CursorMove, conversation_id: str) -> None:
        try:
            live.move_cursor(who(), conversation_id, body.seq, read)
        except Refused as refusal:
            raise _problem(refusal) from refusal
        g.permitted = True


def _direct(service: Service, body: say.NewConversation, me: Identity, made: str) -> Raw:
    """Between a client and somebody who holds a grant on the client, whoever of the two begins."""
    if me.role == "client":
        owner, holder = me.person_id, body.with_
    else:
        owner, holder = body.with_, me.person_id
    if not service.grants.allows(holder, owner):
        raise NotYours(body.with_)
    return new_conversation(body.id, "direct", owner, [owner, holder], False, made)


def _on_duty(body: say.NewConversation, me: Identity, made: str) -> Raw:
    """A client asks for whoever is on duty; with nobody there it waits for the first who comes."""
    if me.role != "client":
        refuse("with", "Only a client asks for whoever is on duty.")
    coach = next_on_duty()
    members = [me.person_id] if coach is None else [me.person_id, coach]
    return new_conversation(body.id, "on_duty", me.person_id, members, coach is None, made)


def _member(chat: Chat, service: Service, conversation_id: str, what: str) -> None:
    try:
        conversation = chat.conversation_for(who(), conversation_id)
    except Refused as refusal:
        raise _problem(refusal) from refusal
    permit(service.grants, conversation["owner"], what, because=True)


def _range() -> tuple[int, int, int | None]:
    """``limit``, ``after`` and ``before`` of the query. Raises ``Problem`` 422 naming the field."""
    for name, value in request.args.items():
        if name not in ("limit", "after", "before"):
            refuse(name, "Unknown field.")
        if not (value.isascii() and value.isdigit() and len(value) <= 15):
            refuse(name, "Must be a whole number.")
    limit = int(request.args.get("limit", "50"))
    if not 1 <= limit <= 200:
        refuse("limit", "Must be a whole number from 1 to 200.")
    before = request.args.get("before")
    return limit, int(request.args.get("after", "0")), None if before is None else int(before)


def _problem(refusal: Refused) -> Problem:
    title = refusal.problem["title"]
    headers = {"Retry-After": RETRY_AFTER} if refusal.status == 503 else {}
    return Problem(refusal.status, title, title, refusal.problem.get("errors"), headers)


def _shown(store: ChatStore, conversation: Raw) -> Raw:
    me = who().person_id
    return {
        "id": conversation["_id"],
        "kind": conversation["kind"],
        "with_": [member for member in conversation["members"] if member != me],
        "last_seq": store.last_seq(conversation["_id"]),
        "unread": store.unread(conversation, me),
        "cursors": {member: store.cursor(conversation, member) for member in conversation["members"]},
        "state": conversation["state"],
        "waiting_since": conversation["waiting_since"],
    }


def _delivery(delivery: Raw) -> Raw:
    return {
        "id": delivery["_id"],
        "device_id": delivery["device"].partition("/")[2],
        "kind": delivery["kind"],
        "ref": delivery["ref"],
        "state": delivery["state"],
        "why": delivery["why"],
        "at": delivery["at"],
    }
