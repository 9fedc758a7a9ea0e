"""Who is connected, over all gateway processes: for the others who talk with them, and for the push."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from gateway.chat_store import ChatStore
from infra import telemetry
from infra.ids import new_id
from infra.store import STORE_DOWN
from schemas.base import Event, now
from schemas.chat import PresenceChanged

log_line = telemetry.logger("presence")

# A gateway process whose pulse is older is dead, and nobody is connected to it.
STALE = timedelta(seconds=15)


class Presence:
    """The connections of one gateway process, noted where every other one can see them.

    A note that cannot be written is left out: then a device is pushed to although it is connected, which is the safe
    side. One that cannot be removed counts for no longer than the process has a pulse.
    """

    def __init__(
        self, gateway_id: str, store: ChatStore, connections: Any, pulses: Any, tell: Callable[[Event], None]
    ) -> None:
        """
        Args:
            connections, pulses: the collections of open connections, and of the processes that live.
            tell: tells the log.
        """
        self._gateway = gateway_id
        self._store = store
        self._connections = connections
        self._pulses = pulses
        self._tell = tell

    def connected(self, sid: str, person_id: str, device: str | None) -> None:
        """Note a connection. ``device`` is the person's own name of it, where the app gave one."""
        noted = {
            "_id": sid,
            "gateway": self._gateway,
            "person": person_id,
            "device": None if device is None else f"{person_id}/{device}",
        }
        try:
            self._connections.insert_one(noted)
        except STORE_DOWN as error:
            log_line.warning("connection_not_noted", why=type(error).__name__)

    def disconnected(self, sid: str) -> None:
        """Forget a connection."""
        try:
            self._connections.delete_one({"_id": sid})
        except STORE_DOWN as error:
            log_line.warning("connection_not_forgotten", why=type(error).__name__)

    def came(self, person_id: str) -> None:
        """Tell those who share a conversation that the person is here."""
        self._tell_others(person_id, True)

    def left(self, person_id: str) -> None:
        """Tell them that the person has gone, unless connected to a process that lives."""
        try:
            alive = {pulse["_id"] for pulse in self._pulses.find({"at": {"$gt": now() - STALE}}, {"_id": 1})}
            found = {connection["gateway"] for connection in self._connections.find({"person": person_id})}
        except STORE_DOWN:
            # Then nobody can be told either.
            return
        if not found & alive:
            self._tell_others(person_id, False)

    def process_died(self, gateway_id: str) -> None:
        """Forget the connections of another process that has died. Raises one of ``STORE_DOWN``."""
        gone = {connection["person"] for connection in self._connections.find({"gateway": gateway_id})}
        self._connections.delete_many({"gateway": gateway_id})
        for person_id in gone:
            self.left(person_id)

    def goodbye(self) -> None:
        """Forget all connections of this process, which stops. Raises one of ``STORE_DOWN``."""
        self._connections.delete_many({"gateway": self._gateway})

    def _tell_others(self, person_id: str, on: bool) -> None:
        try:
            tell = self._store.neighbours(person_id)
        except STORE_DOWN:
            return
        if tell:
            self._tell(PresenceChanged(id=new_id(), at=now(), version=1, person_id=person_id, on=on, tell=tell))
