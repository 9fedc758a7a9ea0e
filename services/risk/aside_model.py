"""Check-ins that could not be read: each kept whole, sealed for its client, until a version comes that can read it.

Plain documents ``{"_id", "client_id", "at", "fields", "print", "body", "state", "taken_at"}``. ``fields`` are the names
of what was wrong, ``body`` the very bytes, and ``state`` is ``waiting``, ``taken`` or, once the client's key is
destroyed and nobody can read them any more, ``erased``. None is ever removed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pymongo.errors import DuplicateKeyError

from infra.ids import new_id
from infra.store import Raw, Store
from schemas.base import now
from services.risk import service

# So many wait for one client. A phone keeps by itself what there is no room for.
AT_MOST = 200
# The session in the name of which an operator hands one in again. It is kept already.
RETRY = "set-aside-retry"


def make_indexes(store: Store) -> None:
    """Safe to repeat."""
    collection = store.collection("set_aside")
    collection.create_index([("client_id", 1), ("print", 1)], unique=True)
    collection.create_index([("client_id", 1), ("_id", -1)])
    collection.create_index([("state", 1), ("_id", 1)])


def entries() -> Any:
    """All of them, as they are kept."""
    return service.store.collection("set_aside")


def set_aside(client_id: str, body: bytes, print_: str, fields: list[str]) -> str | None:
    """Keep a body whole; the id of its entry. The same bytes of the same client are one entry.

    Args:
        print_: the same for the same bytes, and telling nothing of them.
        fields: names of what was wrong with it, in no words of the client's.
    Returns:
        None where ``AT_MOST`` wait already, and nothing was kept.
    Raises:
        Erased: the client's key was destroyed.
    """
    if (before := _entry_of(client_id, print_)) is not None:
        return before
    if entries().count_documents({"client_id": client_id, "state": "waiting"}) >= AT_MOST:
        return None
    id = new_id()
    entry = {
        "_id": id,
        "client_id": client_id,
        "at": now(),
        "fields": fields,
        "print": print_,
        # Sealed as text, of one letter a byte: what cannot be read need not be text.
        "body": service.vault.seal(client_id, _where(id), body.decode("latin-1")),
        "state": "waiting",
        "taken_at": None,
    }
    try:
        entries().insert_one(entry)
    except DuplicateKeyError:
        # It was sent twice at once, and the other one was first.
        return _entry_of(client_id, print_)
    return id


def _entry_of(client_id: str, print_: str) -> str | None:
    found = entries().find_one({"client_id": client_id, "print": print_}, {"_id": 1})
    return None if found is None else str(found["_id"])


def _where(id: str) -> str:
    return f"set-aside/{id}"


def body_of(entry: Raw) -> bytes:
    """The bytes that the client sent. Raises ``Erased``."""
    return service.vault.open(entry["client_id"], _where(entry["_id"]), bytes(entry["body"])).encode("latin-1")


def waiting(ids: Collection[str] = ()) -> list[Raw]:
    """Those that wait, the oldest first: the ones named, or all."""
    named = {"_id": {"$in": list(ids)}} if ids else {}
    return list(entries().find({"state": "waiting", **named}).sort("_id", 1))


def end(id: str, state: str) -> None:
    """It waits no more: it was ``taken``, or is ``erased``. Repeating it changes nothing."""
    entries().update_one({"_id": id, "state": "waiting"}, {"$set": {"state": state, "taken_at": now()}})


service.preparations.append(make_indexes)
