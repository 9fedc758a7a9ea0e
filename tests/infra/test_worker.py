"""How a consumed event ends, and how what an outbox holds is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from mongoengine import ListField, StringField
from prometheus_client import REGISTRY
from pymongo.errors import AutoReconnect, ServerSelectionTimeoutError

from infra import telemetry
from infra.ids import id_at, new_id
from infra.log import Log, LogDown, Outgoing, open_log, partition_of
from infra.service import Service
from infra.store import CARRIERS, Aggregate, AlreadyDone, Conflict
from infra.worker import PASSING, TRIES, Later, Relay, Worker, backoff
from schemas.alumni import MemberJoined, MemberLeft
from schemas.base import Event, decode, encode, now
from schemas.catalogue import EVENTS, PARTITIONS, TOPICS
from tests.store import EmbeddedStore
from tests.world import settings_for


class Book(Aggregate):
    """Keeps who joined, so that a test sees what was applied."""

    meta: ClassVar[dict[str, Any]] = {"db_alias": "hearer", "collection": "books"}
    joined = ListField(StringField())

    def write(self, person_id: str) -> None:
        self.joined = [*self.joined, person_id]

    def tell(self, *people: str) -> None:
        for person in people:
            self.record(MemberJoined, network_id=self.id, person_id=person)


class Hearer:
    """One service with a log, a worker, a relay and a clock that a test moves."""

    def __init__(self, store_url: str, log_url: str) -> None:
        self.service = Service("hearer", home="tests.infra", rooms=())
        self.service.aggregates = (Book,)
        self.service.open(settings_for(store_url, log_url)).prepare()
        self.log: Log = open_log(log_url)
        self.log.make_topics(TOPICS)
        self.clock = 0.0
        self.worker = Worker(self.service, self.log, clock=lambda: self.clock)
        self.heard: list[str] = []

    def close(self) -> None:
        self.worker.close()
        self.log.close()
        self.service.store.client.drop_database(self.service.store.records.name)
        self.service.store.client.drop_database(self.service.store.keys.name)
        self.service.store.close()

    def hear(self, act: Callable[[MemberJoined], None] = lambda _: None) -> None:
        """React to members joining, noting what was handled without an error."""

        @self.service.on(MemberJoined)
        def note(event: MemberJoined) -> None:
            act(event)
            self.heard.append(event.person_id)

    def publish(self, *events: Event) -> None:
        self.log.publish([Outgoing(event.topic, event.partition_key, *encode(event)) for event in events])

    def step(self) -> int:
        return self.worker.step(0)

    def later(self) -> None:
        """Let the longest backoff pass."""
        self.clock += 10

    def exhaust(self) -> None:
        """Step until every try is used up."""
        for _ in range(TRIES):
            self.step()
            self.later()

    def letters(self) -> list[dict[str, Any]]:
        return list(self.service.store.collection("dead").find())

    def committed_again(self) -> list[str]:
        """What another worker of the group would be given: nothing, where all was committed."""
        self.worker.close()
        self.worker = Worker(self.service, self.log)
        self.heard.clear()
        self.step()
        return list(self.heard)


@pytest.fixture
def hearer(embedded_store: EmbeddedStore, tmp_path: Path) -> Iterator[Hearer]:
    opened = Hearer(embedded_store.url, f"sqlite://{tmp_path / 'log.sqlite'}")
    yield opened
    opened.close()


def joined(person: str, network: str = "n") -> MemberJoined:
    return MemberJoined(id=new_id(), at=now(), version=1, network_id=network, person_id=person)


def two_networks_apart() -> tuple[str, str]:
    """Two keys that land in different partitions."""
    first = "n0"
    other = next(
        name
        for name in (f"n{number}" for number in range(1, 100))
        if partition_of(name, PARTITIONS) != partition_of(first, PARTITIONS)
    )
    return first, other


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


# -- done


def test_what_was_handled_is_done_and_never_comes_again(hearer: Hearer) -> None:
    hearer.hear()
    hearer.publish(joined("a"), joined("b"))
    assert hearer.step() == 2
    assert hearer.heard == ["a", "b"]
    assert hearer.committed_again() == []


def test_an_event_that_nobody_here_reacts_to_is_done(hearer: Hearer) -> None:
    hearer.hear()
    hearer.publish(MemberLeft(id=new_id(), at=now(), version=1, network_id="n", person_id="p"), joined("a"))
    assert hearer.step() == 2
    assert hearer.heard == ["a"]


def test_an_event_that_was_applied_before_is_done(hearer: Hearer) -> None:
    def already(_: MemberJoined) -> None:
        raise AlreadyDone

    hearer.hear(already)
    hearer.publish(joined("a"))
    assert hearer.step() == 1
    assert hearer.letters() == []
    assert hearer.committed_again() == []


def test_a_handler_that_was_through_does_not_keep_the_next_one_from_its_turn(hearer: Hearer) -> None:
    def already(_: MemberJoined) -> None:
        raise AlreadyDone

    hearer.service.on(MemberJoined)(already)
    hearer.hear()
    hearer.publish(joined("a"))
    hearer.step()
    assert hearer.heard == ["a"]


def test_a_type_that_is_not_known_is_counted_and_passed(hearer: Hearer) -> None:
    hearer.hear()
    before = count("alongside_events_unknown_total", service="hearer")
    hearer.log.publish([Outgoing("alumni", "n", b"{}", {"ce_type": "alongside.alumni.NotInventedYet"})])
    hearer.publish(joined("a"))
    assert hearer.step() == 2
    assert hearer.heard == ["a"]
    assert hearer.letters() == []
    assert count("alongside_events_unknown_total", service="hearer") == before + 1


def test_the_request_that_caused_an_event_is_known_while_it_is_handled(hearer: Hearer) -> None:
    found: list[str | None] = []
    hearer.hear(lambda _: found.append(telemetry.request_id.get()))
    event = joined("a")
    hearer.log.publish([Outgoing("alumni", "n", *encode(event, "request-7"))])
    before = telemetry.request_id.get()
    hearer.step()
    assert found == ["request-7"]
    assert telemetry.request_id.get() == before


# -- retry


@pytest.mark.parametrize(
    "passing", [Later, Conflict, LogDown, AutoReconnect, ServerSelectionTimeoutError], ids=lambda kind: kind.__name__
)
def test_what_passes_is_tried_for_as_long_as_it_takes_and_the_order_is_kept(
    hearer: Hearer, passing: type[Exception]
) -> None:
    assert issubclass(passing, PASSING)
    tries: list[str] = []

    def act(event: MemberJoined) -> None:
        tries.append(event.person_id)
        if len(tries) <= TRIES * 3:
            raise passing("for now")

    hearer.hear(act)
    hearer.publish(joined("a"), joined("b"), joined("c"))
    for _ in range(TRIES * 3):
        assert hearer.step() == 0
        assert hearer.worker.waiting() == 1
        hearer.later()
    assert hearer.step() == 3
    assert hearer.heard == ["a", "b", "c"]
    assert tries == ["a"] * (TRIES * 3 + 1) + ["b", "c"]
    assert hearer.letters() == []
    assert hearer.committed_again() == []


def test_what_waits_holds_its_own_partition_and_no_other(hearer: Hearer) -> None:
    slow, fast = two_networks_apart()
    stuck = True

    def act(event: MemberJoined) -> None:
        if event.network_id == slow and stuck:
            raise Later

    hearer.hear(act)
    hearer.publish(joined("s1", slow), joined("f1", fast), joined("s2", slow), joined("f2", fast))
    hearer.step()
    hearer.publish(joined("f3", fast))
    hearer.step()
    assert hearer.heard == ["f1", "f2", "f3"]
    stuck = False
    hearer.later()
    hearer.step()
    assert hearer.heard == ["f1", "f2", "f3", "s1", "s2"]


def test_nothing_is_committed_of_what_waits(hearer: Hearer) -> None:
    stuck = True

    def act(_: MemberJoined) -> None:
        if stuck:
            raise Later

    hearer.hear(act)
    hearer.publish(joined("a"), joined("b"))
    hearer.step()
    # The process dies here; another takes over.
    stuck = False
    assert hearer.committed_again() == ["a", "b"]


def test_what_waits_is_not_tried_before_its_time(hearer: Hearer) -> None:
    tries: list[str] = []

    def act(event: MemberJoined) -> None:
        tries.append(event.person_id)
        raise Later

    hearer.hear(act)
    hearer.publish(joined("a"))
    hearer.step()
    hearer.clock += backoff(1) / 2
    hearer.step()
    assert tries == ["a"]
    hearer.clock += backoff(1)
    hearer.step()
    assert tries == ["a", "a"]


def test_the_pause_between_tries_grows_and_ends_at_five_seconds() -> None:
    pauses = [backoff(attempt) for attempt in range(1, 200)]
    assert pauses[0] == 0.05
    assert pauses == sorted(pauses)
    assert pauses[-1] == 5.0


def test_an_error_of_ours_that_a_second_try_wins_is_done(hearer: Hearer) -> None:
    tries: list[str] = []

    def act(event: MemberJoined) -> None:
        tries.append(event.person_id)
        if len(tries) < TRIES:
            raise ArithmeticError

    hearer.hear(act)
    hearer.publish(joined("a"), joined("b"))
    hearer.exhaust()
    assert hearer.heard == ["a", "b"]
    assert hearer.letters() == []


# -- dead


def broken(event: MemberJoined) -> None:
    if event.person_id == "bad":
        raise ArithmeticError("it does not add up")


def test_what_stays_broken_is_kept_with_its_origin_and_error_and_the_rest_goes_on(hearer: Hearer) -> None:
    hearer.hear(broken)
    bad = joined("bad")
    hearer.publish(joined("a"), bad, joined("b"))
    hearer.exhaust()

    assert hearer.heard == ["a", "b"]
    (letter,) = hearer.letters()
    assert letter["_id"] == f"alumni-{partition_of('n', PARTITIONS)}-1"
    assert (letter["topic"], letter["key"], letter["offset"]) == ("alumni", "n", 1)
    assert decode(letter["value"], letter["headers"], EVENTS) == bad
    assert letter["error"] == "ArithmeticError: it does not add up"
    assert "in broken" in letter["trace"]
    assert abs(letter["died_at"] - now()) < timedelta(minutes=1)
    assert count("alongside_dead_letters", service="hearer") == 1
    assert hearer.committed_again() == []


def test_what_cannot_be_read_is_dead_at_once(hearer: Hearer) -> None:
    hearer.hear()
    hearer.log.publish([Outgoing("alumni", "n", b"not json", encode(joined("x"))[1])])
    hearer.publish(joined("a"))
    assert hearer.step() == 2
    assert hearer.heard == ["a"]
    (letter,) = hearer.letters()
    assert letter["error"].startswith("Unreadable")
    assert letter["value"] == b"not json"


def test_an_event_is_not_given_up_while_there_is_no_store_to_keep_it_in(
    hearer: Hearer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hearer.hear(broken)
    hearer.publish(joined("bad"), joined("b"))
    dead = hearer.service.store.collection("dead")

    class Away:
        def update_one(self, *_: Any, **__: Any) -> None:
            raise AutoReconnect

    monkeypatch.setattr(hearer.service.store, "collection", lambda name: Away() if name == "dead" else None)
    for _ in range(TRIES + 3):
        hearer.step()
        hearer.later()
    assert hearer.heard == []
    monkeypatch.undo()
    assert dead.count_documents({}) == 0
    hearer.step()
    assert len(hearer.letters()) == 1
    assert hearer.heard == ["b"]


def test_a_replay_that_succeeds_removes_the_letter(hearer: Hearer) -> None:
    mended = False

    def act(event: MemberJoined) -> None:
        if not mended:
            broken(event)

    hearer.hear(act)
    hearer.publish(joined("bad"))
    hearer.exhaust()
    hearer.worker.replay()
    assert len(hearer.letters()) == 1, "nobody asked for it yet"

    mended = True
    hearer.service.store.collection("dead").update_many({}, {"$set": {"replay": True}})
    hearer.worker.replay()
    assert hearer.heard == ["bad"]
    assert hearer.letters() == []
    assert count("alongside_dead_letters", service="hearer") == 0


def test_a_replay_that_dies_again_keeps_the_letter_with_its_new_error(hearer: Hearer) -> None:
    words = ["first"]

    def act(_: MemberJoined) -> None:
        raise ArithmeticError(words[0])

    hearer.hear(act)
    hearer.publish(joined("bad"))
    hearer.exhaust()
    words[0] = "second"
    hearer.service.store.collection("dead").update_many({}, {"$set": {"replay": True}})
    hearer.worker.replay()
    (letter,) = hearer.letters()
    assert letter["error"] == "ArithmeticError: second"
    assert "replay" not in letter


def test_a_replay_that_meets_a_store_that_is_away_is_asked_for_still(hearer: Hearer) -> None:
    away = False

    def act(_: MemberJoined) -> None:
        if away:
            raise AutoReconnect
        raise ArithmeticError

    hearer.hear(act)
    hearer.publish(joined("bad"))
    hearer.exhaust()
    away = True
    hearer.service.store.collection("dead").update_many({}, {"$set": {"replay": True}})
    with pytest.raises(AutoReconnect):
        hearer.worker.replay()
    assert [letter.get("replay") for letter in hearer.letters()] == [True]


def test_two_workers_share_the_work_and_each_event_is_applied_once(hearer: Hearer) -> None:
    def write(event: MemberJoined) -> None:
        Book.change("book", lambda book: book.write(event.person_id), cause=event.id, create=True)

    hearer.service.on(MemberJoined)(write)
    people = [f"p{number}" for number in range(60)]
    hearer.publish(*(joined(person, network=person) for person in people))
    over = threading.Event()

    def work() -> None:
        worker = Worker(hearer.service, hearer.log)
        while not over.is_set():
            worker.step(0.01)
        worker.close()

    with ThreadPoolExecutor(2) as pool:
        working = [pool.submit(work) for _ in range(2)]
        wait_until(lambda: len((Book.load("book") or Book()).joined) >= len(people))
        over.set()
        for future in working:
            future.result()
    book = Book.load("book")
    assert book is not None
    assert sorted(book.joined) == sorted(people)
    assert hearer.letters() == []


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"


# -- the relay


def told_by(reader: Any) -> list[Event]:
    return [decode(record.value, record.headers, EVENTS) for record in reader.poll(0, most=1000)]


def outboxes() -> list[Any]:
    return [document["outbox"] for document in Book.raw().find()]


def test_the_relay_tells_after_the_commit_and_empties_the_outbox(hearer: Hearer) -> None:
    reader = hearer.log.tail(["alumni"])
    relay = Relay(hearer.service.store, hearer.log)
    book = Book(id="b")
    book.tell("x", "y")
    assert relay.step(0) == 0, "nothing is told before it is true"
    book.commit()
    assert relay.step(0) == 2
    assert [event.person_id for event in told_by(reader) if isinstance(event, MemberJoined)] == ["x", "y"]
    assert outboxes() == [[]]
    assert relay.step(0) == 0
    reader.close()


def test_the_sweep_tells_what_a_crash_left_behind(hearer: Hearer) -> None:
    reader = hearer.log.tail(["alumni"])
    book = Book(id="b")
    book.tell("x")
    book.commit()
    # The process died between the commit and the telling; this is the one that was started in its place.
    relay = Relay(hearer.service.store, hearer.log)
    assert relay.step(0) == 0
    assert relay.sweep() == 0, "a young one is on its way already"
    assert relay.sweep(older_than=-1) == 1
    assert len(told_by(reader)) == 1
    assert outboxes() == [[]]
    reader.close()


def test_the_sweep_finds_what_is_older_than_two_seconds_by_itself(hearer: Hearer) -> None:
    book = Book(id="b")
    book.tell("x")
    book.commit()
    old = id_at(now() - timedelta(seconds=Relay.LEFT_BEHIND_SECONDS + 1))
    Book.raw().update_one({"_id": "b"}, {"$set": {"outbox.0.id": old}})
    assert Relay(hearer.service.store, hearer.log).sweep() == 1


def test_an_event_without_a_document_is_carried_and_then_let_go(hearer: Hearer) -> None:
    reader = hearer.log.tail(["alumni"])
    relay = Relay(hearer.service.store, hearer.log)
    event = joined("a")
    hearer.service.store.tell(event)
    assert relay.step(0) == 1
    assert told_by(reader) == [event]
    assert hearer.service.store.collection(CARRIERS).count_documents({}) == 0
    reader.close()


def test_a_log_that_is_down_loses_nothing(hearer: Hearer) -> None:
    class Down:
        def publish(self, _: Any) -> None:
            raise LogDown

    relay = Relay(hearer.service.store, Down())  # type: ignore[arg-type]
    book = Book(id="b")
    book.tell("x")
    book.commit()
    with pytest.raises(LogDown):
        relay.step(0)
    assert len(outboxes()[0]) == 1
    assert Relay(hearer.service.store, hearer.log).sweep(older_than=-1) == 1


def test_what_was_committed_while_the_relay_told_is_not_lost(hearer: Hearer) -> None:
    class Slow:
        def publish(self, records: Any) -> None:
            if not late:
                late.append(Book.change("b", lambda book: book.tell("late")))
            hearer.log.publish(records)

    late: list[Book] = []
    reader = hearer.log.tail(["alumni"])
    relay = Relay(hearer.service.store, Slow())  # type: ignore[arg-type]
    book = Book(id="b")
    book.tell("early")
    book.commit()
    relay.step(0)
    assert [entry["id"] for entry in outboxes()[0]], "only what was told is taken out"
    relay.step(0)
    assert [event.person_id for event in told_by(reader) if isinstance(event, MemberJoined)] == [
        "early",
        "late",
    ]
    reader.close()


def test_two_relays_at_once_tell_each_event_and_the_first_tellings_are_in_order(hearer: Hearer) -> None:
    reader = hearer.log.tail(["alumni"])
    over = threading.Event()
    changes = 40

    def tell() -> None:
        relay = Relay(hearer.service.store, open_log(hearer.service.settings.log_url))
        while not over.is_set():
            relay.step(0)
            relay.sweep(older_than=-1)
        relay.sweep(older_than=-1)

    with ThreadPoolExecutor(2) as pool:
        telling = [pool.submit(tell) for _ in range(2)]
        for number in range(changes):
            Book.change("b", lambda book, n=number: book.tell(f"p{n}"), create=True)  # type: ignore[misc]
        over.set()
        for future in telling:
            future.result()
    told = [event.person_id for event in told_by(reader) if isinstance(event, MemberJoined)]
    assert list(dict.fromkeys(told)) == [f"p{number}" for number in range(changes)]
    assert outboxes() == [[]]
    reader.close()
