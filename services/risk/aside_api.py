"""What happens to a check-in that cannot be read: it is refused as ever, and nothing of it is lost."""

from __future__ import annotations

import functools
import hashlib
import hmac
from collections.abc import Callable
from typing import Any, TypeVar

from flask import request
from werkzeug.exceptions import HTTPException

from infra import telemetry
from infra.access import key_for
from infra.web import field_errors, needs, page, who
from schemas import risk as say
from services.risk import service
from services.risk.aside_model import RETRY, entries, set_aside

V = TypeVar("V", bound=Callable[..., Any])

api = service.api

_FIELDS = frozenset(say.NewCheckIn.Schema().fields)
# The name of a field that no version knows is whatever a phone made of it: it may be somebody's words.
_ANOTHER = "(another)"


def keeps_unreadable(view: V) -> V:
    """Keep the whole body of a check-in that answers 400 or 422, and name in the answer where: ``set_aside``.

    The answer has no ``set_aside`` where nothing was kept: for an empty body, and where as many wait already as are
    kept for one client. The phone then keeps it. A body over 64 KiB answers 413 before it is read at all.
    """

    @functools.wraps(view)
    def keeping(*args: Any, **kwargs: Any) -> Any:
        try:
            return view(*args, **kwargs)
        except HTTPException as error:
            if error.code in (400, 422) and (kept := _keep(error, request.get_data())) is not None:
                error.extra = {**getattr(error, "extra", {}), "set_aside": kept}  # type: ignore[attr-defined]
            raise

    return keeping  # type: ignore[return-value]


def _keep(error: HTTPException, body: bytes) -> str | None:
    if not body or who().session_id == RETRY:
        return None
    wrong = field_errors(error) or {}
    fields = sorted({name if name in _FIELDS else _ANOTHER for name in wrong})
    print_ = hmac.new(key_for(service.settings.secret, "set aside"), body, hashlib.sha256).hexdigest()
    kept = set_aside(who().person_id, body, print_, fields)
    if kept is None:
        telemetry.check_ins_not_set_aside.inc()
    return kept


@api.get("/check-ins/aside")
@needs("client")
@api.response(200, say.AsidePage.Schema)
def list_set_aside() -> Any:
    """The caller's own check-ins that could not be read, the newest first: which and when, without their words."""
    found, following = page().read(entries(), {"client_id": who().person_id})
    items = [
        {"id": entry["_id"], "at": entry["at"], "fields": entry["fields"], "taken_at": entry["taken_at"]}
        for entry in found
    ]
    return {"items": items, "next": following}
