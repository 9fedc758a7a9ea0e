"""Words are found again among sealed messages, page by page, however they are written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import search as search_module
from gateway.chat_store import ChatStore, Draft, make_indexes, new_conversation
from gateway.search import plain, search
from infra.store import Raw, connect
from infra.vault import Vault
from tests.store import EmbeddedStore
from tests.world import VAULT_KEY, settings_for

SAID = [
    "Der Fluß war ruhig",
    "I walked by the river",
    "river, river",
    "a bad night",
    "RIVER at noon",
    "so",
    "Ríver walk",
]


@pytest.fixture(scope="module")
def chat_store(embedded_store: EmbeddedStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatStore]:
    log: Path = tmp_path_factory.mktemp("log") / "log.sqlite"
    opened = connect("gateway-search", settings_for(embedded_store.url, f"sqlite://{log}"))
    make_indexes(opened)
    yield ChatStore(opened, Vault(opened, VAULT_KEY))
    opened.client.drop_database(opened.records.name)
    opened.close()


@pytest.fixture(scope="module")
def conversation(chat_store: ChatStore) -> Raw:
    made = new_conversation("talk", "direct", "maya", ["maya", "sam"], False, "print")
    chat_store.open(made)
    drafts = [Draft("talk", "maya", "maya", str(number), text) for number, text in enumerate(SAID)]
    drafts += [
        Draft("talk", "maya", "maya", "edit", "a good night by the river", "edited", changes=4),
        Draft("talk", "maya", "maya", "back", None, "taken_back", changes=7),
    ]
    kept = [{**chat_store.seal(draft), "seq": seq} for seq, draft in enumerate(drafts, 1)]
    chat_store.insert(kept)
    for entry in kept:
        chat_store.apply(entry)
    return made


def numbers(found: list[Raw]) -> list[int]:
    return [message["seq"] for message in found]


def test_words_are_found_however_they_are_cased_the_newest_first(chat_store: ChatStore, conversation: Raw) -> None:
    found, following = search(chat_store, conversation, "River", None, 50)
    # As edited, not as first written; without the entry itself, and without what was taken back.
    assert numbers(found) == [5, 4, 3, 2]
    assert following is None


@pytest.mark.parametrize(("words", "expected"), [("walk river", [2]), ("fluss", [1]), ("bad", []), ("night good", [4])])
def test_all_of_the_words_have_to_stand_there(
    chat_store: ChatStore, conversation: Raw, words: str, expected: list[int]
) -> None:
    assert numbers(search(chat_store, conversation, words, None, 50)[0]) == expected


def test_pages_lead_through_everything_that_is_found(chat_store: ChatStore, conversation: Raw) -> None:
    seen: list[int] = []
    before = None
    while True:
        found, before = search(chat_store, conversation, "river", before, 1)
        seen += numbers(found)
        if before is None:
            break
    assert seen == [5, 4, 3, 2]


def test_one_answer_reads_a_bounded_part_and_says_where_to_go_on(
    chat_store: ChatStore, conversation: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_module, "READ_AT_ONCE", 2)
    monkeypatch.setattr(search_module, "READ_MOST", 4)
    assert search(chat_store, conversation, "fluss", None, 50) == ([], 6)
    assert search(chat_store, conversation, "fluss", 6, 50) == ([], 2)
    found, following = search(chat_store, conversation, "fluss", 2, 50)
    assert (numbers(found), following) == ([1], None)


def test_nothing_is_found_in_an_empty_conversation(chat_store: ChatStore) -> None:
    made = new_conversation("silence", "direct", "maya", ["maya", "sam"], False, "print")
    chat_store.open(made)
    assert search(chat_store, made, "river", None, 50) == ([], None)


@given(st.text())
def test_text_compares_equal_to_itself_however_it_is_cased(text: str) -> None:
    assert plain(plain(text)) == plain(text)
    assert plain(text.casefold()) == plain(text)
