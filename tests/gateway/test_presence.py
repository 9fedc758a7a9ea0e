"""Who is here, over several gateway processes that share one store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.chat_store import ChatStore, make_indexes, new_conversation
from gateway.presence import STALE, Presence
from infra.store import Store, connect
from infra.vault import Vault
from schemas.base import Event, now
from schemas.chat import PresenceChanged
from tests.store import EmbeddedStore
from tests.world import VAULT_KEY, settings_for


@pytest.fixture
def store(embedded_store: EmbeddedStore, tmp_path: Path) -> Iterator[Store]:
    opened = connect("gateway-presence", settings_for(embedded_store.url, f"sqlite://{tmp_path / 'log.sqlite'}"))
    make_indexes(opened)
    kept = ChatStore(opened, Vault(opened, VAULT_KEY))
    kept.open(new_conversation("talk", "direct", "maya", ["maya", "sam"], False, "print"))
    yield opened
    opened.client.drop_database(opened.records.name)
    opened.close()


class Process:
    """A gateway process as far as presence goes."""

    def __init__(self, store: Store, id: str) -> None:
        self.told: list[tuple[str, bool, list[str]]] = []
        self._pulses = store.collection("pulses")
        self.id = id
        self.presence = Presence(
            id, ChatStore(store, Vault(store, VAULT_KEY)), store.collection("connections"), self._pulses, self.hear
        )
        self.beat()

    def hear(self, event: Event) -> None:
        assert isinstance(event, PresenceChanged)
        self.told.append((event.person_id, event.on, event.tell))

    def beat(self) -> None:
        self._pulses.update_one({"_id": self.id}, {"$set": {"at": now()}}, upsert=True)

    def die(self) -> None:
        self._pulses.update_one({"_id": self.id}, {"$set": {"at": now() - 2 * STALE}})


@pytest.fixture
def two(store: Store) -> tuple[Process, Process]:
    return Process(store, "one"), Process(store, "two")


def test_coming_and_going_is_told_to_those_who_share_a_conversation(two: tuple[Process, Process]) -> None:
    one, _ = two
    one.presence.connected("a", "maya", "pocket")
    one.presence.came("maya")
    one.presence.disconnected("a")
    one.presence.left("maya")
    assert one.told == [("maya", True, ["sam"]), ("maya", False, ["sam"])]


def test_whoever_shares_no_conversation_is_told_to_nobody(two: tuple[Process, Process]) -> None:
    one, _ = two
    one.presence.connected("a", "rosa", None)
    one.presence.came("rosa")
    one.presence.left("rosa")
    assert one.told == []


def test_whoever_is_connected_to_another_process_has_not_gone(two: tuple[Process, Process]) -> None:
    one, other = two
    one.presence.connected("a", "maya", None)
    other.presence.connected("b", "maya", None)
    one.presence.disconnected("a")
    one.presence.left("maya")
    assert one.told == []
    other.presence.disconnected("b")
    other.presence.left("maya")
    assert other.told == [("maya", False, ["sam"])]


def test_a_process_that_died_keeps_nobody_here(two: tuple[Process, Process]) -> None:
    one, other = two
    other.presence.connected("b", "maya", None)
    one.presence.connected("a", "sam", None)
    other.presence.connected("c", "sam", None)
    other.die()
    one.presence.process_died("two")
    # Sam is still connected to the one that lives.
    assert one.told == [("maya", False, ["sam"])]
    one.presence.process_died("two")
    assert one.told == [("maya", False, ["sam"])]


def test_a_dead_process_does_not_hide_that_somebody_left(two: tuple[Process, Process]) -> None:
    one, other = two
    other.presence.connected("b", "maya", None)
    other.die()
    one.presence.connected("a", "maya", None)
    one.presence.disconnected("a")
    one.presence.left("maya")
    assert one.told == [("maya", False, ["sam"])]
