"""Who is given a client who asks for whoever is on duty, and who hears of a client to whom nobody comes."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from threading import Barrier
from typing import Any, TypeVar

import pytest
from prometheus_client import REGISTRY

from gateway import duty, service
from gateway.away import WORDS
from gateway.chat_store import ChatStore, Draft, new_conversation
from infra.ids import new_id
from infra.log import open_log
from infra.store import Raw
from infra.worker import Relay
from schemas.base import Event, decode, now
from schemas.catalogue import EVENTS, TOPICS
from schemas.chat import (
    ConversationClosed,
    ConversationTaken,
    ConversationTransferred,
    ConversationWaiting,
    MessageSent,
)
from schemas.coaching import CoachAvailabilityChanged, CoachWentOffDuty, CoachWentOnDuty
from schemas.crisis import crisis_cards
from schemas.people import GrantEnded, GrantGiven, PersonJoined, Scope
from tests.store import EmbeddedStore
from tests.world import environment_of, settings_for

E = TypeVar("E", bound=Event)
START = datetime(2026, 1, 31, 12, tzinfo=UTC)
_numbers = itertools.count(1)


@pytest.fixture
def store(embedded_store: EmbeddedStore, tmp_path: Path) -> Iterator[ChatStore]:
    """The gateway's own store, with nobody on duty. Supervisors are told after 300 seconds."""
    service.load().open(settings_for(embedded_store.url, f"sqlite://{tmp_path / 'log.sqlite'}"))
    service.prepare()
    yield ChatStore(service.store, service.vault)
    service.store.client.drop_database(service.store.records.name)
    service.store.client.drop_database(service.store.keys.name)
    service.store.close()


def wait(store: ChatStore, client: str = "maya", minutes: float = 0) -> str:
    """A client asks so many minutes after the start; the id of the conversation."""
    id = f"conversation-{next(_numbers):03}"
    made = new_conversation(id, "on_duty", client, [client], True, "print")
    assert store.open({**made, "waiting_since": START + timedelta(minutes=minutes)})
    return id


def on(*coaches: str, room: int | None = None) -> None:
    """Coaches go on duty, with so much room."""
    for coach in coaches:
        version = next(_numbers)
        if room is not None:
            duty.know_how_many_and_when(availability(coach, version, capacity=room))
        duty.know_who_is_on_duty(CoachWentOnDuty(id=new_id(), at=now(), version=version, coach_id=coach))


def off(coach: str) -> None:
    duty.know_who_is_on_duty(CoachWentOffDuty(id=new_id(), at=now(), version=next(_numbers), coach_id=coach))


def come_unheard(*coaches: str) -> None:
    """They are on duty, and nobody has been given to them yet."""
    service.store.collection("duty").insert_many(
        [{"_id": coach, "on": True, "version": next(_numbers)} for coach in coaches]
    )


def availability(
    coach: str, version: int, capacity: int = 8, back_at: datetime | None = None
) -> CoachAvailabilityChanged:
    return CoachAvailabilityChanged(
        id=new_id(), at=now(), version=version, coach_id=coach, capacity=capacity, back_at=back_at
    )


def found(store: ChatStore, id: str) -> Raw:
    conversation = store.conversation(id)
    assert conversation is not None
    return conversation


def who_has(store: ChatStore, id: str) -> list[str]:
    """Who talks with the client; nobody while it waits."""
    return list(found(store, id)["members"][1:])


def told(kind: type[E]) -> list[E]:
    """What is still to be told, by conversations or otherwise, the oldest first."""
    entries = [
        entry
        for place in ("conversations", "carriers")
        for document in service.store.collection(place).find({}, {"outbox": 1})
        for entry in document.get("outbox", [])
        if entry["headers"]["ce_type"] == kind.type_name()
    ]
    events = [decode(bytes(e["value"]), e["headers"], EVENTS) for e in sorted(entries, key=lambda e: str(e["id"]))]
    return [event for event in events if isinstance(event, kind)]


def supervisor(*people: str) -> None:
    for person in people:
        service.people.keep(PersonJoined(id=new_id(), at=now(), version=1, person_id=person, role="supervisor"))


# -- given


def test_the_oldest_is_given_first_and_each_to_whoever_has_the_fewest(store: ChatStore) -> None:
    late, early, middle = (wait(store, minutes=minutes) for minutes in (9, 1, 5))
    on("sam", room=2)
    assert (who_has(store, early), who_has(store, middle), who_has(store, late)) == (["sam"], ["sam"], [])
    on("rosa")
    assert who_has(store, late) == ["rosa"]
    next_one = wait(store)
    duty.give_what_was_left(now())
    assert who_has(store, next_one) == ["rosa"], "rosa has one, sam has two"


def test_nobody_is_given_more_than_one_has_room_for(store: ChatStore) -> None:
    waiting = [wait(store, minutes=number) for number in range(12)]
    on("sam", room=0)
    assert [who_has(store, id) for id in waiting] == [[]] * 12
    on("rosa", room=3)
    on("kim")
    assert Counter(coach for id in waiting for coach in who_has(store, id)) == {"rosa": 3, "kim": 8}
    assert who_has(store, waiting[-1]) == []


def test_whoever_makes_more_room_is_given_more_at_once(store: ChatStore) -> None:
    on("sam", room=0)
    id = wait(store)
    duty.give_what_was_left(now())
    assert who_has(store, id) == []
    duty.know_how_many_and_when(availability("sam", next(_numbers), capacity=1))
    assert who_has(store, id) == ["sam"]


def test_a_coach_off_duty_is_given_nobody_however_late_the_older_word_comes(store: ChatStore) -> None:
    word = CoachWentOnDuty(id=new_id(), at=now(), version=next(_numbers), coach_id="sam")
    off("sam")
    duty.know_who_is_on_duty(word)
    id = wait(store)
    duty.give_what_was_left(now())
    assert who_has(store, id) == []
    assert duty.on_duty() == []


def test_a_conversation_that_is_closed_makes_room_for_the_next(store: ChatStore) -> None:
    first, second = wait(store), wait(store, minutes=1)
    on("sam", room=1)
    closed = duty.close(found(store, first))
    assert closed is not None
    assert closed.tell == ["maya", "sam"]
    duty.give_to_whoever_is_free_again(closed)
    assert who_has(store, second) == ["sam"]
    assert found(store, first)["state"] == "closed"


def test_a_conversation_may_be_closed_while_it_waits_and_is_then_given_to_nobody(store: ChatStore) -> None:
    id = wait(store)
    assert duty.close(found(store, id)) is not None
    on("sam")
    assert (found(store, id)["state"], who_has(store, id), store.waiting()) == ("closed", [], [])


def test_what_is_closed_as_it_was_not_any_more_is_not_closed(store: ChatStore) -> None:
    as_it_was = found(store, wait(store))
    on("sam")
    assert duty.close(as_it_was) is None
    assert found(store, as_it_was["_id"])["state"] == "open"
    assert told(ConversationClosed) == []


def test_by_hand_one_may_take_more_and_only_the_first_takes_it(store: ChatStore) -> None:
    on("sam", room=1)
    wait(store)
    duty.give_what_was_left(now())
    second = found(store, wait(store, minutes=1))
    taken = duty.take(second, "sam")
    assert taken is not None
    assert taken.tell == ["maya", "sam"]
    assert duty.take(second, "rosa") is None
    assert who_has(store, second["_id"]) == ["sam"]
    assert len(told(ConversationTaken)) == 2


def test_whoever_hands_over_is_out_and_the_other_is_in_and_woken(store: ChatStore) -> None:
    id = wait(store)
    on("sam")
    as_it_was = found(store, id)
    assert duty.hand_over(as_it_was, "rosa") is not None
    assert found(store, id)["members"] == ["maya", "rosa"]
    (changed,) = told(ConversationTransferred)
    assert changed.tell == ["maya", "sam", "rosa"]
    assert [event.tell for event in told(ConversationTaken) if type(event) is ConversationTaken][-1] == ["rosa"]
    assert duty.hand_over(as_it_was, "kim") is None, "sam has it no more"
    assert (store.open_count("sam"), store.open_count("rosa")) == (0, 1)


def test_a_hand_over_is_marked_once_between_the_messages_however_often_it_is_heard(store: ChatStore) -> None:
    id = wait(store)
    on("sam")
    store.append(Draft(id, "maya", "maya", "a", "hello"))
    duty.hand_over(found(store, id), "rosa")
    (changed,) = told(ConversationTransferred)
    for _ in range(2):
        duty.mark_the_hand_over(changed)
    assert [(entry["seq"], entry.get("kind"), entry.get("to")) for entry in store.after(id, 0, 9)] == [
        (1, None, None),
        (2, "transferred", "rosa"),
    ]
    assert store.after(id, 0, 9)[1]["sender"] == "sam"
    assert {(event.from_seq, event.to_seq, *event.senders) for event in told(MessageSent)} == {(2, 2)}


def test_what_is_told_is_kept_with_the_change_and_the_relay_tells_it(store: ChatStore) -> None:
    log = open_log(service.settings.log_url)
    log.make_topics(TOPICS)
    reader = log.tail(["chat"])
    wait(store)
    on("sam")
    (before,) = told(ConversationTaken)
    assert Relay(service.store, log).sweep(-1) == 1
    records = [record for _ in range(3) for record in reader.poll(0.2)]
    assert [decode(record.value, record.headers, EVENTS) for record in records] == [before]
    assert told(ConversationTaken) == []
    reader.close()
    log.close()


# -- races


def test_however_many_give_at_once_nobody_gets_more_than_one_has_room_for(store: ChatStore) -> None:
    waiting = [wait(store, minutes=number) for number in range(12)]
    together = Barrier(6)
    for coach in ("sam", "rosa"):
        duty.know_how_many_and_when(availability(coach, next(_numbers), capacity=3))
    come_unheard("sam", "rosa")

    def give() -> int:
        together.wait()
        return len(duty.give_waiting())

    with ThreadPoolExecutor(6) as pool:
        given = sum(racing.result() for racing in [pool.submit(give) for _ in range(6)])
    assert Counter(coach for id in waiting for coach in who_has(store, id)) == {"sam": 3, "rosa": 3}
    assert given == len(told(ConversationTaken)) == 6


RACER = """
    import sys
    from infra.settings import read_settings
    from gateway import service

    service.load().open(read_settings())
    service.store.ping()
    from gateway import duty

    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(5):
        duty.give_waiting()
"""


def test_two_processes_that_give_at_once_keep_to_the_room_too(store: ChatStore) -> None:
    waiting = [wait(store, minutes=number) for number in range(40)]
    duty.know_how_many_and_when(availability("sam", next(_numbers), capacity=20))
    come_unheard("sam")
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", dedent(RACER)],
            env=environment_of(service.settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for racer in racers:
        with racer:
            assert racer.wait(60) == 0
    taken = [id for id in waiting if who_has(store, id)]
    assert taken == waiting[:20]
    assert sorted(event.conversation_id for event in told(ConversationTaken)) == taken


def test_of_many_who_take_the_same_by_hand_one_does(store: ChatStore) -> None:
    conversation = found(store, wait(store))
    together = Barrier(5)

    def take(coach: str) -> bool:
        together.wait()
        return duty.take(conversation, coach) is not None

    with ThreadPoolExecutor(5) as pool:
        assert sorted(pool.map(take, "abcde")) == [False, False, False, False, True]
    assert len(found(store, conversation["_id"])["members"]) == 2


# -- nobody takes it


def test_supervisors_hear_after_the_first_wait_and_then_ever_less_often(store: ChatStore) -> None:
    supervisor("ines", "otto")
    id = wait(store)
    minutes = [5, 10, 20, 40, 60, 60]
    moment = START
    for number, wait_minutes in enumerate(minutes):
        moment += timedelta(minutes=wait_minutes)
        duty.tell_of_those_who_wait(moment - timedelta(milliseconds=1))
        assert len(told(ConversationWaiting)) == number
        for _ in range(2):
            duty.tell_of_those_who_wait(moment)
        assert len(told(ConversationWaiting)) == number + 1
    first, *_, last = told(ConversationWaiting)
    assert (first.conversation_id, first.tell, first.waited_seconds) == (id, ["ines", "otto"], 300)
    assert last.waited_seconds == sum(minutes) * 60
    assert found(store, id)["escalated_at"] == moment


def test_supervisors_hear_no_more_of_one_that_somebody_took_or_closed(store: ChatStore) -> None:
    supervisor("ines")
    taken, closed, waits = (wait(store, minutes=number) for number in range(3))
    duty.take(found(store, taken), "sam")
    duty.close(found(store, closed))
    duty.tell_of_those_who_wait(START + timedelta(hours=1))
    assert [event.conversation_id for event in told(ConversationWaiting)] == [waits]


def test_with_no_supervisor_it_stays_due_for_the_first_there_is(store: ChatStore) -> None:
    wait(store)
    duty.tell_of_those_who_wait(START + timedelta(hours=5))
    assert told(ConversationWaiting) == []
    supervisor("ines")
    duty.tell_of_those_who_wait(START + timedelta(hours=5, seconds=2))
    assert [event.tell for event in told(ConversationWaiting)] == [["ines"]]


def test_clocks_that_race_tell_supervisors_once(store: ChatStore) -> None:
    supervisor("ines")
    for number in range(3):
        wait(store, minutes=number / 10)
    together = Barrier(4)

    def act() -> None:
        together.wait()
        duty.tell_of_those_who_wait(START + timedelta(minutes=6))

    with ThreadPoolExecutor(4) as pool:
        for racing in [pool.submit(act) for _ in range(4)]:
            racing.result()
    events = told(ConversationWaiting)
    assert len(events) == len({event.conversation_id for event in events}) == 3


def test_an_operator_sees_how_many_wait_and_how_long(store: ChatStore) -> None:
    def figures() -> tuple[Any, Any]:
        names = ("alongside_conversations_waiting", "alongside_conversation_longest_wait_seconds")
        return REGISTRY.get_sample_value(names[0]), REGISTRY.get_sample_value(names[1])

    ids = [wait(store, minutes=minutes) for minutes in (3, 1)]
    duty.tell_of_those_who_wait(START + timedelta(minutes=4))
    assert figures() == (2, 180)
    for id in ids:
        duty.close(found(store, id))
    duty.tell_of_those_who_wait(START + timedelta(minutes=5))
    assert figures() == (0, 0)


def test_those_who_wait_are_listed_page_by_page_whoever_is_taken_in_between(store: ChatStore) -> None:
    ids = [wait(store, minutes=minutes) for minutes in (0, 0, 1, 2, 3)]
    assert [raw["_id"] for raw in store.waiting(2)] == ids[:2]
    assert [raw["_id"] for raw in store.waiting(2, ids[0])] == ids[1:3]
    assert [raw["_id"] for raw in store.waiting(9, ids[2])] == ids[3:]
    duty.take(found(store, ids[2]), "sam")
    assert set(ids[3:]) <= {raw["_id"] for raw in store.waiting(9, ids[2])}


# -- who may still talk


def grant(kind: type[GrantGiven | GrantEnded], holder: str, scope: Scope) -> None:
    """As it is heard: kept, then acted upon."""
    event = kind(
        id=new_id(),
        at=now(),
        version=next(_numbers),
        grant_id=f"{holder}-{scope}",
        holder_id=holder,
        subject_id="maya",
        scope=scope,
    )
    service.grants.keep(event)
    act = duty.open_what_was_closed if isinstance(event, GrantGiven) else duty.close_what_is_between
    act(event)  # type: ignore[arg-type]


@pytest.mark.parametrize("scope", ["care", "cover", "peer"])
def test_a_talk_closes_when_nothing_allows_it_any_more_and_opens_again(store: ChatStore, scope: Scope) -> None:
    grant(GrantGiven, "sam", scope)
    id = f"conversation-{next(_numbers):03}"
    assert store.open(new_conversation(id, "direct", "maya", ["maya", "sam"], False, "print"))
    grant(GrantEnded, "sam", scope)
    assert found(store, id)["state"] == "closed"
    grant(GrantGiven, "sam", scope)
    assert found(store, id)["state"] == "open"


def test_a_coach_whose_time_as_a_peer_is_over_is_still_the_coach_and_the_other_way_round(store: ChatStore) -> None:
    grant(GrantGiven, "sam", "care")
    grant(GrantGiven, "sam", "peer")
    id = f"conversation-{next(_numbers):03}"
    assert store.open(new_conversation(id, "direct", "maya", ["maya", "sam"], False, "print"))
    grant(GrantEnded, "sam", "peer")
    assert found(store, id)["state"] == "open"
    grant(GrantGiven, "sam", "peer")
    grant(GrantEnded, "sam", "care")
    assert found(store, id)["state"] == "open"
    grant(GrantEnded, "sam", "peer")
    assert found(store, id)["state"] == "closed"


# -- what a client is told meanwhile


@pytest.mark.usefixtures("store")
def test_with_nobody_on_duty_a_client_is_told_when_the_first_is_expected() -> None:
    early, late = now() + timedelta(hours=2), now() + timedelta(hours=3)
    for coach, back_at in (("sam", late), ("rosa", early), ("kim", None), ("lee", now() - timedelta(hours=1))):
        duty.know_how_many_and_when(availability(coach, next(_numbers), back_at=back_at))
    said = duty.away_words(None)
    assert (said.words, said.expected_at) == (WORDS["en"].expected, early)
    assert said.cards == crisis_cards("US")


@pytest.mark.usefixtures("store")
def test_when_nobody_knows_nothing_is_promised() -> None:
    duty.know_how_many_and_when(availability("lee", next(_numbers), back_at=now() - timedelta(hours=1)))
    said = duty.away_words("es")
    assert (said.words, said.expected_at) == (WORDS["es"].unknown, None)
    assert said.cards


@pytest.mark.usefixtures("store")
def test_while_somebody_is_on_duty_a_client_is_in_line() -> None:
    duty.know_how_many_and_when(availability("sam", next(_numbers), back_at=now() + timedelta(hours=1)))
    on("rosa", room=0)
    said = duty.away_words("en")
    assert (said.words, said.expected_at) == (WORDS["en"].in_line, None)
    assert said.cards
