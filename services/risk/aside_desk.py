"""What the operator of the machine does about check-ins that could not be read: `alongside check-ins aside`."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

import urllib3

from infra.access import IDENTITY_SECONDS, Identity, Tokens
from infra.store import Raw
from infra.vault import Erased
from infra.web import IDENTITY_HEADER
from schemas.fields import written
from services.risk import aside_model, service
from services.risk.aside_model import RETRY

# Stands in the audit ledger for whoever holds the machine and its keys; no person has such an id.
_OPERATOR = Identity("operator", "operator", "operator", 0)


class Tried(NamedTuple):
    """What became of one: whether it was ``taken``, and in a few words why not."""

    id: str
    taken: bool
    words: str


def listed() -> Iterator[str]:
    """A line for each that waits: id, client, moment, and what was wrong; no words of anybody's."""
    for entry in aside_model.waiting():
        wrong = ", ".join(entry["fields"]) or "unreadable"
        yield f"{entry['_id']}\t{entry['client_id']}\t{entry['at']:%Y-%m-%dT%H:%M:%SZ}\t{wrong}"


def shown(id: str) -> str:
    """The body of one, fit for a terminal. The look is in the audit ledger before.

    Raises:
        KeyError: no such entry.
        Erased: nobody can read it any more.
    """
    entry = aside_model.entries().find_one({"_id": id})
    if entry is None:
        raise KeyError(id)
    body = aside_model.body_of(entry)
    service.grants.saw(_OPERATOR, [entry["client_id"]], "check-in set aside")
    return _fit_for_a_terminal(body)


def _fit_for_a_terminal(body: bytes) -> str:
    """What cannot be shown, or would give a terminal orders, in escapes."""
    text = body.decode("utf-8", "backslashreplace")
    return re.sub(r"[^\n\t\x20-\x7e\u00a0-\U0010ffff]", lambda found: f"\\x{ord(found[0]):02x}", text)


def retry(ids: Collection[str]) -> Iterator[Tried]:
    """Hand those that wait, the named ones or all, through the door that they came to. One that is taken is done.

    Raises:
        urllib3.exceptions.HTTPError: the door does not answer.
    """
    found = aside_model.waiting(ids)
    for id in set(ids) - {entry["_id"] for entry in found}:
        yield Tried(id, False, "none waits under this id")
    for entry in found:
        try:
            body = _with_its_moment(aside_model.body_of(entry), entry)
        except Erased:
            aside_model.end(entry["_id"], "erased")
            yield Tried(entry["_id"], False, "erased: nobody can read it any more")
            continue
        answer = _handed_in(entry["client_id"], body)
        if answer.status in (200, 201):
            aside_model.end(entry["_id"], "taken")
        yield Tried(entry["_id"], answer.status in (200, 201), _said(answer))


def _with_its_moment(body: bytes, entry: Raw) -> bytes:
    """A check-in that names no moment was about the one at which it came, and not about now."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if not isinstance(said, dict) or said.get("at") is not None:
        return body
    return json.dumps({**said, "at": written(entry["at"])}).encode()


def _handed_in(client_id: str, body: bytes) -> urllib3.BaseHTTPResponse:
    token = Tokens(service.settings.secret, service.name).sign(client_id, "client", RETRY, IDENTITY_SECONDS)
    headers = {IDENTITY_HEADER: token, "Content-Type": "application/json"}
    url = f"{service.settings.peers[service.name]}/v1/check-ins"
    return urllib3.request("POST", url, body=body, headers=headers, timeout=20.0, retries=False)


def _said(answer: urllib3.BaseHTTPResponse) -> str:
    if answer.status in (200, 201):
        return "taken"
    wrong = json.loads(answer.data).get("errors") or {}
    return f"{answer.status} {', '.join(sorted(wrong))}".strip()
