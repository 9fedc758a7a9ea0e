"""Who is asking, and what they may see."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.access import IDENTITY_SECONDS, TALKING, Grants, Identity, NotSignedIn, NotYours, People, Tokens, key_for
from infra.ids import new_id
from infra.store import CARRIERS, Store, connect
from schemas.base import decode, now
from schemas.catalogue import EVENTS
from schemas.people import GrantEnded, GrantGiven, PersonJoined, RecordSeen
from tests.store import EmbeddedStore
from tests.world import SECRET, settings_for

# -- tokens


def claims(**changed: Any) -> dict[str, Any]:
    exp = now().timestamp() + 60
    return {"sub": "maya", "role": "client", "sid": "s", "aud": "app", "exp": exp, **changed}


def forged(body: dict[str, Any], key: bytes, algorithm: str = "HS256") -> str:
    return jwt.encode({name: value for name, value in body.items() if value is not None}, key, algorithm=algorithm)


def app() -> Tokens:
    return Tokens(SECRET, "app")


def test_a_token_says_who_it_is() -> None:
    identity = app().read(app().sign("maya", "client", "session-1", 60))
    assert (identity.person_id, identity.role, identity.session_id) == ("maya", "client", "session-1")
    assert 0 < identity.expires - now().timestamp() < 61


def test_an_expired_token_says_so() -> None:
    with pytest.raises(NotSignedIn) as refused:
        app().read(app().sign("maya", "client", "s", -1))
    assert refused.value.code == "expired"


@pytest.mark.parametrize("minutes", [-7, 7])
def test_an_identity_is_forwarded_between_machines_whose_clocks_are_minutes_apart(
    monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    with monkeypatch.context() as other:
        other.setattr("infra.access.time.time", lambda: now().timestamp() + 60 * minutes)
        token = Tokens(SECRET, "risk").sign("maya", "client", "s", IDENTITY_SECONDS)
    assert Tokens(SECRET, "risk").read(token).person_id == "maya"


@pytest.mark.parametrize("audience", ["people", "risk", "ap", "app ", ""])
def test_a_token_for_somebody_else_is_refused(audience: str) -> None:
    with pytest.raises(NotSignedIn) as refused:
        Tokens(SECRET, audience).read(app().sign("maya", "client", "s", 60))
    assert refused.value.code == "unauthenticated"
    with pytest.raises(NotSignedIn):
        app().read(Tokens(SECRET, audience).sign("maya", "client", "s", 60))


def test_a_token_of_another_secret_is_refused() -> None:
    with pytest.raises(NotSignedIn):
        app().read(Tokens(SECRET + "!", "app").sign("maya", "client", "s", 60))


def test_the_right_key_does_not_help_the_wrong_audience() -> None:
    with pytest.raises(NotSignedIn):
        app().read(forged(claims(aud="risk"), key_for(SECRET, "identity for app")))


@pytest.mark.parametrize("missing", ["sub", "role", "sid", "exp", "aud"])
def test_a_token_without_a_claim_is_refused(missing: str) -> None:
    key = key_for(SECRET, "identity for app")
    assert app().read(forged(claims(), key)).person_id == "maya"
    with pytest.raises(NotSignedIn):
        app().read(forged(claims(**{missing: None}), key))


@pytest.mark.parametrize("algorithm", ["none", "NONE", "HS512", "RS256"])
def test_a_token_of_another_algorithm_is_refused(algorithm: str) -> None:
    def part(thing: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(thing).encode()).decode().rstrip("=")

    unsigned = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims())}."
    with pytest.raises(NotSignedIn):
        app().read(unsigned)
    if algorithm == "HS512":
        with pytest.raises(NotSignedIn):
            app().read(forged(claims(), key_for(SECRET, "identity for app") * 2, "HS512"))


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_no_made_up_token_is_anybodys(token: str) -> None:
    with pytest.raises(NotSignedIn):
        app().read(token)


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 127))
def test_a_token_with_a_changed_letter_is_nobodys(at: int, change: int) -> None:
    token = app().sign("maya", "client", "s", 60)
    place = at % len(token)
    changed = token[:place] + chr(ord(token[place]) ^ change) + token[place + 1 :]
    try:
        identity = app().read(changed)
    except NotSignedIn:
        return
    # The last letter of base64 has bits that stand for nothing.
    assert (identity.person_id, identity.role) == ("maya", "client")


def test_each_purpose_has_a_key_of_its_own() -> None:
    keys = {key_for(SECRET, purpose) for purpose in ("a", "b", "identity for app", "fingerprint")}
    assert len(keys) == 4
    assert {len(key) for key in keys} == {32}
    assert key_for(SECRET, "a") == key_for(SECRET, "a")


# -- grants


@pytest.fixture(scope="module")
def store(embedded_store: EmbeddedStore) -> Iterator[Store]:
    opened = connect("keeper", settings_for(embedded_store.url, "sqlite:///nowhere"))
    yield opened
    opened.client.drop_database(opened.records.name)
    opened.close()


@pytest.fixture(scope="module")
def grants(store: Store) -> Grants:
    kept = Grants(store)
    kept.prepare()
    return kept


@pytest.fixture
def client() -> str:
    return new_id()


def given_to(holder: str, client: str, version: int = 1, **changed: Any) -> GrantGiven:
    ids = {"grant_id": f"{holder}-{client}"[:64], "holder_id": holder, "subject_id": client, "scope": "care"}
    return GrantGiven(id=new_id(), at=now(), version=version, **{**ids, **changed})


def ended(grant: GrantGiven, version: int) -> GrantEnded:
    return GrantEnded(
        id=new_id(),
        at=now(),
        version=version,
        grant_id=grant.grant_id,
        holder_id=grant.holder_id,
        subject_id=grant.subject_id,
        scope=grant.scope,
    )


def identity(person: str, role: str = "coach") -> Identity:
    return Identity(person, role, "s", 0.0)


def test_nothing_is_allowed_until_it_is_given(grants: Grants, client: str) -> None:
    assert not grants.allows("sam", client)
    assert grants.holders(client) == []


def test_a_grant_holds_from_its_holder_to_its_subject_and_no_other_way(grants: Grants, client: str) -> None:
    grants.keep(given_to("sam", client))
    assert grants.allows("sam", client)
    assert not grants.allows(client, "sam")
    assert not grants.allows("rosa", client)
    assert not grants.allows("sam", "another")
    assert grants.holders(client) == ["sam"]


def test_an_ended_grant_holds_no_more_and_may_be_given_anew(grants: Grants, client: str) -> None:
    grant = given_to("sam", client)
    grants.keep(grant)
    grants.keep(ended(grant, 2))
    assert not grants.allows("sam", client)
    assert grants.holders(client) == []
    grants.keep(given_to("sam", client, version=3))
    assert grants.allows("sam", client)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_in_whatever_order_the_events_come_the_newest_decides(
    grants: Grants, client: str, order: tuple[int, ...]
) -> None:
    grant = given_to("sam", client)
    events = [grant, given_to("sam", client, version=2), ended(grant, 3)]
    for number in order:
        grants.keep(events[number])
    assert not grants.allows("sam", client)


def test_a_grant_ends_at_its_own_moment(grants: Grants, client: str) -> None:
    grants.keep(given_to("sam", client, until=now() + timedelta(hours=1)))
    assert grants.allows("sam", client)
    grants.keep(given_to("rosa", client, until=now() - timedelta(milliseconds=1)))
    assert not grants.allows("rosa", client)
    assert grants.holders(client) == ["sam"]


def test_a_grant_allows_its_own_scope_only(grants: Grants, client: str) -> None:
    grants.keep(given_to("sam", client, scope="cover"))
    assert grants.allows("sam", client)
    assert grants.allows("sam", client, ("cover",))
    assert not grants.allows("sam", client, ("care",))
    assert grants.holders(client, ("care",)) == []


def test_a_peer_may_talk_and_look_at_nothing(store: Store, grants: Grants, client: str) -> None:
    grants.keep(given_to("pia", client, scope="peer"))
    assert grants.allows("pia", client, TALKING)
    assert grants.subjects("pia", TALKING) == {client}
    assert not grants.allows("pia", client)
    assert grants.holders(client) == []
    with pytest.raises(NotYours):
        grants.look(identity("pia", "client"), client, "check-ins")
    assert looks(store, client) == []


def looks(store: Store, client: str) -> list[RecordSeen]:
    kept = [
        decode(c["outbox"][0]["value"], c["outbox"][0]["headers"], EVENTS) for c in store.collection(CARRIERS).find()
    ]
    return [seen for seen in kept if isinstance(seen, RecordSeen) and seen.subject_id == client]


def test_a_look_is_written_down_before_anything_is_shown(store: Store, grants: Grants, client: str) -> None:
    grants.keep(given_to("sam", client))
    grants.look(identity("sam"), client, "check-ins")
    (seen,) = looks(store, client)
    assert (seen.viewer_id, seen.subject_id, seen.what) == ("sam", client, "check-ins")


def test_a_look_that_cannot_be_written_down_is_not_taken(
    store: Store, grants: Grants, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    grants.keep(given_to("sam", client))

    def broken(*_: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(store, "tell", broken)
    with pytest.raises(ConnectionError):
        grants.look(identity("sam"), client, "check-ins")


def test_what_is_not_yours_is_refused_and_no_look(store: Store, grants: Grants, client: str) -> None:
    for role in ("client", "coach", "supervisor", "organiser", "admin"):
        with pytest.raises(NotYours):
            grants.look(identity("stranger", role), client, "check-ins")
    assert looks(store, client) == []


def test_ones_own_record_needs_no_grant_and_is_no_look(store: Store, grants: Grants, client: str) -> None:
    grants.look(identity(client, "client"), client, "check-ins")
    grants.saw(identity(client, "client"), [client], "check-ins")
    assert looks(store, client) == []


def test_a_list_is_a_look_at_each_of_its_people_once(store: Store, grants: Grants) -> None:
    one, other = new_id(), new_id()
    grants.saw(identity("sam"), [one, other, one, "sam"], "caseload")
    assert len(looks(store, one)) == len(looks(store, other)) == 1
    assert looks(store, "sam") == []


def test_waiting_for_grants_ends_when_all_are_there_or_the_time_is_over(grants: Grants, client: str) -> None:
    grant = given_to("sam", client)
    assert grants.wait_for([grant.grant_id], 0) == []
    grants.keep(grant)
    assert [copy["_id"] for copy in grants.wait_for([grant.grant_id], 30)] == [grant.grant_id]
    assert len(grants.wait_for([grant.grant_id, "another"], 0.01)) == 1


# -- people


def test_people_are_known_by_their_role(store: Store) -> None:
    people = People(store)
    people.prepare()
    name = new_id()
    assert not people.is_role(name, "supervisor", seconds=0)
    people.keep(PersonJoined(id=new_id(), at=now(), version=1, person_id=name, role="supervisor"))
    assert people.is_role(name, "supervisor", seconds=0)
    assert not people.is_role(name, "coach", seconds=0)
    assert name in people.with_role("supervisor")
    assert name not in people.with_role("coach")


def test_it_is_known_since_when_a_person_is_there(store: Store) -> None:
    people = People(store)
    name, moment = new_id(), now()
    assert people.joined_at(name) is None
    people.keep(PersonJoined(id=new_id(), at=moment, version=1, person_id=name, role="client"))
    assert people.joined_at(name) == moment
