"""``Aggregate.commit``: state, what was seen and what is to be told are one write, whoever else writes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import marshmallow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mongoengine import IntField, ListField, StringField

import infra.store
from infra.ids import new_id
from infra.log import open_log
from infra.store import (
    CARRIERS,
    SEEN_KEPT,
    STORE_DOWN,
    Aggregate,
    AlreadyDone,
    Conflict,
    Store,
    connect,
    keep_newer,
    prepare,
)
from infra.worker import Relay
from schemas.alumni import MemberJoined
from schemas.base import decode, now
from schemas.catalogue import EVENTS, TOPICS
from tests.store import EmbeddedStore, running_store
from tests.world import settings_for


class Tally(Aggregate):
    """What the tests change: numbers that were added, each with a fact."""

    meta: ClassVar[dict[str, Any]] = {"db_alias": "tally", "collection": "tallies", "indexes": ["word"]}
    total = IntField(default=0)
    word = StringField()
    added = ListField(IntField())

    def add(self, number: int) -> None:
        self.total += number
        self.added = [*self.added, number]
        self.record(MemberJoined, network_id=self.id, person_id=f"added-{number}")


@pytest.fixture(scope="module")
def store(embedded_store: EmbeddedStore) -> Iterator[Store]:
    opened = connect("tally", settings_for(embedded_store.url, "sqlite:///nowhere"))
    prepare(opened, Tally)
    yield opened
    opened.client.drop_database(opened.records.name)
    opened.close()


@pytest.fixture(autouse=True)
def silence(store: Store) -> Iterator[None]:
    """No relay listens, unless a test starts one."""
    yield
    store.committed = lambda *_: None


def a_tally(*numbers: int) -> Tally:
    tally = Tally(id=new_id())
    for number in numbers:
        tally.add(number)
    tally.commit()
    return tally


def outbox(id: str) -> list[MemberJoined]:
    raw = Tally.raw().find_one({"_id": id})
    assert raw is not None
    events = [decode(entry["value"], entry["headers"], EVENTS) for entry in raw["outbox"]]
    return [event for event in events if isinstance(event, MemberJoined)]


def kept(id: str) -> dict[str, Any]:
    raw = Tally.raw().find_one({"_id": id})
    assert raw is not None
    return raw


def test_state_what_was_seen_and_what_is_to_be_told_are_in_one_document() -> None:
    tally = Tally(id=new_id())
    tally.add(3)
    tally.commit("cause-1")

    raw = kept(tally.id)
    assert (raw["version"], raw["total"], raw["seen"]) == (1, 3, ["cause-1"])
    assert [(event.person_id, event.version) for event in outbox(tally.id)] == [("added-3", 1)]


def test_a_commit_is_one_single_write(monkeypatch: pytest.MonkeyPatch) -> None:
    tally = a_tally(1)
    writes: list[Any] = []
    real = Tally.raw()

    class Watched:
        def update_one(self, *arguments: Any) -> Any:
            writes.append(arguments)
            return real.update_one(*arguments)

    monkeypatch.setattr(Tally, "raw", classmethod(lambda _: Watched()))
    tally.add(2)
    tally.commit("cause-1")
    assert len(writes) == 1
    monkeypatch.undo()
    assert kept(tally.id)["seen"] == ["cause-1"]
    assert len(outbox(tally.id)) == 2


def test_somebody_elses_change_in_between_is_a_conflict_and_nothing_of_ours_is_written() -> None:
    id = a_tally(1).id
    ours, theirs = Tally.load(id), Tally.load(id)
    assert ours is not None
    assert theirs is not None
    theirs.add(2)
    theirs.commit()

    ours.add(3)
    with pytest.raises(Conflict):
        ours.commit("cause-1")
    assert kept(id)["added"] == [1, 2]
    assert kept(id)["seen"] == []
    assert [event.person_id for event in outbox(id)] == ["added-1", "added-2"]


def test_two_who_begin_the_same_document_conflict() -> None:
    id = new_id()
    Tally(id=id).commit()
    with pytest.raises(Conflict):
        Tally(id=id).commit()


def test_a_cause_is_applied_once() -> None:
    id = a_tally().id
    Tally.change(id, lambda tally: tally.add(1), cause="cause-1")
    with pytest.raises(AlreadyDone):
        Tally.change(id, lambda tally: tally.add(1), cause="cause-1")
    assert kept(id)["total"] == 1
    assert len(outbox(id)) == 1


def test_a_cause_that_began_a_document_is_applied_once() -> None:
    id = new_id()
    Tally.change(id, lambda tally: tally.add(1), cause="cause-1", create=True)
    with pytest.raises(AlreadyDone):
        Tally.change(id, lambda tally: tally.add(1), cause="cause-1", create=True)
    fresh = Tally(id=id)
    with pytest.raises(AlreadyDone):
        fresh.commit("cause-1")


def test_what_was_seen_does_not_grow_without_end() -> None:
    id = a_tally().id
    Tally.raw().update_one({"_id": id}, {"$set": {"seen": [f"old-{number}" for number in range(SEEN_KEPT)]}})
    Tally.change(id, lambda tally: tally.add(1), cause="newest")
    seen = kept(id)["seen"]
    assert len(seen) == SEEN_KEPT
    assert seen[-1] == "newest"
    assert "old-0" not in seen


def test_a_field_that_was_emptied_is_gone_from_the_store() -> None:
    tally = a_tally()
    tally.word = "here"
    tally.commit()
    assert kept(tally.id)["word"] == "here"
    Tally.change(tally.id, lambda tally: setattr(tally, "word", None))
    assert "word" not in kept(tally.id)
    loaded = Tally.load(tally.id)
    assert loaded is not None
    assert loaded.word is None


def test_a_list_that_was_emptied_is_empty_when_read_again() -> None:
    id = a_tally(1).id
    Tally.change(id, lambda tally: setattr(tally, "added", []))
    loaded = Tally.load(id)
    assert loaded is not None
    assert loaded.added == []


def test_a_field_of_a_newer_version_survives_an_older_writer() -> None:
    id = a_tally(1).id
    Tally.raw().update_one({"_id": id}, {"$set": {"not_invented_yet": "kept"}})
    Tally.change(id, lambda tally: tally.add(2))
    assert kept(id)["not_invented_yet"] == "kept"


def test_one_object_may_be_committed_again_and_again() -> None:
    tally = a_tally(1)
    tally.add(2)
    tally.commit()
    tally.add(3)
    tally.commit()
    assert tally.version == kept(tally.id)["version"] == 3
    assert [(event.person_id, event.version) for event in outbox(tally.id)] == [
        ("added-1", 1),
        ("added-2", 2),
        ("added-3", 3),
    ]


def test_an_event_that_is_kept_a_second_time_is_kept_once(store: Store) -> None:
    """As by a driver that did not hear the answer to the first time."""
    event = MemberJoined(id=new_id(), at=now(), version=1, network_id="river", person_id="maya")
    for _ in range(2):
        store.tell(event)
    assert store.collection(CARRIERS).count_documents({"_id": event.id}) == 1
    assert len(store.collection(CARRIERS).find_one({"_id": event.id})["outbox"]) == 1  # type: ignore[index]


def test_change_decides_again_on_the_newer_document() -> None:
    id = a_tally(1).id
    met: list[int] = []

    def act(tally: Tally) -> None:
        met.append(tally.total)
        if len(met) == 1:
            Tally.change(id, lambda other: other.add(10))
        tally.add(tally.total)

    Tally.change(id, act)
    assert met == [1, 11]
    assert kept(id)["total"] == 22


def test_change_gives_up_when_others_are_always_first() -> None:
    id = a_tally().id

    def act(tally: Tally) -> None:
        Tally.raw().update_one({"_id": id}, {"$inc": {"version": 1}})
        tally.add(1)

    with pytest.raises(Conflict):
        Tally.change(id, act)
    assert kept(id).get("total", 0) == 0


def test_change_of_what_is_not_there_says_so_unless_it_may_begin_it() -> None:
    id = new_id()
    with pytest.raises(KeyError):
        Tally.change(id, lambda tally: tally.add(1))
    assert Tally.load(id) is None
    assert Tally.change(id, lambda tally: tally.add(1), create=True).version == 1


def test_an_error_of_the_act_writes_nothing() -> None:
    id = a_tally(1).id

    def act(tally: Tally) -> None:
        tally.add(5)
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        Tally.change(id, act)
    assert kept(id)["total"] == 1
    assert len(outbox(id)) == 1


def test_an_event_that_its_schema_refuses_is_not_recorded() -> None:
    tally = a_tally()
    with pytest.raises(marshmallow.ValidationError, match="person_id"):
        tally.record(MemberJoined, network_id=tally.id, person_id="two words")


def test_only_a_commit_with_something_to_tell_rings(store: Store) -> None:
    rung: list[tuple[str, str]] = []
    store.committed = lambda collection, id: rung.append((collection, id))
    tally = a_tally()
    assert rung == []
    tally.add(1)
    tally.commit()
    assert rung == [("tallies", tally.id)]
    tally.word = "quiet"
    tally.commit()
    assert len(rung) == 1


def test_a_newer_copy_is_kept_and_an_older_one_that_comes_late_changes_nothing(store: Store) -> None:
    copies = store.collection("copies")
    id = new_id()
    assert keep_newer(copies, id, 2, {"on": True})
    assert not keep_newer(copies, id, 1, {"on": False})
    assert not keep_newer(copies, id, 2, {"on": False})
    assert copies.find_one({"_id": id}) == {"_id": id, "on": True, "version": 2}
    assert keep_newer(copies, id, 3, {"on": False})
    assert copies.find_one({"_id": id}) == {"_id": id, "on": False, "version": 3}


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(1, 6)))
def test_the_newest_copy_wins_in_whatever_order_they_come(order: list[int]) -> None:
    copies = Tally.store().collection("copies")
    id = new_id()
    for version in order:
        keep_newer(copies, id, version, {"state": f"of-{version}"})
    assert copies.find_one({"_id": id}) == {"_id": id, "state": "of-5", "version": 5}


changes = st.lists(st.tuples(st.integers(0, 7), st.booleans()), min_size=1, max_size=8)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(by_thread=st.lists(changes, min_size=2, max_size=4))
def test_whoever_races_every_cause_is_applied_once_and_every_fact_is_told_in_order(
    store: Store, tmp_path: Path, by_thread: list[list[tuple[int, bool]]]
) -> None:
    """Threads add numbers to one document. A number is its own cause, or it has none; a relay tells meanwhile."""
    id = a_tally().id
    log = open_log(f"sqlite://{tmp_path / new_id()}.sqlite")
    log.make_topics(TOPICS)
    witness = log.tail(["alumni"])
    relay = Relay(store, log)
    over = threading.Event()
    uncaused = Counter(number for changes in by_thread for number, has_cause in changes if not has_cause)
    caused = {number for changes in by_thread for number, has_cause in changes if has_cause}

    def act(changes: list[tuple[int, bool]]) -> None:
        for number, has_cause in changes:
            try:
                Tally.change(id, lambda tally, n=number: tally.add(n), cause=f"cause-{number}" if has_cause else None)  # type: ignore[misc]
            except AlreadyDone:
                assert has_cause

    def tell() -> None:
        while not over.is_set():
            relay.step(0.01)

    with ThreadPoolExecutor(len(by_thread) + 1) as pool:
        telling = pool.submit(tell)
        acting = [pool.submit(act, changes) for changes in by_thread]
        for future in acting:
            future.result()
        over.set()
        telling.result()
    relay.step(0)

    expected = uncaused + Counter(caused)
    raw = kept(id)
    assert Counter(raw["added"]) == expected
    assert raw["version"] == 1 + expected.total()
    assert raw["outbox"] == []
    told = [decode(record.value, record.headers, EVENTS) for record in witness.poll(0, most=1000)]
    assert [event.version for event in told] == list(range(2, 2 + expected.total())), "once each, in order"
    assert [f"added-{number}" for number in raw["added"]] == [
        event.person_id for event in told if isinstance(event, MemberJoined)
    ]
    witness.close()
    log.close()


def test_a_store_that_is_away_raises_what_is_worth_another_try_and_forgets_nothing(tmp_path: Path) -> None:
    with running_store(tmp_path / "store") as embedded:
        store = connect("away", settings_for(embedded.url, "sqlite:///nowhere"))
        try:
            store.ping()
            store.collection("things").insert_one({"_id": "acknowledged"})
            embedded.kill()
            with pytest.raises(STORE_DOWN):
                store.ping()
            embedded.start()
            assert store.collection("things").find_one({"_id": "acknowledged"}) is not None
        finally:
            store.close()


def test_opening_a_store_that_is_away_is_no_error() -> None:
    store = connect("nowhere", settings_for("mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=50", "sqlite:///nowhere"))
    store.close()
    assert "nowhere" not in infra.store._stores
