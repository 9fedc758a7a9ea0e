"""Sealed words: bound to their place, and gone for ever with their key."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.ids import new_id
from infra.store import Store, connect
from infra.vault import Erased, Tampered, Vault
from tests.store import EmbeddedStore
from tests.world import VAULT_KEY, settings_for

WHERE = "messages/1/text"
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=500)


@pytest.fixture(scope="module")
def store(embedded_store: EmbeddedStore) -> Iterator[Store]:
    opened = connect("sealed", settings_for(embedded_store.url, "sqlite:///nowhere"))
    yield opened
    opened.client.drop_database(opened.keys.name)
    opened.close()


@pytest.fixture(scope="module")
def vault(store: Store) -> Vault:
    return Vault(store, VAULT_KEY)


@settings(max_examples=100, deadline=None)
@given(text=texts)
def test_words_come_back_as_they_were_sealed(vault: Vault, text: str) -> None:
    sealed = vault.seal("maya", WHERE, text)
    assert vault.open("maya", WHERE, sealed) == text


def test_what_is_sealed_shows_nothing_and_is_never_the_same_twice(vault: Vault) -> None:
    one, two = (vault.seal("maya", WHERE, "zanzibar " * 20) for _ in range(2))
    assert one != two
    assert b"zanzibar" not in one
    assert one[:1] == b"\x01"


def test_another_process_opens_what_this_one_sealed(store: Store, vault: Vault) -> None:
    sealed = vault.seal("maya", WHERE, "hello")
    assert Vault(store, VAULT_KEY).open("maya", WHERE, sealed) == "hello"


@pytest.mark.parametrize(
    ("person", "where"),
    [
        ("theo", WHERE),
        ("maya", "messages/2/text"),
        ("maya", "messages/1/title"),
        ("maya", ""),
        ("maya\nmessages", "1/text"),
    ],
)
def test_words_moved_to_another_person_document_or_field_do_not_open(vault: Vault, person: str, where: str) -> None:
    sealed = vault.seal("maya", WHERE, "hello")
    with pytest.raises(Tampered):
        vault.open(person, where, sealed)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_anywhere_does_not_open(vault: Vault, at: int, change: int) -> None:
    sealed = bytearray(vault.seal("maya", WHERE, "hello"))
    sealed[at % len(sealed)] ^= change
    with pytest.raises(Tampered):
        vault.open("maya", WHERE, bytes(sealed))


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s[:0],
        lambda s: s[:1],
        lambda s: s[:13],
        lambda s: s[:-1],
        lambda s: s + b"\x00",
        lambda s: b"\x02" + s[1:],
    ],
)
def test_what_is_cut_or_lengthened_does_not_open(vault: Vault, change: Callable[[bytes], bytes]) -> None:
    sealed = vault.seal("maya", WHERE, "hello")
    with pytest.raises(Tampered):
        vault.open("maya", WHERE, change(sealed))


def test_another_master_key_opens_nothing_and_says_which_setting_is_wrong(store: Store, vault: Vault) -> None:
    sealed = vault.seal("maya", WHERE, "hello")
    with pytest.raises(Tampered, match="ALONGSIDE_VAULT_KEY"):
        Vault(store, os.urandom(32)).open("maya", WHERE, sealed)


def test_a_wrapped_key_moved_to_another_person_opens_nothing(store: Store, vault: Vault) -> None:
    one, other = new_id(), new_id()
    sealed = vault.seal(one, WHERE, "hello")
    vault.seal(other, WHERE, "x")
    stolen = store.keys["keys"].find_one({"_id": one})
    assert stolen is not None
    store.keys["keys"].update_one({"_id": other}, {"$set": {"wrapped": stolen["wrapped"]}})
    with pytest.raises(Tampered):
        Vault(store, VAULT_KEY).open(other, WHERE, sealed)


def test_keys_lie_wrapped_and_apart_from_the_records(store: Store, vault: Vault) -> None:
    person = new_id()
    vault.seal(person, WHERE, "hello")
    assert store.keys.name != store.records.name
    assert store.records["keys"].find_one({"_id": person}) is None
    kept = store.keys["keys"].find_one({"_id": person})
    assert kept is not None
    assert len(kept["wrapped"]) == 12 + 32 + 16


def test_destroying_the_key_erases_the_person_for_ever(store: Store, vault: Vault) -> None:
    person = new_id()
    sealed = vault.seal(person, WHERE, "hello")
    when = vault.destroy(person)

    for after in (vault, Vault(store, VAULT_KEY)):
        with pytest.raises(Erased):
            after.open(person, WHERE, sealed)
        with pytest.raises(Erased):
            after.seal(person, WHERE, "again")
    assert vault.destroy(person) == when, "the first moment stands"
    kept = store.keys["keys"].find_one({"_id": person})
    assert kept is not None
    assert kept["wrapped"] is None


def test_destroying_a_key_that_was_never_made_keeps_one_from_being_made(vault: Vault) -> None:
    person = new_id()
    when = vault.destroy(person)
    with pytest.raises(Erased):
        vault.seal(person, WHERE, "hello")
    assert vault.destroy(person) == when


def test_another_process_is_erased_too_once_it_forgets_its_copy(store: Store, vault: Vault) -> None:
    person = new_id()
    other = Vault(store, VAULT_KEY)
    sealed = other.seal(person, WHERE, "hello")
    vault.destroy(person)
    other.forget(person)
    with pytest.raises(Erased):
        other.open(person, WHERE, sealed)


def test_destroying_one_persons_key_leaves_the_others(vault: Vault) -> None:
    gone, stays = new_id(), new_id()
    sealed = vault.seal(stays, WHERE, "hello")
    vault.seal(gone, WHERE, "hello")
    vault.destroy(gone)
    vault.forget(stays)
    assert vault.open(stays, WHERE, sealed) == "hello"


def test_first_uses_that_race_agree_on_one_key(store: Store) -> None:
    for _ in range(5):
        person = new_id()
        vaults = [Vault(store, VAULT_KEY) for _ in range(4)]
        together = Barrier(len(vaults))

        def seal(vault: Vault, person: str = person, together: Barrier = together) -> bytes:
            together.wait()
            return vault.seal(person, WHERE, "hello")

        with ThreadPoolExecutor(len(vaults)) as pool:
            sealed = list(pool.map(seal, vaults))
        assert [vault.open(person, WHERE, words) for vault in vaults for words in sealed] == ["hello"] * 16


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(people=st.lists(st.integers(0, 6), min_size=1, max_size=20))
def test_a_vault_that_can_keep_few_keys_in_memory_opens_everything_still(
    store: Store, monkeypatch: pytest.MonkeyPatch, people: list[int]
) -> None:
    monkeypatch.setattr("infra.vault._KEYS_IN_MEMORY", 2)
    vault = Vault(store, VAULT_KEY)
    sealed: list[tuple[str, Any]] = [(f"p{n}", vault.seal(f"p{n}", WHERE, f"words of {n}")) for n in people]
    assert [vault.open(person, WHERE, words) for person, words in sealed] == [f"words of {n}" for n in people]
    assert len(vault._recent) <= 2
