"""Words that a person wrote, sealed under a key of their own. Destroying the key erases the words everywhere.

A sealed text is ``0x01 | nonce (12 bytes) | ciphertext and tag``, AES-256-GCM (NIST SP 800-38D). The additional data
binds it to its person, field and document, so that it cannot be moved. The person's key is itself sealed under the
master key and kept in a database of keys, apart from the records.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pymongo.errors import DuplicateKeyError

from infra.store import Raw, Store
from schemas.base import now

_FORM = b"\x01"
_NONCE = 12
# Form, nonce and the tag of GCM, around no words at all.
_SHORTEST = 1 + _NONCE + 16
_KEYS_IN_MEMORY = 2048


class Erased(Exception):
    """The key was destroyed at the person's wish; nothing can be sealed or read under it."""


class Tampered(Exception):
    """The sealed text is not what was sealed, or not where it was sealed. A dead letter, never a guess."""


class Vault:
    """Seals and opens the words of one service."""

    def __init__(self, store: Store, master: bytes) -> None:
        self._keys = store.keys["keys"]
        self._master = AESGCM(master)
        self._service = store.name
        self._recent: OrderedDict[str, AESGCM] = OrderedDict()
        self._lock = threading.Lock()

    def seal(self, person_id: str, where: str, text: str) -> bytes:
        """Seal ``text`` for a person.

        Args:
            person_id: whom the record is about.
            where: the document and field, such as ``messages/0190.../text``; needed again to open.
        Raises:
            Erased: the person's key was destroyed.
        """
        nonce = os.urandom(_NONCE)
        return _FORM + nonce + self._key(person_id).encrypt(nonce, text.encode(), _bound(person_id, where))

    def open(self, person_id: str, where: str, sealed: bytes) -> str:
        """The words again.

        Raises:
            Erased: the person's key was destroyed.
            Tampered: the bytes were changed, or belong to another person, document or field.
        """
        if sealed[:1] != _FORM or len(sealed) < _SHORTEST:
            raise Tampered(where)
        try:
            plain = self._key(person_id).decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], _bound(person_id, where))
        except InvalidTag as error:
            raise Tampered(where) from error
        return plain.decode()

    def destroy(self, person_id: str) -> datetime:
        """Destroy the person's key for good and return when. Repeating it changes nothing.

        The place of the key is kept, empty, so that no later write can make a new one.
        """
        self.forget(person_id)
        moment = now()
        try:
            self._keys.update_one(
                {"_id": person_id, "destroyed_at": None},
                {"$set": {"wrapped": None, "destroyed_at": moment}},
                upsert=True,
            )
        except DuplicateKeyError:
            # Destroyed before: the first moment stands.
            moment = self._keys.find_one({"_id": person_id}, {"destroyed_at": 1})["destroyed_at"]  # type: ignore[index]
        return moment

    def forget(self, person_id: str) -> None:
        """Drop the copy in memory, because another process destroyed the key."""
        with self._lock:
            self._recent.pop(person_id, None)

    def fetch(self, person_ids: Iterable[str]) -> None:
        """Read the keys of several people at once, before each is needed. Who has none, or no more, is left out."""
        with self._lock:
            missing = [person_id for person_id in set(person_ids) if person_id not in self._recent]
        for kept in self._keys.find({"_id": {"$in": missing}, "wrapped": {"$ne": None}}) if missing else ():
            # A key that cannot be unwrapped is the trouble of whoever asks for it.
            with suppress(Tampered):
                self._remember(kept["_id"], self._unwrapped(kept))

    def _key(self, person_id: str) -> AESGCM:
        with self._lock:
            if (key := self._recent.get(person_id)) is not None:
                self._recent.move_to_end(person_id)
                return key
        key = self._unwrapped(self._keys.find_one({"_id": person_id}) or self._new_key(person_id))
        self._remember(person_id, key)
        return key

    def _remember(self, person_id: str, key: AESGCM) -> None:
        with self._lock:
            self._recent[person_id] = key
            if len(self._recent) > _KEYS_IN_MEMORY:
                self._recent.popitem(last=False)

    def _unwrapped(self, kept: Raw) -> AESGCM:
        person_id, wrapped = kept["_id"], kept["wrapped"]
        if wrapped is None:
            raise Erased(person_id)
        try:
            return AESGCM(self._master.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], self._place(person_id)))
        except InvalidTag as error:
            raise Tampered(f"the key of {person_id} was not wrapped with this ALONGSIDE_VAULT_KEY") from error

    def _place(self, person_id: str) -> bytes:
        return f"{self._service}/{person_id}".encode()

    def _new_key(self, person_id: str) -> Raw:
        nonce = os.urandom(_NONCE)
        wrapped = nonce + self._master.encrypt(nonce, AESGCM.generate_key(256), self._place(person_id))
        fresh: Raw = {"_id": person_id, "wrapped": wrapped, "made_at": now()}
        try:
            self._keys.insert_one(fresh)
        except DuplicateKeyError:
            # Two processes found no key; the one that wrote first decided for both.
            return self._keys.find_one({"_id": person_id})  # type: ignore[return-value]
        return fresh


def _bound(person_id: str, where: str) -> bytes:
    return f"{person_id}\n{where}".encode()
