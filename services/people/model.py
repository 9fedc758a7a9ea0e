"""Accounts, sign-in sessions, grants, and the ledger of looks."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any, ClassVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from mongoengine import BinaryField, BooleanField, DateTimeField, ListField, StringField

from infra.ids import new_id
from infra.store import Aggregate
from schemas.base import now
from schemas.people import GrantEnded, GrantGiven, PersonJoined, SessionEnded
from services.people import service

# argon2-cffi's defaults are the low-memory profile of RFC 9106: 64 MiB, 3 passes, about 50 ms here.
_hasher = PasswordHasher()
_NOBODY = _hasher.hash("a password that no account has")

SESSION_DAYS = 60
SPENT_KEPT = 50


class Person(Aggregate):
    """An account. The name is sealed; the login is what its owner types."""

    meta: ClassVar[dict[str, Any]] = {
        "db_alias": "people",
        "collection": "accounts",
        "indexes": [
            {"fields": ["login"], "unique": True},
            {"fields": ["firebase_uid"], "unique": True, "sparse": True},
        ],
    }
    role = StringField(required=True)
    login = StringField(required=True)
    password_hash = StringField(required=True)
    display_name = BinaryField(required=True)
    timezone = StringField(required=True)
    language = StringField(required=True)
    firebase_uid = StringField()
    fingerprint = StringField(required=True)

    def join(self, password: str, display_name: str) -> None:
        """Open the account; call once, before the first commit."""
        self.password_hash = _hasher.hash(password)
        self.rename(display_name)
        self.record(PersonJoined, person_id=self.id, role=self.role)

    def rename(self, display_name: str) -> None:
        self.display_name = service.vault.seal(self.id, "accounts/display_name", display_name)

    def name(self) -> str:
        """The display name. Raises ``Erased`` when it is no more."""
        return service.vault.open(self.id, "accounts/display_name", self.display_name)


def person_by_password(login: str, password: str) -> Person | None:
    """The person of a login and its password; takes as long when there is no such login."""
    raw = Person.raw().find_one({"login": login}, {"outbox": 0, "seen": 0})
    person = None if raw is None else Person.read(raw)
    try:
        _hasher.verify(person.password_hash if person else _NOBODY, password)
    except VerifyMismatchError:
        return None
    return person


def person_by_firebase(uid: str, email: str | None, email_verified: bool) -> Person | None:
    """The person of a Firebase account: linked before, or enrolled under the address that Firebase has verified."""
    raw = Person.raw().find_one({"firebase_uid": uid}, {"outbox": 0, "seen": 0})
    if raw is not None:
        return Person.read(raw)
    if not (email and email_verified):
        return None
    raw = Person.raw().find_one({"login": email.lower(), "firebase_uid": None}, {"_id": 1})
    if raw is None:
        return None
    return Person.change(raw["_id"], lambda person: setattr(person, "firebase_uid", uid))


def enrol(id: str, login: str, role: str, display_name: str, password: str) -> None:
    """Open an account past the front door, unless the id has one: the first admin has nobody to be enrolled by."""
    if Person.load(id) is not None:
        return
    person = Person(id=id, role=role, login=login, timezone="UTC", language="en", fingerprint="by hand")
    person.join(password, display_name)
    person.commit()


class Session(Aggregate):
    """One sign-in on one device: a family of refresh tokens of which the newest is good, once."""

    meta: ClassVar[dict[str, Any]] = {
        "db_alias": "people",
        "collection": "sessions",
        "indexes": ["person_id", {"fields": ["expires_at"], "expireAfterSeconds": 0}],
    }
    person_id = StringField(required=True)
    current = StringField(required=True)
    spent = ListField(StringField())
    ended = BooleanField(default=False)
    expires_at = DateTimeField(required=True)

    @classmethod
    def begin(cls, person_id: str) -> tuple[Session, str]:
        """A new session of a person, and its first refresh token."""
        session = cls(id=new_id(), person_id=person_id)
        token = cls.new_token(session.id)
        session._take(token)
        return session, token

    @staticmethod
    def new_token(session_id: str) -> str:
        """A refresh token: the session's id, and 256 bits that nobody can guess."""
        return f"{session_id}.{secrets.token_urlsafe(32)}"

    def rotate(self, token: str, fresh: str) -> bool:
        """Put ``fresh`` in the place of ``token``; False when ``token`` is not good.

        One that was good before ends the whole family: either its owner or a thief holds a copy, and nobody can tell
        which of the two is asking.
        """
        given = _digest(token)
        if self.ended or self.expires_at < now():
            return False
        if secrets.compare_digest(_digest(fresh), self.current):
            # This very rotation was written, although its answer was lost on the way from the store.
            return True
        if secrets.compare_digest(given, self.current):
            self.spent = [*self.spent, self.current][-SPENT_KEPT:]
            self._take(fresh)
            return True
        if given in self.spent:
            self.end()
        return False

    def end(self) -> None:
        """Sign out. Repeating it changes nothing."""
        if not self.ended:
            self.ended = True
            self.record(SessionEnded, person_id=self.person_id, session_id=self.id)

    def _take(self, token: str) -> None:
        self.current = _digest(token)
        self.expires_at = now() + timedelta(days=SESSION_DAYS)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class Grant(Aggregate):
    """Who may see whom, why, and until when."""

    meta: ClassVar[dict[str, Any]] = {
        "db_alias": "people",
        "collection": "issued_grants",
        "indexes": ["holder_id", "subject_id", {"fields": ["until"], "sparse": True}],
    }
    holder_id = StringField()
    subject_id = StringField()
    scope = StringField()
    until = DateTimeField()
    ended = BooleanField(default=False)
    ran_out = BooleanField(default=False)

    def give(self, holder_id: str, subject_id: str, scope: str, until: datetime | None = None) -> None:
        """Issue it, or again when its time was over. One that was taken back stays so: its end may be heard first."""
        if self.ended and not self.ran_out:
            return
        self.ended = self.ran_out = False
        self.holder_id, self.subject_id, self.scope, self.until = holder_id, subject_id, scope, until
        self.record(GrantGiven, grant_id=self.id, holder_id=holder_id, subject_id=subject_id, scope=scope, until=until)

    def run_out(self) -> None:
        """Its time is over. Repeating it changes nothing."""
        if not self.ended:
            self.end(self.holder_id, self.subject_id, self.scope)
            self.ran_out = True

    def end(self, holder_id: str, subject_id: str, scope: str) -> None:
        """Take it back."""
        self.holder_id, self.subject_id, self.scope = holder_id, subject_id, scope
        self.ended, self.ran_out = True, False
        self.record(GrantEnded, grant_id=self.id, holder_id=holder_id, subject_id=subject_id, scope=scope)


service.aggregates = (Person, Session, Grant)
