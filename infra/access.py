"""Who is asking, and what they may see. Deny by default; every look at another person's record is written down."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from infra import telemetry
from infra.ids import new_id
from infra.store import Raw, Store, keep_newer
from schemas.base import now
from schemas.people import GrantEnded, GrantGiven, PersonJoined, RecordSeen

# A forwarded identity only has to outlive one request, also where the two machines' clocks are minutes apart.
IDENTITY_SECONDS = 600

# Somebody with either may see the record and talk with the person: the person's own coach, and whoever was asked to
# stand in because the coach did not answer an alert.
CARING = ("care", "cover")
# And whoever was asked as a peer and accepted: they may talk with the person for a while, and see no record.
TALKING = (*CARING, "peer")


class NotSignedIn(Exception):
    """No token, or one that is forged, expired or for somebody else. ``code`` says which, for the app to act on."""

    def __init__(self, code: str = "unauthenticated") -> None:
        super().__init__(code)
        self.code = code


class NotYours(Exception):
    """This person may not see it, which the answer does not distinguish from its not being there."""


@dataclass(frozen=True)
class Identity:
    """A signed-in person. ``expires`` is in seconds since 1970."""

    person_id: str
    role: str
    session_id: str
    expires: float


def key_for(secret: str, purpose: str) -> bytes:
    """A 32-byte key of its own for each purpose (HKDF, RFC 5869), so that one kind of token cannot pass as another."""
    return HKDF(SHA256(), 32, salt=None, info=f"alongside {purpose}".encode()).derive(secret.encode())


class Tokens:
    """Signs and reads the identity of a person: in an access token, or forwarded to one service."""

    def __init__(self, secret: str, audience: str) -> None:
        """``audience`` is ``app`` for access tokens, or the name of the service that an identity is forwarded to."""
        self._audience = audience
        self._key = key_for(secret, f"identity for {audience}")

    def sign(self, person_id: str, role: str, session_id: str, seconds: int) -> str:
        """A token that holds for ``seconds`` from now."""
        # No time of issue: a reader whose clock is a little behind would take it for a token from the future.
        claims = {
            "sub": person_id,
            "role": role,
            "sid": session_id,
            "aud": self._audience,
            "exp": time.time() + seconds,
        }
        return jwt.encode(claims, self._key, algorithm="HS256")

    def read(self, token: str) -> Identity:
        """The person of a token.

        Raises:
            NotSignedIn: ``expired``, or ``unauthenticated`` for anything else that is wrong with it.
        """
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key,
                algorithms=["HS256"],
                audience=self._audience,
                options={"require": ["sub", "role", "sid", "exp"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise NotSignedIn("expired") from error
        except (jwt.InvalidTokenError, UnicodeError) as error:
            raise NotSignedIn from error
        return Identity(claims["sub"], claims["role"], claims["sid"], float(claims["exp"]))


class People:
    """A service's own copy of who there is and in what role."""

    def __init__(self, store: Store) -> None:
        self._copies = store.collection("people")

    def prepare(self) -> None:
        """Make the indexes. Safe to repeat."""
        self._copies.create_index("role")

    def keep(self, event: PersonJoined) -> None:
        """Remember a person."""
        keep_newer(self._copies, event.person_id, event.version, {"role": event.role, "joined_at": event.at})

    def joined_at(self, person_id: str) -> datetime | None:
        """When the account was opened; None for somebody of whom nothing, or not this, was heard."""
        found = self._copies.find_one({"_id": person_id}, {"joined_at": 1})
        return None if found is None else found.get("joined_at")

    def with_role(self, role: str) -> list[str]:
        """The ids of everybody in a role, the oldest first."""
        return sorted(person["_id"] for person in self._copies.find({"role": role}, {"_id": 1}))

    def is_role(self, person_id: str, role: str, seconds: float = 2.0) -> bool:
        """Whether there is such a person in this role. Somebody just enrolled may take a moment to be known here."""
        deadline = time.monotonic() + seconds
        while (found := self._copies.find_one({"_id": person_id})) is None and time.monotonic() < deadline:
            time.sleep(0.02)
        return found is not None and found["role"] == role


class Grants:
    """A service's own copy of who may see whom, kept from the log, and the question asked of it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._copies = store.collection("grants")
        self._changed = threading.Condition()

    def prepare(self) -> None:
        """Make the indexes. Safe to repeat."""
        self._copies.create_index([("holder", 1), ("subject", 1)])
        self._copies.create_index("subject")

    def keep(self, event: GrantGiven | GrantEnded) -> None:
        """Apply a grant event; an older one that comes late changes nothing."""
        state = {
            "holder": event.holder_id,
            "subject": event.subject_id,
            "scope": event.scope,
            "until": None if isinstance(event, GrantEnded) else event.until,
            "ended": isinstance(event, GrantEnded),
        }
        if keep_newer(self._copies, event.grant_id, event.version, state):
            with self._changed:
                self._changed.notify_all()

    def allows(self, holder_id: str, subject_id: str, scopes: Collection[str] = CARING) -> bool:
        """Whether a grant of one of these scopes holds now."""
        where = {"holder": holder_id, "subject": subject_id, **_holding(scopes)}
        return self._copies.find_one(where, {"_id": 1}) is not None

    def holders(self, subject_id: str, scopes: Collection[str] = CARING) -> list[str]:
        """Everybody who may see this person now."""
        return sorted({grant["holder"] for grant in self._copies.find({"subject": subject_id, **_holding(scopes)})})

    def subjects(self, holder_id: str, scopes: Collection[str] = CARING) -> set[str]:
        """Everybody whom this person may see now."""
        return {grant["subject"] for grant in self._copies.find({"holder": holder_id, **_holding(scopes)})}

    def wait_for(self, grant_ids: Collection[str], seconds: float) -> list[Raw]:
        """The copies of these grants once all have arrived, or those that have when the time is over."""
        deadline = time.monotonic() + seconds
        while True:
            found = list(self._copies.find({"_id": {"$in": list(grant_ids)}}))
            left = deadline - time.monotonic()
            if len(found) >= len(grant_ids) or left <= 0:
                return found
            # Another process of this service may be the one that hears, so a pause bounds the wait for the bell.
            with self._changed:
                self._changed.wait(min(left, 0.05))

    def may(self, identity: Identity, subject_id: str, scopes: Collection[str] = CARING) -> bool:
        """Whether this person may see the record of ``subject_id``: one's own always, another's by grant."""
        return identity.person_id == subject_id or self.allows(identity.person_id, subject_id, scopes)

    def look(self, identity: Identity, subject_id: str, what: str, scopes: Collection[str] = CARING) -> None:
        """Ask ``may`` and write the look down, before anything is shown.

        Raises:
            NotYours: no grant holds.
        """
        if not self.may(identity, subject_id, scopes):
            raise NotYours(what)
        self.saw(identity, [subject_id], what)

    def saw(self, identity: Identity, subject_ids: Iterable[str], what: str) -> None:
        """Write a look at each of these people's records into the audit ledger; one's own is not a look."""
        for subject_id in sorted(set(subject_ids) - {identity.person_id}):
            self._store.tell(
                RecordSeen(
                    id=new_id(),
                    at=now(),
                    version=1,
                    viewer_id=identity.person_id,
                    subject_id=subject_id,
                    what=what,
                    request_id=telemetry.request_id.get(),
                )
            )


def _holding(scopes: Collection[str], moment: datetime | None = None) -> Raw:
    return {
        "scope": {"$in": list(scopes)},
        "ended": False,
        "$or": [{"until": None}, {"until": {"$gt": moment or now()}}],
    }
