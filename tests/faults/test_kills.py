"""Parts are killed at random while people talk and check in: nothing acknowledged is lost, doubled or reordered."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.kafka.broker import Broker
from tests.app import App, alive, running, until
from tests.faults.talk import Crowd, Talker, patiently, talking

KILLS = int(os.environ.get("ALONGSIDE_FAULT_KILLS", "10"))
SEED = int(os.environ.get("ALONGSIDE_FAULT_SEED", "7"))
PAIRS = 3
GET_ON = 20


def in_turn(victims: dict[str, int]) -> Iterator[str]:
    """Whom to kill next, at random; each as often as asked for, in every round."""
    chance = random.Random(SEED)
    one_round = [name for name, times in victims.items() for _ in range(times)]
    while True:
        yield from chance.sample(one_round, len(one_round))


def kill(app: App, name: str) -> None:
    """Kill -9, and return when another was started in its place."""
    victim = app.part(name)
    victim.kill()
    until(lambda: not alive(victim), "it is dead")
    until(lambda: app.part(name).pid != victim.pid, f"{name} was started again")


def kill_one_after_the_other(names: Iterator[str], count: int, crowd: Crowd, end: Callable[[str], None]) -> None:
    """Each when the one before is back and people get on again."""
    for name in itertools.islice(names, count):
        end(name)
        before = crowd.progress()
        until(lambda b=before: crowd.progress() >= b + GET_ON, f"people get on after {name} was killed", 90)


@pytest.mark.timeout(180 + 30 * KILLS)
def test_kills_at_random_lose_double_and_reorder_nothing(app: App) -> None:
    victims = in_turn({"gateway": 2, "store": 2, "risk": 1, "push": 1})
    with talking(app, PAIRS) as crowd:
        kill_one_after_the_other(victims, KILLS, crowd, lambda name: kill(app, name))
    crowd.assert_whole()
    assert sum(talker.reconnects for talker in crowd.talkers) > len(crowd.talkers)


@pytest.mark.timeout(180 + 30 * KILLS)
def test_kills_among_several_gateway_processes_lose_double_and_reorder_nothing(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    with running(tmp_path, restart=True, processes=2) as app:

        def end(name: str) -> None:
            if name != "one of the gateways":
                return kill(app, name)
            victim = chance.choice(app.gateways())
            victim.kill()
            until(lambda: victim.pid not in {one.pid for one in app.gateways()}, "it is dead")
            return until(lambda: len(app.gateways()) == 2, "there are two again")

        victims = in_turn({"one of the gateways": 3, "store": 1, "gateway": 1})
        with talking(app, PAIRS) as crowd:
            kill_one_after_the_other(victims, max(5, KILLS // 4), crowd, end)
        crowd.assert_whole()


@pytest.mark.kafka
@pytest.mark.timeout(180 + 30 * KILLS)
def test_kills_at_random_of_parts_and_of_the_broker_lose_double_and_reorder_nothing(
    kafka_app: App, broker: Broker
) -> None:
    victims = in_turn({"gateway": 1, "store": 1, "risk": 1, "push": 1, "broker": 1})

    def end(name: str) -> None:
        if name == "broker":
            broker.kill()
            broker.start()
        else:
            kill(kafka_app, name)

    with talking(kafka_app, PAIRS) as crowd:
        kill_one_after_the_other(victims, max(5, KILLS // 2), crowd, end)
    crowd.assert_whole()
    for mine, theirs in crowd.pairs:
        assert_the_log_tells(mine, theirs)


def assert_the_log_tells(mine: Talker, theirs: Talker) -> None:
    """What one side reads comes to the other by the log, as soon as the broker is there again."""
    for phone in (mine.phone, theirs.phone):
        phone.connect()
    said = {"conversation_id": mine.conversation, "seq": len(mine.history)}
    assert mine.phone.call("conversation.read", said) == {"ok": True}
    theirs.phone.wait_for("cursor", lambda cursor: cursor["person_id"] == mine.phone.id, seconds=60)


def test_a_message_that_was_being_written_when_the_gateway_died_is_there_once(app: App) -> None:
    client, coach = app.pair()
    conversation = app.talk(client, coach)
    for _ in range(3):
        client.connect()
        for number in range(50):
            id = f"burst-{number}"
            said = {"conversation_id": conversation, "client_message_id": id, "text": id}
            client.say("message.send", said)
        kill(app, "gateway")
        until(lambda: not client.connected, "the socket is closed")
        patiently(lambda: client.get("/v1/me").status == 200 or None)
    patiently(lambda: client.connect())
    for number in range(50):
        client.send(conversation, f"burst-{number}", f"burst-{number}")
    messages = client.call("message.sync", {"conversation_id": conversation, "after": 0, "limit": 200})["messages"]
    assert [message["seq"] for message in messages] == list(range(1, 51))
    assert {message["client_message_id"] for message in messages} == {f"burst-{n}" for n in range(50)}
