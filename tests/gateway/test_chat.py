"""Numbering and repeats, in this process: several gateways' ``Chat`` over one real store.

Nothing here is patched by gevent. Each ``Chat`` lives in a thread of its own, with a hub of its own, so that two of
them really race at the store.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import gevent
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.errors import AutoReconnect

from gateway import chat as chat_module
from gateway.chat import Chat, Refused, check_draft
from gateway.chat_store import ChatStore, Draft, make_indexes, new_conversation
from infra.access import Grants, Identity
from infra.ids import new_id as new
from infra.store import Raw, Store, connect
from infra.vault import Vault
from schemas.base import now
from schemas.people import GrantEnded, GrantGiven, Scope
from tests.store import EmbeddedStore
from tests.world import VAULT_KEY, settings_for

CLIENT = Identity("maya", "client", "session", 2e9)
COACH = Identity("sam", "coach", "session", 2e9)
OTHER = Identity("rosa", "coach", "session", 2e9)

_numbers = itertools.count()


@pytest.fixture(scope="module")
def store(embedded_store: EmbeddedStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    log = tmp_path_factory.mktemp("log") / "log.sqlite"
    opened = connect("gateway", settings_for(embedded_store.url, f"sqlite://{log}"))
    make_indexes(opened)
    Grants(opened).keep(a_grant())
    yield opened
    opened.client.drop_database(opened.records.name)
    opened.close()


def a_grant(scope: Scope = "care") -> GrantGiven:
    return GrantGiven(
        id="event", at=now(), version=1, grant_id="grant", holder_id="sam", subject_id="maya", scope=scope
    )


def a_conversation(store: Store, **fields: Any) -> str:
    id = f"conversation-{next(_numbers)}"
    made = new_conversation(id, "direct", "maya", ["maya", "sam"], False, "print")
    ChatStore(store, Vault(store, VAULT_KEY)).open({**made, **fields})
    return id


class Desk:
    """A gateway's chat, with what it told."""

    def __init__(self, store: Store, kept: ChatStore | None = None) -> None:
        self.store = kept or ChatStore(store, Vault(store, VAULT_KEY))
        self.told: list[int] = []
        self.chat = Chat(self.store, Grants(store), self.hear)

    def hear(self, _: Raw, messages: list[Raw]) -> None:
        self.told += [message["seq"] for message in messages]

    def send(self, person: Identity, conversation: str, id: str, text: str = "hello") -> tuple[Raw, bool]:
        """Send, and fail rather than wait for ever."""
        with gevent.Timeout(20):
            return self.chat.send(self.chat.message(person, conversation, id, text))

    def all(self, conversation: str) -> list[Raw]:
        return self.store.after(conversation, 0, 10_000)


def sent_by(messages: list[Raw], person: Identity) -> list[str]:
    return [message["cmid"] for message in messages if message["sender"] == person.person_id]


# -- numbers


def test_two_gateways_that_race_number_without_gap_or_double(store: Store) -> None:
    conversation = a_conversation(store)
    acknowledged: dict[str, dict[str, int]] = {"maya": {}, "sam": {}}
    start = threading.Barrier(2)

    def talk(person: Identity) -> None:
        desk = Desk(store)
        ids = [f"m{number:03}" for number in range(60)]
        start.wait()
        jobs = [gevent.spawn(desk.send, person, conversation, id) for id in ids]
        gevent.joinall(jobs, timeout=60, raise_error=True)
        acknowledged[person.person_id] = {id: job.value[0]["seq"] for id, job in zip(ids, jobs, strict=True)}

    threads = [threading.Thread(target=talk, args=(person,)) for person in (CLIENT, COACH)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    found = Desk(store).all(conversation)
    assert [message["seq"] for message in found] == list(range(1, 121))
    for person in (CLIENT, COACH):
        assert sent_by(found, person) == sorted(sent_by(found, person))
        told = {message["cmid"]: message["seq"] for message in found if message["sender"] == person.person_id}
        assert acknowledged[person.person_id] == told


def test_two_gateways_that_get_the_same_message_store_it_once(store: Store) -> None:
    conversation = a_conversation(store)
    answers: list[tuple[Raw, bool]] = []
    start = threading.Barrier(2)

    def talk() -> None:
        desk = Desk(store)
        for number in range(20):
            start.wait()
            answers.append(desk.send(CLIENT, conversation, f"m{number}"))

    threads = [threading.Thread(target=talk) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    found = Desk(store).all(conversation)
    assert [message["cmid"] for message in found] == [f"m{number}" for number in range(20)]
    assert [message["seq"] for message in found] == list(range(1, 21))
    assert len(answers) == 40
    assert sum(new for _, new in answers) == 20
    assert {message["id"] for message, _ in answers} == {message["_id"] for message in found}


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 5)), min_size=1, max_size=15))
def test_however_gateways_take_turns_the_numbers_have_no_gap_and_repeats_are_the_same(
    store: Store, sends: list[tuple[bool, bool, int]]
) -> None:
    conversation = a_conversation(store)
    desks = (Desk(store), Desk(store))
    first: dict[tuple[str, str], str] = {}
    for which, by_coach, number in sends:
        person = COACH if by_coach else CLIENT
        message, new = desks[which].send(person, conversation, f"m{number}", f"text {number}")
        key = (person.person_id, f"m{number}")
        assert new == (key not in first)
        assert first.setdefault(key, message["id"]) == message["id"]
    found = desks[0].all(conversation)
    assert [message["seq"] for message in found] == list(range(1, len(first) + 1))
    assert found == desks[1].all(conversation)


# -- a store that fails in the middle


class Flaky(ChatStore):
    """A store whose answers get lost: ``losses`` of the next writes are done, and nobody hears of it."""

    losses = 0
    deaf = 0

    def insert(self, documents: Any) -> tuple[int, bool]:
        if self.deaf:
            self.deaf -= 1
            raise AutoReconnect("nothing was written")
        answer = super().insert(documents)
        if self.losses:
            self.losses -= 1
            raise AutoReconnect("the answer was lost")
        return answer


@pytest.fixture
def flaky(store: Store) -> Flaky:
    return Flaky(store, Vault(store, VAULT_KEY))


def test_a_write_whose_answer_is_lost_is_acknowledged_and_told_once_it_is_found(store: Store, flaky: Flaky) -> None:
    desk, conversation = Desk(store, flaky), a_conversation(store)
    flaky.losses = 1
    message, _ = desk.send(CLIENT, conversation, "a")
    assert (message["seq"], desk.told) == (1, [1])
    assert desk.send(CLIENT, conversation, "b")[0]["seq"] == 2
    assert [kept["cmid"] for kept in desk.all(conversation)] == ["a", "b"]


def test_a_write_that_failed_is_tried_again_in_the_same_order(store: Store, flaky: Flaky) -> None:
    desk, conversation = Desk(store, flaky), a_conversation(store)
    flaky.deaf = 2
    jobs = [gevent.spawn(desk.send, CLIENT, conversation, f"m{number}") for number in range(5)]
    gevent.joinall(jobs, timeout=20, raise_error=True)
    assert [kept["cmid"] for kept in desk.all(conversation)] == [f"m{number}" for number in range(5)]
    assert desk.told == [1, 2, 3, 4, 5]


def test_what_was_refused_though_it_was_stored_is_told_when_it_is_sent_again(
    store: Store, flaky: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the write was lost for so long that the sender was told 503. The repeat finds the message, and
    the other side has never heard of it."""
    desk, conversation = Desk(store, flaky), a_conversation(store)
    monkeypatch.setattr(chat_module, "GIVE_UP_SECONDS", -1.0)
    flaky.losses = 1
    with pytest.raises(Refused) as refusal:
        desk.send(CLIENT, conversation, "a")
    assert refusal.value.status == 503
    monkeypatch.undo()
    assert desk.send(CLIENT, conversation, "a")[0]["seq"] == 1
    assert desk.told == [1]


def test_a_store_that_goes_while_messages_are_told_does_not_end_the_writing(store: Store) -> None:
    """Telling looks into the store too: a conversation that was forgotten, numbers that another gateway took."""
    desk, conversation = Desk(store), a_conversation(store)
    failures = 3

    def hear(_: Raw, messages: list[Raw]) -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise AutoReconnect("the store is away")
        desk.told.extend(message["seq"] for message in messages)

    desk.chat = Chat(desk.store, Grants(store), hear)
    assert desk.send(CLIENT, conversation, "a")[0]["seq"] == 1
    for id in ("b", "c", "d"):
        desk.send(CLIENT, conversation, id)
    assert [kept["seq"] for kept in desk.all(conversation)] == [1, 2, 3, 4]


def test_a_stop_waits_for_the_write_that_is_under_way(store: Store) -> None:
    class Slow(ChatStore):
        def insert(self, documents: Any) -> tuple[int, bool]:
            gevent.sleep(0.1)
            return super().insert(documents)

    desk, conversation = Desk(store, Slow(store, Vault(store, VAULT_KEY))), a_conversation(store)
    job = gevent.spawn(desk.send, CLIENT, conversation, "a")
    gevent.sleep(0.02)
    desk.chat.drain(10)
    assert desk.told == [1], "it was stored without anybody being told"
    gevent.joinall([job], timeout=20, raise_error=True)


# -- a write that is found again


def test_a_message_that_is_found_at_the_next_try_is_told_like_any_other(store: Store, flaky: Flaky) -> None:
    """The write went through, its answer did not, and the store stayed away until the next try met a duplicate."""
    desk, conversation = Desk(store, flaky), a_conversation(store)
    flaky.losses, flaky.deaf = 1, 0
    jobs = [gevent.spawn(desk.send, CLIENT, conversation, f"m{number}") for number in range(5)]
    gevent.joinall(jobs, timeout=20, raise_error=True)
    assert desk.told == [1, 2, 3, 4, 5]
    assert [job.value[1] for job in jobs] == [True] * 5


# -- editing and taking back


def changed(desk: Desk, conversation: str) -> list[tuple[Any, ...]]:
    """Of every entry: number, kind, text, and what became of it."""
    return [
        (
            shown["seq"],
            shown.get("kind"),
            shown["text"],
            *(change for change in ("edited_at", "taken_back_at") if change in shown),
        )
        for shown in map(desk.store.shown, desk.all(conversation))
    ]


def edit(desk: Desk, person: Identity, conversation: str, id: str, seq: int, text: str) -> tuple[Raw, bool]:
    with gevent.Timeout(20):
        return desk.chat.send(desk.chat.edit(person, conversation, id, seq, text))


def take_back(desk: Desk, person: Identity, conversation: str, id: str, seq: int) -> tuple[Raw, bool]:
    with gevent.Timeout(20):
        return desk.chat.send(desk.chat.take_back(person, conversation, id, seq))


def test_an_edit_is_an_entry_of_its_own_and_holds_for_whoever_reads_the_message(store: Store) -> None:
    desk, conversation = Desk(store), a_conversation(store)
    desk.send(CLIENT, conversation, "a", "on sunday")
    entry, new = edit(desk, CLIENT, conversation, "b", 1, "on monday")
    assert (entry["seq"], entry["kind"], entry["changes"], entry["text"], new) == (2, "edited", 1, "on monday", True)
    assert changed(desk, conversation) == [(1, None, "on monday", "edited_at"), (2, "edited", "on monday")]
    assert desk.told == [1, 2]
    assert edit(desk, CLIENT, conversation, "b", 1, "on monday") == (entry, False)
    assert desk.told == [1, 2]


def test_what_is_taken_back_is_destroyed_with_every_edit_of_it(store: Store) -> None:
    desk, conversation = Desk(store), a_conversation(store)
    desk.send(CLIENT, conversation, "a", "I did not mean it")
    edit(desk, CLIENT, conversation, "b", 1, "I meant it otherwise")
    desk.send(COACH, conversation, "c", "I am here")
    entry, _ = take_back(desk, CLIENT, conversation, "d", 1)
    assert (entry["seq"], entry["kind"], entry["changes"], entry["text"]) == (4, "taken_back", 1, None)
    assert changed(desk, conversation) == [
        (1, None, None, "edited_at", "taken_back_at"),
        (2, "edited", None),
        (3, None, "I am here"),
        (4, "taken_back", None),
    ]
    assert [kept["text"] is None for kept in desk.all(conversation)] == [True, True, False, True]
    assert take_back(desk, CLIENT, conversation, "d", 1) == (entry, False)


def test_only_ones_own_message_is_changed_and_only_for_a_day(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, conversation = Desk(store), a_conversation(store)
    desk.send(CLIENT, conversation, "a")
    edit(desk, CLIENT, conversation, "b", 1, "hello again")
    for person, seq in ((COACH, 1), (CLIENT, 2), (CLIENT, 9)):
        for change in (
            lambda p=person, s=seq: edit(desk, p, conversation, new(), s, "x"),
            lambda p=person, s=seq: take_back(desk, p, conversation, new(), s),
        ):
            with pytest.raises(Refused) as refusal:
                change()
            assert (refusal.value.status, list(refusal.value.problem["errors"])) == (422, ["seq"])
    monkeypatch.setattr(chat_module, "now", lambda: now() + timedelta(hours=24, seconds=1))
    with pytest.raises(Refused) as refusal:
        take_back(desk, CLIENT, conversation, "late", 1)
    assert refusal.value.problem["errors"] == {"seq": ["A message can be changed for 24 hours."]}
    # What was done in time is answered the same for ever.
    assert edit(desk, CLIENT, conversation, "b", 1, "hello again")[1] is False


def test_what_was_taken_back_is_not_edited_any_more(store: Store) -> None:
    desk, conversation = Desk(store), a_conversation(store)
    desk.send(CLIENT, conversation, "a")
    take_back(desk, CLIENT, conversation, "b", 1)
    with pytest.raises(Refused) as refusal:
        edit(desk, CLIENT, conversation, "c", 1, "again")
    assert refusal.value.status == 409


def test_words_are_taken_back_in_a_closed_conversation_too(store: Store) -> None:
    desk, conversation = Desk(store), a_conversation(store)
    desk.send(CLIENT, conversation, "a")
    desk.store.set_state(conversation, "open", "closed")
    desk.chat.forget()
    with pytest.raises(Refused) as refusal:
        edit(desk, CLIENT, conversation, "b", 1, "again")
    assert refusal.value.status == 409
    take_back(desk, CLIENT, conversation, "c", 1)
    assert changed(desk, conversation)[0] == (1, None, None, "taken_back_at")


def test_what_is_taken_back_or_only_changed_is_not_unread(store: Store) -> None:
    desk, conversation = Desk(store), a_conversation(store)
    for id in ("a", "b", "c"):
        desk.send(CLIENT, conversation, id)
    edit(desk, CLIENT, conversation, "d", 1, "hi")
    take_back(desk, CLIENT, conversation, "e", 2)
    found = desk.store.conversation(conversation)
    assert found is not None
    assert desk.store.unread(found, "sam") == 2
    assert desk.store.unread(found, "maya") == 0


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.permutations(["first", "second", "back", "first", "back", "second"]))
def test_entries_hold_alike_in_whatever_order_and_however_often_they_are_applied(
    store: Store, order: list[str]
) -> None:
    """A process may die between the entry and its effect, and another one catches up, in any order with others."""
    kept, conversation = ChatStore(store, Vault(store, VAULT_KEY)), a_conversation(store)
    drafts = {
        "said": Draft(conversation, "maya", "maya", "a", "one"),
        "first": Draft(conversation, "maya", "maya", "b", "two", "edited", changes=1),
        "second": Draft(conversation, "maya", "maya", "c", "three", "edited", changes=1),
        "back": Draft(conversation, "maya", "maya", "d", None, "taken_back", changes=1),
    }
    entries = {name: {**kept.seal(draft), "seq": seq} for seq, (name, draft) in enumerate(drafts.items(), 1)}
    kept.insert(list(entries.values()))
    edits = [name for name in order if name != "back"]
    for name in edits:
        kept.apply(entries[name])
    assert kept.shown(kept.after(conversation, 0, 1)[0])["text"] == "three"
    for name in order:
        kept.apply(entries[name])
    assert [message["text"] for message in kept.after(conversation, 0, 4)] == [None] * 4
    assert "taken_back_at" in kept.shown(kept.after(conversation, 0, 1)[0])


def test_an_entry_is_acknowledged_only_once_it_holds(store: Store) -> None:
    class Deaf(ChatStore):
        deaf = 1

        def apply(self, entry: Raw) -> None:
            if self.deaf:
                self.deaf -= 1
                raise AutoReconnect("the store is away")
            super().apply(entry)

    desk, conversation = Desk(store, Deaf(store, Vault(store, VAULT_KEY))), a_conversation(store)
    desk.send(CLIENT, conversation, "a")
    assert take_back(desk, CLIENT, conversation, "b", 1)[1] is True
    assert changed(desk, conversation) == [(1, None, None, "taken_back_at"), (2, "taken_back", None)]
    assert desk.told == [1, 2]


def test_an_entry_from_elsewhere_takes_the_next_number_and_messages_go_on_behind_it(store: Store) -> None:
    desk, conversation = Desk(store), a_conversation(store)
    desk.send(CLIENT, conversation, "a")
    kept = desk.store.append(Draft(conversation, "maya", "sam", "handed", None, "transferred", to="rosa"))
    assert desk.store.append(Draft(conversation, "maya", "sam", "handed", None, "transferred", to="rosa")) == kept
    assert desk.send(CLIENT, conversation, "b")[0]["seq"] == 3
    assert changed(desk, conversation) == [(1, None, "hello"), (2, "transferred", None), (3, None, "hello")]


# -- who may


def test_only_members_with_a_grant_that_holds_write(store: Store) -> None:
    desk, conversation = Desk(store), a_conversation(store)
    for person, where in ((OTHER, conversation), (CLIENT, "no such conversation")):
        with pytest.raises(Refused) as refusal:
            desk.send(person, where, "a")
        assert refusal.value.status == 404
    strangers = a_conversation(store, members=["maya", "rosa"])
    with pytest.raises(Refused) as refusal:
        desk.send(OTHER, strangers, "a")
    assert refusal.value.status == 404
    assert desk.send(CLIENT, strangers, "a")[0]["seq"] == 1
    given_on_duty = a_conversation(store, kind="on_duty", members=["maya", "rosa"])
    assert desk.send(OTHER, given_on_duty, "a")[0]["seq"] == 1


@pytest.mark.parametrize("scope", ["care", "cover", "peer"])
def test_a_grant_that_ended_ends_the_writing_as_soon_as_it_is_heard_of(
    embedded_store: EmbeddedStore, tmp_path: Path, scope: Scope
) -> None:
    own = connect("gateway-alone", settings_for(embedded_store.url, f"sqlite://{tmp_path / 'log'}"))
    make_indexes(own)
    grants = Grants(own)
    grants.keep(a_grant(scope))
    desk, conversation = Desk(own), a_conversation(own)
    desk.send(COACH, conversation, "a")
    ended = GrantEnded(id="end", at=now(), version=2, grant_id="grant", holder_id="sam", subject_id="maya", scope=scope)
    grants.keep(ended)
    desk.chat.forget()
    with pytest.raises(Refused) as refusal:
        desk.send(COACH, conversation, "b")
    assert refusal.value.status == 404
    assert desk.send(CLIENT, conversation, "c")[0]["seq"] == 2
    own.client.drop_database(own.records.name)
    own.close()


def test_a_closed_conversation_takes_no_more(store: Store) -> None:
    desk, conversation = Desk(store), a_conversation(store, state="closed")
    with pytest.raises(Refused) as refusal:
        desk.send(CLIENT, conversation, "a")
    assert refusal.value.status == 409


# -- what is said


def test_an_attachment_is_refused_with_what_can_be_done_instead() -> None:
    with pytest.raises(Refused) as refusal:
        check_draft({"conversation_id": "c", "client_message_id": "a", "text": "look", "attachments": ["photo"]})
    assert refusal.value.problem["errors"] == {
        "attachments": ["Attachments cannot be sent: a message is written words."]
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
TEXT = st.text(st.characters(), max_size=30) | st.sampled_from(["\x00", "\ud800", "x" * 8001, ""])
DRAFTS = JSON | st.fixed_dictionaries(
    {}, optional={"conversation_id": TEXT | JSON, "client_message_id": TEXT | JSON, "text": TEXT | JSON, "more": JSON}
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(DRAFTS)
def test_whatever_is_said_is_refused_by_name_or_can_be_kept(data: Any) -> None:
    wrong: dict[str, Any] | None = None
    try:
        conversation, id, text = check_draft(data)
    except Refused as refusal:
        wrong = refusal.problem
    if wrong is not None:
        assert wrong["status"] == 422
        assert wrong["errors"]
        return
    assert data == {"conversation_id": conversation, "client_message_id": id, "text": text}
    assert 1 <= len(text) <= 8000
    assert all(part.encode() and "\x00" not in part for part in (conversation, id, text))
