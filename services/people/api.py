"""Sign-in, accounts, grants, and the ledger that its subject can read."""

from __future__ import annotations

from functools import cache
from typing import Any

from pymongo.errors import DuplicateKeyError

from infra.access import NotSignedIn, NotYours, Tokens, key_for
from infra.store import Conflict
from infra.web import (
    Problem,
    check_if_match,
    conflict,
    etag,
    fingerprint,
    needs,
    page,
    permit,
    same_or_conflict,
    who,
)
from schemas import people as say
from services.people import firebase, service
from services.people.model import Grant, Person, Session, person_by_firebase, person_by_password

api = service.api
STAFF = ("coach", "supervisor", "organiser", "admin")


@api.post("/auth/token")
@needs("public")
@api.arguments(say.SignIn.Schema)
@api.response(200, say.Tokens.Schema)
def sign_in(body: say.SignIn) -> say.Tokens:
    person = person_by_password(body.login, body.password)
    if person is None:
        raise NotSignedIn
    return _begin(person)


@api.post("/auth/firebase")
@needs("public")
@api.arguments(say.FirebaseSignIn.Schema)
@api.response(200, say.Tokens.Schema)
def sign_in_with_firebase(body: say.FirebaseSignIn) -> say.Tokens:
    verify = _firebase()
    if verify is None:
        raise Problem(501, "Not Implemented", "Sign-in with Firebase is not set up here.")
    try:
        found = verify.verify_id_token(body.id_token)
    except firebase.NotSignedIn as error:
        raise NotSignedIn from error
    except firebase.SignInUnavailable as error:
        raise Problem(503, "Service Unavailable", "Firebase does not answer. Try again.") from error
    person = person_by_firebase(found.uid, found.email, found.email_verified)
    if person is None:
        raise NotSignedIn
    return _begin(person)


@api.post("/auth/refresh")
@needs("public")
@api.arguments(say.Refresh.Schema)
@api.response(200, say.Tokens.Schema)
def refresh(body: say.Refresh) -> say.Tokens:
    session_id = body.refresh_token.partition(".")[0]
    fresh = Session.new_token(session_id)
    good: list[bool] = []
    try:
        session = Session.change(session_id, lambda session: good.append(session.rotate(body.refresh_token, fresh)))
    except KeyError as error:
        raise NotSignedIn from error
    person = Person.load(session.person_id)
    if not good[-1] or person is None:
        raise NotSignedIn
    return _tokens(person, session.id, fresh)


@api.post("/auth/sign-out")
@needs("self")
@api.response(204)
def sign_out() -> None:
    try:
        Session.change(who().session_id, Session.end)
    except KeyError as error:
        raise NotSignedIn from error


@api.get("/me")
@needs("self")
@api.response(200, say.PersonOut.Schema)
def me() -> Any:
    return _shown(_load(who().person_id))


@api.post("/people")
@needs("admin")
@api.arguments(say.NewPerson.Schema)
@api.response(201, say.PersonOut.Schema)
@api.alt_response(200, schema=say.PersonOut.Schema)
def enrol(body: say.NewPerson) -> Any:
    print_ = fingerprint(body, key_for(service.settings.secret, "fingerprint"))
    if (before := Person.load(body.id)) is not None:
        return _repeated(before, print_)
    if Person.raw().find_one({"login": body.login}, {"_id": 1}):
        conflict("This login is taken.")
    person = Person(
        id=body.id,
        role=body.role,
        login=body.login,
        timezone=body.timezone,
        language=body.language,
        firebase_uid=body.firebase_uid,
        fingerprint=print_,
    )
    person.join(body.password, body.display_name)
    try:
        person.commit()
    except Conflict:
        return _repeated(_load(body.id), print_)
    except DuplicateKeyError:
        conflict("This login or Firebase account is taken.")
    return _out(person), 201, etag(person.version)


@api.get("/people")
@needs("admin")
@api.response(200, say.PersonPage.Schema)
def list_people() -> Any:
    found, following = page().read(Person.raw(), {}, newest_first=False)
    people = [Person.read(raw) for raw in found]
    service.grants.saw(who(), [person.id for person in people], "account")
    return {"items": [_out(person) for person in people], "next": following}


@api.get("/people/<person_id>")
@needs("care")
@api.response(200, say.PersonOut.Schema)
def show_person(person_id: str) -> Any:
    _permit_account(_load(person_id))
    return _shown(_load(person_id))


@api.patch("/people/<person_id>")
@needs("self")
@api.arguments(say.PersonEdit.Schema)
@api.response(200, say.PersonOut.Schema)
def edit_person(body: say.PersonEdit, person_id: str) -> Any:
    if who().person_id != person_id:
        raise NotYours(person_id)
    check_if_match(_load(person_id).version)

    def edit(person: Person) -> None:
        check_if_match(person.version)
        if body.display_name is not None:
            person.rename(body.display_name)
        person.timezone = body.timezone or person.timezone
        person.language = body.language or person.language

    return _shown(Person.change(person_id, edit))


@api.get("/grants")
@needs("self")
@api.response(200, say.GrantPage.Schema)
def list_grants() -> Any:
    """The grants that the caller holds, and those on the caller's own record."""
    me = who().person_id
    where = {"ended": False, "$or": [{"holder_id": me}, {"subject_id": me}]}
    found, following = page().read(Grant.raw(), where)
    return {"items": [Grant.read(raw) for raw in found], "next": following}


@api.get("/audit")
@needs("care")
@api.response(200, say.AuditPage.Schema)
def list_audit() -> Any:
    """Who looked at a client's record: for the client, and for an admin who has to answer for it."""
    asked = page(client_id=())
    client_id = asked.filters.get("client_id", who().person_id)
    if who().role != "admin" and client_id != who().person_id:
        raise NotYours(client_id)
    permit(service.grants, client_id, "audit ledger", because=True)
    found, following = asked.read(service.store.collection("ledger"), {"subject": client_id})
    items = [
        {"id": e["_id"], "at": e["at"], "viewer_id": e["viewer"], "subject_id": e["subject"], "what": e["what"]}
        for e in found
    ]
    return {"items": items, "next": following}


def _permit_account(person: Person) -> None:
    """Staff know staff, an admin knows accounts, and a client knows who is there for them."""
    caller = who()
    known = (
        caller.role == "admin"
        or (caller.role in STAFF and person.role in STAFF)
        or service.grants.allows(person.id, caller.person_id)
    )
    permit(service.grants, person.id, "account", because=known)


def _load(person_id: str) -> Person:
    person = Person.load(person_id)
    if person is None:
        raise NotYours(person_id)
    return person


def _repeated(before: Person, print_: str) -> Any:
    same_or_conflict(before.fingerprint, print_)
    return _out(before), 200, etag(before.version)


def _shown(person: Person) -> Any:
    return _out(person), 200, etag(person.version)


def _out(person: Person) -> say.PersonOut:
    return say.PersonOut(
        id=person.id,
        role=person.role,
        display_name=person.name(),
        timezone=person.timezone,
        language=person.language,
    )


def _begin(person: Person) -> say.Tokens:
    session, token = Session.begin(person.id)
    session.commit()
    return _tokens(person, session.id, token)


def _tokens(person: Person, session_id: str, refresh_token: str) -> say.Tokens:
    seconds = service.settings.token_seconds
    access = Tokens(service.settings.secret, "app").sign(person.id, person.role, session_id, seconds)
    return say.Tokens(
        access_token=access,
        expires_in=seconds,
        refresh_token=refresh_token,
        person=say.SignedInPerson(id=person.id, role=person.role, display_name=person.name()),
    )


@cache
def _firebase() -> Any:
    settings = service.settings
    return firebase.verifier(settings.firebase_credentials, settings.firebase_project, settings.firebase_emulator)
