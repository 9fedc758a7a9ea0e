"""The HTTP door of every part: problem+json, request ids, limits, identity, health. Deny by default."""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, TypeVar

import flask_smorest
from flask import Flask, Request, Response, g, jsonify, request
from flask.json.provider import DefaultJSONProvider
from flask_smorest import Api
from prometheus_client import CONTENT_TYPE_LATEST
from pymongo.collection import Collection
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    InternalServerError,
    NotFound,
    RequestEntityTooLarge,
    ServiceUnavailable,
    UnprocessableEntity,
)

from infra import telemetry
from infra.access import Grants, Identity, NotSignedIn, NotYours
from infra.ids import new_id
from infra.log import LogDown
from infra.store import STORE_DOWN, Conflict, Raw
from infra.vault import Erased
from schemas.base import Shape
from schemas.fields import ID_PATTERN

log_line = telemetry.logger("web")

BODY_LIMIT = 64 * 1024
IDENTITY_HEADER = "X-Alongside-Identity"
REQUEST_ID_HEADER = "X-Request-Id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
RETRY_AFTER = "1"

V = TypeVar("V", bound=Callable[..., Any])


class Problem(HTTPException):
    """An answer of RFC 9457 that is not 2xx.

    Args:
        status: the HTTP status.
        title: the same words for the same kind of problem.
        detail: what happened this time.
        errors: by field, where a body was wrong.
        headers: to send beside it.

    Attributes:
        extra: further members of the answer.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        errors: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = status
        self.title = title
        self.detail = detail
        self.errors = errors
        self.extra: dict[str, Any] = {}
        self.headers = dict(headers or {})


def refuse(field: str, why: str) -> NoReturn:
    """Answer 422 and name the field."""
    raise Problem(422, _TITLES[422], _WRONG_FIELDS, {field: [why]})


def conflict(detail: str) -> NoReturn:
    """Answer 409."""
    raise Problem(409, "Conflict", detail)


class _Json(DefaultJSONProvider):
    """JSON as RFC 8259 has it: no NaN, and a nesting that no honest body has is a wrong body, not a crash."""

    sort_keys = False

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return self.read(s)

    @staticmethod
    def read(text: str | bytes) -> Any:
        """The value of a JSON text. Raises ``ValueError``, also for a number of more digits than anybody counts."""
        try:
            return json.loads(text, parse_constant=_no_constant)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


class _Parser(FlaskParser):
    """Reads bodies by the app's own rules of JSON; what they refuse answers 400."""

    def _raw_load_json(self, req: Request) -> Any:
        if not req.is_json:
            # Not an empty one: where no field is needed, that would be taken, and words of somebody's lost.
            raise BadRequest("Send JSON, with Content-Type: application/json.")
        try:
            return _Json.read(req.get_data(cache=True))
        except ValueError as error:
            raise BadRequest("The body is not JSON.") from error


class Blueprint(flask_smorest.Blueprint):
    """Routes of one part."""

    ARGUMENTS_PARSER = _Parser()


class _Api(Api):
    """flask-smorest's collection of routes, with our one shape of error."""

    def handle_http_exception(self, error: HTTPException) -> Response:
        return problem_response(error)


def needs(grant: str) -> Callable[[V], V]:
    """Name what a caller needs for a route. A route without it answers nobody.

    Args:
        grant: ``public``; ``self`` (any signed-in person, for what is their own); a role or several joined by ``|``;
            or ``care`` (one's own record, or a grant on the person's: the route must then call ``permit``, or nothing
            of what it found leaves).
    """

    def mark(view: V) -> V:
        @functools.wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            _check_role(grant)
            answer = view(*args, **kwargs)
            if grant == "care" and not g.get("permitted"):
                raise InternalServerError("This route asked nobody's leave, so it answers nobody.")
            return answer

        guarded.needs = grant  # type: ignore[attr-defined]
        return guarded  # type: ignore[return-value]

    return mark


def _check_role(grant: str) -> None:
    if grant == "public":
        return
    person = who()
    if grant not in ("self", "care") and person.role not in grant.split("|"):
        raise NotYours(grant)


def permit(grants: Grants, subject_id: str, what: str, because: bool = False) -> None:
    """Decide whether the caller may see the record of a person, and write the look down before anything is shown.

    Args:
        grants: the service's copy.
        subject_id: whom the record is about.
        what: the record, in a word or two, for the audit ledger.
        because: another reason that holds without a grant, such as being named in the alert.
    Raises:
        NotYours: neither one's own, nor a grant, nor another reason.
    """
    if because:
        grants.saw(who(), [subject_id], what)
    else:
        grants.look(who(), subject_id, what)
    g.permitted = True


def permit_many(grants: Grants, subject_ids: Iterable[str], what: str) -> None:
    """Write down that a list shows these people's records; the list itself was chosen by what the caller may see."""
    grants.saw(who(), subject_ids, what)
    g.permitted = True


def who() -> Identity:
    """The signed-in person.

    Raises:
        NotSignedIn: there is none.
    """
    identity: Identity | None = g.get("identity")
    if identity is None:
        raise NotSignedIn(g.get("identity_problem", "unauthenticated"))
    return identity


def spoken(known: Container[str]) -> str:
    """The language of ``known`` that the caller likes best, whatever the region; English where there is none."""
    for tag, quality in request.accept_languages:
        if quality > 0 and (language := tag.partition("-")[0].lower()) in known:
            return language
    return "en"


def make_app(name: str, identify: Callable[[], Identity | None], answers: Callable[[], Mapping[str, str]]) -> Flask:
    """A Flask app with everything that every part has.

    Args:
        name: of the part.
        identify: reads the caller's identity from the request; None where it carries none.
        answers: each dependency by name with ``ok`` or what is wrong, for ``/readyz``.
    """
    app = Flask(name, static_folder=None)
    app.json = _Json(app)
    app.config.update(
        API_TITLE=f"Alongside {name}",
        API_VERSION="v1",
        OPENAPI_VERSION="3.1.0",
        MAX_CONTENT_LENGTH=BODY_LIMIT + 1,
        PROPAGATE_EXCEPTIONS=False,
    )
    _open_requests(app, identify)
    _health(app, answers)
    for kind in (HTTPException, NotSignedIn, NotYours, Conflict, Erased, LogDown, *STORE_DOWN, Exception):
        app.register_error_handler(kind, problem_response)
    app.extensions["alongside-api"] = _Api(app)
    return app


def api_of(app: Flask) -> Api:
    """Where a part registers its Blueprints."""
    return app.extensions["alongside-api"]


def openapi(app: Flask) -> dict[str, Any]:
    """The OpenAPI document of the routes, generated from the schemas that validate, each with what it needs."""
    document: dict[str, Any] = api_of(app).spec.to_dict()
    components = document.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _PROBLEM_SCHEMA
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    components.pop("responses", None)
    components["schemas"].pop("Error", None)
    components["schemas"].pop("PaginationMetadata", None)
    for rule in app.url_map.iter_rules():
        operations = document["paths"].get(re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule), {})
        for method in (rule.methods or set()) & {name.upper() for name in operations}:
            _describe(operations[method.lower()], app.view_functions[rule.endpoint])
    return document


def _describe(operation: dict[str, Any], view: Any) -> None:
    operation["x-needs"] = view.needs
    if view.needs != "public":
        operation["security"] = [{"bearer": []}]
    kept = {status: answer for status, answer in operation["responses"].items() if status[0] == "2"}
    operation["responses"] = {**kept, "default": _PROBLEM_ANSWER}


_PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": ["string", "null"]},
        "errors": {"type": "object"},
        "set_aside": {"type": "string", "description": "What was refused is kept whole under this id."},
    },
}
_PROBLEM_ANSWER = {
    "description": "A problem (RFC 9457).",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def _open_requests(app: Flask, identify: Callable[[], Identity | None]) -> None:
    @app.before_request
    def begin() -> None:
        given = request.headers.get(REQUEST_ID_HEADER, "")
        telemetry.request_id.set(given if _REQUEST_ID.fullmatch(given) else new_id())
        g.started = time.perf_counter()
        try:
            g.identity = identify()
        except NotSignedIn as problem:
            g.identity_problem = problem.code

    @app.before_request
    def refuse_long_bodies() -> None:
        length = request.content_length
        if length is None:
            # In chunks. What is beyond the limit is cut off in silence, so the limit is one more than is allowed.
            length = len(request.get_data())
        if length > BODY_LIMIT:
            raise RequestEntityTooLarge

    @app.before_request
    def deny_by_default() -> None:
        view = app.view_functions.get(request.endpoint or "")
        if view is not None and not hasattr(view, "needs"):
            raise InternalServerError("This route names no grant, so it answers nobody.")

    @app.after_request
    def end(response: Response) -> Response:
        response.headers[REQUEST_ID_HEADER] = telemetry.request_id.get() or ""
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault("Cache-Control", "no-store")
        route = str(request.url_rule) if request.url_rule else "(none)"
        seconds = time.perf_counter() - g.get("started", time.perf_counter())
        telemetry.requests.labels(request.method, route, str(response.status_code)).observe(seconds)
        return response


def _health(app: Flask, answers: Callable[[], Mapping[str, str]]) -> None:
    @app.get("/livez")
    @needs("public")
    def livez() -> Response:
        return jsonify(status="ok")

    @app.get("/readyz")
    @needs("public")
    def readyz() -> tuple[Response, int, dict[str, str]]:
        found = dict(answers())
        well = all(answer == "ok" for answer in found.values())
        body = jsonify(status="ok" if well else "not ready", checks=found)
        return body, 200 if well else 503, {} if well else {"Retry-After": RETRY_AFTER}

    @app.get("/metrics")
    @needs("public")
    def metrics() -> Response:
        return Response(telemetry.figures(), content_type=CONTENT_TYPE_LATEST)


_BUSY = (Conflict, LogDown, *STORE_DOWN)


def problem_response(error: Exception) -> Response:
    """The answer that an error becomes. Nothing of a person's words goes into it."""
    if isinstance(error, NotSignedIn):
        error = Problem(401, "Unauthorized", error.code, headers={"WWW-Authenticate": "Bearer"})
    elif isinstance(error, (NotYours, Erased)):
        # To say "forbidden" would confirm that there is something to forbid.
        error = NotFound()
    elif isinstance(error, _BUSY):
        log_line.warning("part_away", why=type(error).__name__)
        error = ServiceUnavailable("A part is away for a moment; nothing was half done. Try again.")
    elif not isinstance(error, HTTPException):
        log_line.exception("request_failed", exc_info=error)
        error = InternalServerError("Something went wrong on our side; it was noted.")
    status = error.code or 500
    if error.response is not None:
        return error.response  # type: ignore[return-value]
    body = {
        "type": "about:blank",
        "title": getattr(error, "title", None) or _TITLES.get(status, error.name),
        "status": status,
        "detail": _WRONG_FIELDS if status == 422 else error.description or error.name,
        "instance": telemetry.request_id.get(),
    }
    if (errors := field_errors(error)) is not None:
        body["errors"] = errors
    body.update(getattr(error, "extra", {}))
    response = jsonify(body)
    response.status_code = status
    response.content_type = "application/problem+json"
    for header, value in _extra_headers(error).items():
        response.headers[header] = value
    return response


# RFC 9110 renamed it; the library has not yet.
_WRONG_FIELDS = "Something in the request is not as it should be."
_TITLES = {422: "Unprocessable Content", 413: "Content Too Large"}


def field_errors(error: HTTPException) -> Mapping[str, Any] | None:
    """What is wrong by field, as the answer will have it; None where no field is."""
    if isinstance(error, Problem):
        return error.errors
    if isinstance(error, UnprocessableEntity):
        messages: dict[str, Any] = getattr(error, "data", {}).get("messages", {})
        # webargs names the place (json, query, ...) first; a caller thinks in fields.
        return {field: why for place in messages.values() if isinstance(place, dict) for field, why in place.items()}
    return None


def _extra_headers(error: HTTPException) -> dict[str, str]:
    headers = dict(getattr(error, "headers", None) or {})
    if error.code == 503:
        headers.setdefault("Retry-After", RETRY_AFTER)
    if error.code == 405 and getattr(error, "valid_methods", None):
        headers["Allow"] = ", ".join(error.valid_methods)  # type: ignore[attr-defined]
    return headers


def fingerprint(body: Shape, key: bytes) -> str:
    """What a repeated POST is compared by. Keyed, so that a short answer cannot be guessed from it."""
    text = json.dumps(body.dump(), sort_keys=True, separators=(",", ":"))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def same_or_conflict(kept: str, body_fingerprint: str) -> None:
    """A repeat of the same body is answered like the first; another body under the same id answers 409."""
    if not hmac.compare_digest(kept, body_fingerprint):
        conflict("This id was used before, with another body.")


def check_if_match(version: int) -> None:
    """An edit names the version that it edits: missing answers 428, stale answers 412."""
    given = request.headers.get("If-Match")
    if given is None:
        raise Problem(428, "Precondition Required", "Send If-Match with the ETag that you edit.")
    if given.strip().removeprefix("W/").strip('"') != str(version):
        raise Problem(412, "Precondition Failed", "It was changed since; read it again.")


def etag(version: int) -> dict[str, str]:
    """The header that an edit's If-Match repeats."""
    return {"ETag": f'"{version}"'}


class Page(NamedTuple):
    """What a list was asked for: at most ``limit`` items, those behind the id ``after``; ``filters`` by name."""

    limit: int
    after: str | None
    filters: Mapping[str, str]

    def read(self, collection: Collection[Raw], where: Raw, newest_first: bool = True) -> tuple[list[Raw], str | None]:
        """The documents of the page in the order of their ids, and the ``next`` of the answer."""
        if self.after is not None:
            where = {"$and": [where, {"_id": {"$lt" if newest_first else "$gt": self.after}}]}
        order = -1 if newest_first else 1
        found = list(collection.find(where, {"outbox": 0, "seen": 0}).sort("_id", order).limit(self.limit + 1))
        return self.cut(found, lambda document: str(document["_id"]))

    def cut(self, found: list[Any], id_of: Callable[[Any], str]) -> tuple[list[Any], str | None]:
        """One page of a list that holds one more than the limit where there is a next page."""
        if len(found) <= self.limit:
            return found, None
        return found[: self.limit], id_of(found[self.limit - 1])


def page(**filters: Sequence[str]) -> Page:
    """``limit`` (1 to 200, 50 when absent), ``after`` and the filters of the query.

    Args:
        filters: by name, the values that each may take; none for any id.
    Raises:
        Problem: 422 naming the field.
    """
    for name in request.args:
        if name not in {"limit", "after", *filters}:
            refuse(name, "Unknown field.")
    limit = request.args.get("limit", "50")
    if not re.fullmatch(r"[0-9]{1,3}", limit, re.ASCII) or not 1 <= int(limit) <= 200:
        refuse("limit", "Must be a whole number from 1 to 200.")
    for name, value in request.args.items():
        if name != "limit" and not re.fullmatch(ID_PATTERN, value):
            refuse(name, "Must be an id.")
    given = {name: request.args[name] for name in filters if name in request.args}
    for name, value in given.items():
        if filters[name] and value not in filters[name]:
            refuse(name, f"Must be one of: {', '.join(filters[name])}.")
    return Page(int(limit), request.args.get("after"), given)
