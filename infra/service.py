"""A service: a name, the events it hears, the deadlines it keeps, the HTTP it speaks."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from infra.access import Grants, People
from infra.settings import BadSettings, Settings
from infra.store import PATIENCE_SECONDS, STORE_DOWN, Aggregate, Store, connect, prepare
from infra.vault import Vault
from infra.web import Blueprint
from schemas.base import Event
from schemas.people import GrantEnded, GrantGiven, PersonJoined

Handler = Callable[[Any], None]
H = TypeVar("H", bound=Handler)
Item = TypeVar("Item")
T = TypeVar("T", bound=Callable[[datetime], None])


@dataclass(frozen=True)
class Tick:
    """A deadline keeper: ``act`` is called with the moment about every ``seconds``, in every process of the service."""

    seconds: float
    act: Callable[[datetime], None]


def to_each(items: Iterable[Item], act: Callable[[Item], None]) -> None:
    """Act on each. One that fails keeps nobody behind it waiting: its failure is raised when all had their turn.

    Raises:
        STORE_DOWN: at once, because nobody else would fare better.
        Exception: the first failure of ``act``.
    """
    failures: list[Exception] = []
    for item in items:
        try:
            act(item)
        except STORE_DOWN:
            raise
        except Exception as failure:  # noqa: BLE001 - raised below
            failures.append(failure)
    if failures:
        raise failures[0]


class Service:
    """Declares one service. Importing it connects to nothing; ``open`` does.

    Attributes:
        name: folder, database, consumer group and Blueprint.
        api: the Blueprint whose routes are served under ``/v1``.
        openings: what reads its settings when it is opened, and raises ``BadSettings`` for what cannot be used.
        endings: what is still to be done when it stops, after its last event was heard.
        store, grants, people, vault, settings: there once it is open.
    """

    store: Store
    grants: Grants
    people: People
    vault: Vault
    settings: Settings

    def __init__(self, name: str, home: str, rooms: tuple[str, ...] = ("model", "handlers", "api")) -> None:
        """``home`` is the package and ``rooms`` the modules in it that register handlers and routes."""
        self.name = name
        self.home = home
        self.rooms = rooms
        self.handlers: dict[type[Event], list[Handler]] = {}
        self.ticks: list[Tick] = []
        self.api = Blueprint(name, home)
        self.aggregates: tuple[type[Aggregate], ...] = ()
        self.openings: list[Callable[[Settings], None]] = []
        self.preparations: list[Callable[[Store], None]] = []
        self.endings: list[Callable[[], None]] = []
        # How often the log was polled. All events of one poll had happened before it.
        self.polls = 0
        self.on(GrantGiven, GrantEnded)(lambda event: self.grants.keep(event))
        self.on(PersonJoined)(lambda event: self.people.keep(event))

    def on(self, *kinds: type[Event]) -> Callable[[H], H]:
        """Call the function below with every event of these kinds, in the order of their key, at least once."""

        def register(handler: H) -> H:
            for kind in kinds:
                self.handlers.setdefault(kind, []).append(handler)
            return handler

        return register

    def every(self, seconds: float) -> Callable[[T], T]:
        """Call the function below about every ``seconds``, with the moment. Several processes may race to it."""

        def register(act: T) -> T:
            self.ticks.append(Tick(seconds, act))
            return act

        return register

    @property
    def topics(self) -> list[str]:
        """What it subscribes to."""
        return sorted({kind.topic for kind in self.handlers})

    def load(self) -> Service:
        """Import its rooms, so that handlers and routes are registered."""
        for room in self.rooms:
            importlib.import_module(f"{self.home}.{room}")
        return self

    def open(self, settings: Settings, patience_seconds: float = PATIENCE_SECONDS) -> Service:
        """Name its databases. Nothing is asked of them yet, so a store that is away is no error here.

        Raises:
            BadSettings: settings name what it cannot use, all of them at once.
        """
        problems: list[str] = []
        for act in self.openings:
            try:
                act(settings)
            except BadSettings as error:
                problems += error.problems
        if problems:
            raise BadSettings(problems)
        self.settings = settings
        self.store = connect(self.name, settings, patience_seconds)
        self.grants = Grants(self.store)
        self.people = People(self.store)
        self.vault = Vault(self.store, settings.vault_key)
        return self

    def prepare(self) -> None:
        """Make its indexes. Safe to repeat; raises what a store that is away raises."""
        prepare(self.store, *self.aggregates)
        self.grants.prepare()
        self.people.prepare()
        for make_indexes in self.preparations:
            make_indexes(self.store)
        self.store.collection("dead").create_index("replay", sparse=True)
