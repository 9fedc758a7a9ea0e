"""Search within a conversation. Words stand sealed and in no index, so they are opened and read, the newest first."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import gevent

from gateway.chat_store import ChatStore
from infra.store import Raw

READ_AT_ONCE = 100
# One answer reads no more than this, so that a long conversation is searched in several short requests.
READ_MOST = 2000


def search(
    store: ChatStore, conversation: Raw, words: str, before: int | None, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    """Messages in which all of the words stand, the newest first.

    Args:
        words: with spaces between; each may be a part of a longer word.
        before: only messages below this number, or None for all.
    Returns:
        the messages, at most ``limit``; and the number to go on from, or None where all was read.
    Raises:
        Erased: the client's key was destroyed.
    """
    wanted = plain(words).split()
    end = store.last_seq(conversation) + 1
    at = end if before is None else min(before, end)
    found: list[dict[str, Any]] = []
    read = 0
    while read < READ_MOST and at > 1:
        page = store.before(conversation["_id"], at, READ_AT_ONCE)
        read += len(page)
        for message in map(store.shown, reversed(page)):
            at = message["seq"]
            if _has(message, wanted):
                found.append(message)
                if len(found) == limit:
                    return found, at if at > 1 else None
        # Chat goes on while somebody searches.
        gevent.sleep(0)
    return found, at if at > 1 else None


def plain(text: str) -> str:
    """Text as it is compared: without case, accents, and the difference between wide and narrow letters."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return re.sub(r"\s+", " ", "".join(letter for letter in letters if not unicodedata.combining(letter)))


def _has(message: dict[str, Any], wanted: list[str]) -> bool:
    if "kind" in message or message["text"] is None:
        return False
    text = plain(message["text"])
    return all(word in text for word in wanted)
