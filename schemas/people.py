"""People, sign-in, grants and the audit ledger."""

from __future__ import annotations

from typing import ClassVar, Literal

from schemas.base import Event, Shape
from schemas.fields import Id, Language, Line, Login, Moment, Password, Secret, Zone

Role = Literal["client", "coach", "supervisor", "organiser", "admin"]
Scope = Literal["care", "cover", "peer"]


class PersonJoined(Event):
    """An account was opened."""

    topic: ClassVar[str] = "people"
    key: ClassVar[str] = "person_id"
    person_id: Id
    role: Role


class GrantGiven(Event):
    """``holder_id`` may see and act on the record of ``subject_id``, until a moment or until it is ended."""

    topic: ClassVar[str] = "people"
    key: ClassVar[str] = "subject_id"
    grant_id: Id
    holder_id: Id
    subject_id: Id
    scope: Scope
    until: Moment | None = None


class GrantEnded(Event):
    """The grant holds no more."""

    topic: ClassVar[str] = "people"
    key: ClassVar[str] = "subject_id"
    grant_id: Id
    holder_id: Id
    subject_id: Id
    scope: Scope


class SessionEnded(Event):
    """A sign-in ended: by its owner, or because a spent refresh token came back."""

    topic: ClassVar[str] = "people"
    key: ClassVar[str] = "person_id"
    person_id: Id
    session_id: Id


class RecordSeen(Event):
    """Somebody looked at another person's record. Every service tells it; people keeps the ledger."""

    topic: ClassVar[str] = "audit"
    key: ClassVar[str] = "subject_id"
    viewer_id: Id
    subject_id: Id
    what: Line
    request_id: Line | None = None


class SignIn(Shape):
    login: Login
    password: Secret


class FirebaseSignIn(Shape):
    id_token: Secret


class Refresh(Shape):
    refresh_token: Secret


class NewPerson(Shape):
    """``firebase_uid`` lets the person sign in with that Firebase account instead of a password, or beside it."""

    id: Id
    role: Role
    login: Login
    password: Password
    display_name: Line
    timezone: Zone = "UTC"
    language: Language = "en"
    firebase_uid: Line | None = None


class PersonEdit(Shape):
    display_name: Line | None = None
    timezone: Zone | None = None
    language: Language | None = None


class PersonOut(Shape):
    id: Id
    role: Role
    display_name: Line
    timezone: Zone
    language: Language


class PersonPage(Shape):
    items: list[PersonOut]
    next: str | None


class SignedInPerson(Shape):
    id: Id
    role: Role
    display_name: Line


class Tokens(Shape):
    """``expires_in`` is in seconds and speaks of the access token."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int
    refresh_token: str
    person: SignedInPerson


class GrantOut(Shape):
    id: Id
    holder_id: Id
    subject_id: Id
    scope: Scope
    until: Moment | None


class GrantPage(Shape):
    items: list[GrantOut]
    next: str | None


class AuditEntry(Shape):
    id: Id
    at: Moment
    viewer_id: Id
    subject_id: Id
    what: Line


class AuditPage(Shape):
    items: list[AuditEntry]
    next: str | None
