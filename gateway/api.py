"""REST under ``/v1``: what the gateway owns itself, and the way to everything else."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from urllib.parse import quote

import urllib3
from flask import Flask, Response, g, jsonify, request
from flask_limiter import Limiter, RequestLimit
from flask_limiter.util import get_remote_address
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect

from gateway.chat import Refused
from gateway.help import PATIENCE_SECONDS, asks_for_help, cards_alone, said_alone
from infra import telemetry
from infra.access import IDENTITY_SECONDS, Identity, NotYours, Tokens
from infra.settings import Settings
from infra.store import Raw
from infra.web import (
    IDENTITY_HEADER,
    REQUEST_ID_HEADER,
    RETRY_AFTER,
    Problem,
    needs,
    problem_response,
)
from schemas.catalogue import SERVICES, owner_of

log_line = telemetry.logger("gateway")

ON_DUTY = "on-duty"
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

# Generous for people, tight for guessing: only sign-ins that failed count against the second.
PER_PERSON = "3000 per minute"
# Each process counts for itself, so where there are several each allows its part.
WRONG_SIGN_INS = 10


# What of the headers passes through the door, inwards and outwards.
_ASKED = ("Content-Type", "If-Match", "Accept", "Accept-Language")
_ANSWERED = ("Content-Type", "ETag", "Retry-After", "Allow", "WWW-Authenticate")
_PATIENCE = urllib3.Timeout(connect=2, read=15)
_PATIENCE_FOR_HELP = urllib3.Timeout(total=PATIENCE_SECONDS)


class Door:
    """Forwards a request to the service that owns its path, with an identity signed for that service alone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tokens = {name: Tokens(settings.secret, name) for name in SERVICES}
        self._http = urllib3.PoolManager(num_pools=16, maxsize=64, retries=False)

    def forward(self, owner: str) -> Response:
        """The owner's answer to the current request; 503 while it is away, but to whoever asks for help."""
        headers = {name: request.headers[name] for name in _ASKED if name in request.headers}
        target, urgent = _target(), asks_for_help()
        patience = _PATIENCE_FOR_HELP if urgent else None
        try:
            answer = self.ask(owner, request.method, target, g.get("identity"), request.get_data(), headers, patience)
        except Problem:
            if not urgent:
                raise
            return jsonify(said_alone(self._settings.region))
        if urgent and answer.status >= 500:
            log_line.error("no_help", service=owner, status=answer.status)
            return jsonify(said_alone(self._settings.region))
        if owner == "risk" and answer.status == 503:
            # Its store is away, which is the same to whoever asked.
            raise self._away(owner)
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
        patience: urllib3.Timeout | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Ask a service for a person.

        Args:
            patience: for the answer, where it is another than for most.
        Raises:
            Problem: 503, with the crisis lines where it was risk that did not answer.
        """
        sent = {**(headers or {}), REQUEST_ID_HEADER: telemetry.request_id.get() or ""}
        if person is not None:
            token = self._tokens[owner].sign(person.person_id, person.role, person.session_id, IDENTITY_SECONDS)
            sent[IDENTITY_HEADER] = token
        try:
            return self._http.request(
                method, self._settings.peers[owner] + target, body=body, headers=sent, timeout=patience or _PATIENCE
            )
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

    def not_signed_in(self) -> Problem:
        """401 with why; beside it what helps, where it was help that was asked for."""
        why = g.get("identity_problem", "unauthenticated")
        problem = Problem(401, "Unauthorized", why, headers={"WWW-Authenticate": "Bearer"})
        if asks_for_help():
            problem.extra["cards"] = cards_alone(self._settings.region)
        return problem

    def _away(self, owner: str) -> Problem:
        problem = Problem(
            503,
            "Service Unavailable",
            "A part is away for a moment. Try again; what was sent under an id is not done twice.",
            headers={"Retry-After": RETRY_AFTER},
        )
        if owner == "risk":
            # Whoever asks for help must not be answered with an error alone.
            problem.extra["cards"] = cards_alone(self._settings.region)
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
        if answer.status_code == 401 and "WWW-Authenticate" in answer.headers:
            # The owner only saw that nobody is signed in; the phone has to know that its token ended.
            raise door.not_signed_in()
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


def limits(app: Flask, settings: Settings, among: int) -> None:
    """Too many requests answer 429 with ``Retry-After``; this process is one of ``among``."""

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
        f"{max(1, WRONG_SIGN_INS // among)} per minute",
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
