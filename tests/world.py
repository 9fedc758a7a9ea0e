"""The five services in this process, on databases and a log of their own: ``World``.

Nothing runs by itself in it: a test acts, then says ``world.settle()``, and everything that follows has happened.
"""

from __future__ import annotations

import base64
import importlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import argon2
import pytest
from flask.testing import FlaskClient
from pymongo import MongoClient

from infra.access import Tokens
from infra.ids import new_id
from infra.log import Log, Outgoing, open_log
from infra.part import service_app
from infra.service import Service
from infra.settings import Settings
from infra.store import Raw
from infra.web import IDENTITY_HEADER
from infra.worker import Relay, Worker
from schemas.base import Event, decode, encode, now
from schemas.catalogue import EVENTS, SERVICES, TOPICS, owner_of
from tests.store import EmbeddedStore

SETTLE_SECONDS = 60.0
SECRET = "a secret of the tests, forty characters."
VAULT_KEY = bytes(range(32))

E = TypeVar("E", bound=Event)
# A response of werkzeug, whose JSON a test looks into as it likes.
Answer = Any
_prefixes = (f"t{number}_" for number in itertools.count())


def settings_for(store_url: str, log_url: str, **changed: Any) -> Settings:
    """Settings of the tests; ``changed`` are other values for some of them."""
    values: dict[str, Any] = {
        "env": "test",
        "store_url": store_url,
        "store_prefix": next(_prefixes),
        "log_url": log_url,
        "secret": SECRET,
        "vault_key": VAULT_KEY,
        "public_url": "http://127.0.0.1:8000",
        "listen": ("127.0.0.1", 0),
        "peers": {},
        "firebase_credentials": None,
        "firebase_project": None,
        "firebase_emulator": None,
        "fcm_endpoint": None,
        "vapid_private_key": None,
        "vapid_contact": "mailto:operator@example.org",
        "rate_limits": False,
        "proxies": 0,
        "alert_seconds": {"urgent": 300, "high": 1800},
        "follow_up_seconds": 14400,
        "alert_budget": 6,
        "bands": {"watch": 0.8, "high": 0.4},
        "assumed_steps": True,
        "risk_model": None,
        "waiting_seconds": 300,
        "token_seconds": 900,
        "region": "US",
        "instruments": None,
    }
    return Settings(**{**values, **changed})


def environment_of(settings: Settings) -> dict[str, str]:
    """What a process of its own needs to open the same store and log."""
    return {
        **os.environ,
        "ALONGSIDE_ENV": "test",
        "ALONGSIDE_STORE_URL": settings.store_url,
        "ALONGSIDE_STORE_PREFIX": settings.store_prefix,
        "ALONGSIDE_LOG_URL": settings.log_url,
        "ALONGSIDE_SECRET": settings.secret,
        "ALONGSIDE_VAULT_KEY": base64.b64encode(settings.vault_key).decode(),
    }


class Caller:
    """A signed-in person (or nobody) who asks the service that owns a path."""

    def __init__(self, world: World, id: str, role: str | None) -> None:
        self._world = world
        self.id = id
        self.role = role

    def get(self, path: str, **options: Any) -> Answer:
        return self.ask("GET", path, None, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.ask("POST", path, body, **options)

    def put(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.ask("PUT", path, body, **options)

    def patch(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.ask("PATCH", path, body, **options)

    def ask(self, method: str, path: str, body: Any = None, headers: Raw | None = None, **options: Any) -> Answer:
        """One request. ``path`` is that of the contract, without ``/v1``."""
        owner = owner_of(path.split("?")[0].strip("/"))
        assert owner is not None, f"nobody owns {path}"
        identity = {IDENTITY_HEADER: self._world.signed(self, owner)} if self.role else {}
        if body is not None:
            options["json"] = body
        door = self._world.door(owner)
        return door.open(f"/v1{path}", method=method, headers={**identity, **(headers or {})}, **options)


class World:
    """Services, their relays and workers, a log, and a witness who has read everything that was told.

    Attributes:
        settings: of every service.
        log: what they tell and hear.
        told: every event on the log so far, in the order in which the witness read it; ``settle`` brings it up to date.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.log: Log = open_log(settings.log_url)
        self.log.make_topics(TOPICS)
        self.told: list[Event] = []
        self._witness = self.log.tail(sorted(TOPICS))
        self._ahead = 0.0
        self.services: dict[str, Service] = {}
        self._relays: list[Relay] = []
        self._workers: list[Worker] = []
        self._doors: dict[str, FlaskClient] = {}
        self._building = threading.Lock()
        for name in SERVICES:
            service: Service = importlib.import_module(f"services.{name}").service
            service.load().open(settings)
            service.prepare()
            self.services[name] = service
            self._relays.append(Relay(service.store, self.log))
            self._workers.append(Worker(service, self.log, clock=lambda: time.monotonic() + self._ahead))

    def close(self) -> None:
        self._witness.close()
        for worker in self._workers:
            worker.close()
        # Over a connection of its own, because a test may have closed those of the services.
        with MongoClient[Raw](self.settings.store_url) as client:
            for service in self.services.values():
                client.drop_database(service.store.records.name)
                client.drop_database(service.store.keys.name)
                service.store.close()
        self.log.close()

    # -- who is there

    def joins(self, name: str, role: str) -> Caller:
        """Enrol a person whose id and login are ``name``, and let every service hear of it."""
        self.join(role, name)
        return Caller(self, name, role)

    def join(self, role: str, *names: str) -> None:
        """Enrol several people of a role. Settled."""
        enrol = importlib.import_module("services.people.model").enrol
        for name in names:
            enrol(name, name, role, name.capitalize(), password_of(name))
        self.settle()

    def caller(self, id: str, role: str) -> Caller:
        """Somebody with a good identity, whether or not there is an account."""
        return Caller(self, id, role)

    def nobody(self) -> Caller:
        """A request without any identity."""
        return Caller(self, "", None)

    def signed(self, caller: Caller, service: str) -> str:
        assert caller.role is not None
        return Tokens(self.settings.secret, service).sign(caller.id, caller.role, f"session-{caller.id}", 60)

    def assign(self, client: str, coach: str) -> str:
        """Put a client with a coach; the id of the assignment. Settled."""
        supervisor = Caller(self, "the-supervisor", "supervisor")
        assignment = new_id()
        made = supervisor.post("/assignments", {"id": assignment, "client_id": client, "coach_id": coach})
        assert made.status_code == 201, made.text
        self.settle()
        return assignment

    def on_duty(self, *coaches: str) -> None:
        """These coaches go on duty. Settled."""
        for coach in coaches:
            answer = Caller(self, coach, "coach").put("/me/availability", {"on_duty": True})
            assert answer.status_code == 200, answer.text
        self.settle()

    # -- what happens

    def door(self, service: str) -> FlaskClient:
        """A test client of one service's own app."""
        # Phones of one test may come at once, and two apps of one service are not one.
        with self._building:
            if service not in self._doors:
                self._doors[service] = service_app(self.services[service], self.log).test_client()
        return self._doors[service]

    def publish(self, *events: Event) -> None:
        """Put events on the log, as the service that owns them would. Not settled."""
        self.log.publish([Outgoing(e.topic, e.partition_key, *encode(e)) for e in events])

    def settle(self) -> None:
        """Tell and hear until nothing moves any more. Raises the first dead letter: no failure is swallowed."""
        deadline = time.monotonic() + SETTLE_SECONDS
        moved = True
        while moved:
            assert time.monotonic() < deadline, "it does not settle: an event is tried again and again"
            told = sum(relay.step(0) for relay in self._relays)
            heard = sum(worker.step(0) for worker in self._workers)
            waiting = any(worker.waiting() for worker in self._workers)
            if waiting:
                # What waits for its next try need not wait in a test.
                self._ahead += 10
            moved = bool(told or heard or waiting)
        self._bury_nothing()
        while records := self._witness.poll(0):
            self.told += [decode(record.value, record.headers, EVENTS) for record in records]

    def tick(self, moment: datetime | None = None) -> None:
        """Let every service keep its deadlines as if it were ``moment``. Settled."""
        for service in self.services.values():
            for tick in service.ticks:
                tick.act(moment or now())
        self.settle()

    def events(self, kind: type[E], where: Callable[[E], bool] = lambda _: True) -> list[E]:
        """The events of a kind that were told, in order. Settled."""
        self.settle()
        return [event for event in self.told if isinstance(event, kind) and where(event)]

    def letters(self, service: str) -> Sequence[Raw]:
        """The dead letters of a service."""
        return list(self.services[service].store.collection("dead").find())

    def _bury_nothing(self) -> None:
        for name in self.services:
            for letter in self.letters(name):
                raise AssertionError(f"{name} buried {letter['headers'].get('ce_type')}:\n{letter['trace']}")


def password_of(name: str) -> str:
    """The password of a person who joined with ``World.joins``."""
    return f"the password of {name}"


def an_id() -> str:
    """An id as a phone would make it."""
    return new_id()


@pytest.fixture
def world(embedded_store: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Five services with nobody in them."""
    with_quick_passwords(monkeypatch)
    importlib.import_module("services.coaching").service.load()
    # Nothing is heard while a request waits, so an answer that waits for what follows would wait in vain.
    monkeypatch.setattr("services.coaching.api.GRANTS_WITHIN_SECONDS", 0)
    opened = World(settings_for(embedded_store.url, f"sqlite://{tmp_path / 'log.sqlite'}"))
    try:
        yield opened
    finally:
        opened.close()


def with_quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords with next to no work, so that enrolling a cast takes no time."""
    importlib.import_module("services.people").service.load()
    quick = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr("services.people.model._hasher", quick)
