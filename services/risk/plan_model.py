"""A client's safety plan: the words sealed, every version kept, and read by whom the client chose."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from mongoengine import BinaryField, BooleanField, DateTimeField, IntField, ListField, StringField
from pymongo.collection import Collection

from infra.store import Aggregate, Raw, Store
from schemas.base import now
from schemas.safety import NewSafetyPlan, SafetyPlanShared, SafetyPlanWritten
from services.risk import service


class Edition(NamedTuple):
    """One version of a plan, numbered from 1. ``words`` are sealed."""

    client_id: str
    number: int
    written_at: datetime
    words: bytes

    def opened(self) -> NewSafetyPlan:
        """What the client wrote. Raises ``Erased``."""
        return NewSafetyPlan.load(
            json.loads(service.vault.open(self.client_id, _place(self.client_id, self.number), self.words))
        )


class SafetyPlan(Aggregate):
    """The newest version, and who may read it. Its id is the client's. Older versions lie beside it.

    ``edition`` counts what was written; ``version``, as with every document, also what was changed about sharing.
    """

    meta: ClassVar[dict[str, Any]] = {"db_alias": "risk", "collection": "safety_plans"}
    edition = IntField(default=0)
    written_at = DateTimeField()
    words = BinaryField()
    coach = BooleanField(default=False)
    people = ListField(StringField())

    def write(self, words: NewSafetyPlan, carers: Iterable[str]) -> None:
        """Put it into words, or into others. Raises ``Erased``."""
        self.edition += 1
        self.written_at = now()
        self.words = service.vault.seal(self.id, _place(self.id, self.edition), json.dumps(words.dump()))
        self.record(SafetyPlanWritten, client_id=self.id, edition=self.edition, tell=self.readers(carers))

    def share(self, coach: bool, people: Iterable[str], carers: Iterable[str]) -> None:
        """Choose anew who may read it; whoever is left out may no more, from this moment."""
        chosen = [person for person in dict.fromkeys(people) if person != self.id]
        if (coach, chosen) == (self.coach, self.people):
            return
        self.coach, self.people = coach, chosen
        self.record(SafetyPlanShared, client_id=self.id, coach=coach, people=chosen, tell=self.readers(carers))

    def may_read(self, person_id: str, cares: Callable[[], bool]) -> bool:
        """The client, whom the client named, and, where the client chose so, who ``cares`` for the client now.

        ``cares`` is asked last: a client's own help on a bad night waits for no look-up that it need not.
        """
        return person_id == self.id or person_id in self.people or (self.coach and cares())

    def readers(self, carers: Iterable[str]) -> list[str]:
        """Everybody who may read it but the client; ``carers`` are those who care for the client now."""
        return list(dict.fromkeys([*self.people, *(carers if self.coach else ())]))

    def newest(self) -> Edition:
        return Edition(self.id, self.edition, self.written_at, bytes(self.words))


class Editions:
    """The versions that were written over. One is kept here before another takes its place."""

    @staticmethod
    def collection() -> Collection[Raw]:
        return service.store.collection("safety_plan_editions")

    @classmethod
    def keep(cls, plan: SafetyPlan) -> None:
        """Keep the newest version beside the document. Repeating it, or another writer being first, changes nothing."""
        if plan.edition == 0:
            return
        newest = plan.newest()
        state = {"client_id": plan.id, "number": newest.number, "written_at": newest.written_at, "words": newest.words}
        cls.collection().update_one({"_id": f"{plan.id}/{newest.number}"}, {"$setOnInsert": state}, upsert=True)

    @classmethod
    def find(cls, plan: SafetyPlan, number: int) -> Edition | None:
        """One version of a plan, the newest included."""
        if number == plan.edition:
            return plan.newest() if number else None
        raw = cls.collection().find_one({"_id": f"{plan.id}/{number}", "number": {"$lt": plan.edition}})
        return None if raw is None else _edition(raw)

    @classmethod
    def before(cls, plan: SafetyPlan, number: int, most: int) -> list[Edition]:
        """Up to ``most`` versions below ``number``, the newest first."""
        newest = [plan.newest()] if 0 < plan.edition < number else []
        where = {"client_id": plan.id, "number": {"$lt": min(number, plan.edition)}}
        older = cls.collection().find(where).sort("number", -1).limit(most)
        return [*newest, *map(_edition, older)][:most]


def write_plan(
    client_id: str, words: NewSafetyPlan, carers: Iterable[str], check: Callable[[SafetyPlan], None]
) -> SafetyPlan:
    """Write a new version; the one before is kept first.

    Args:
        check: raises where the document is not the one that the client has read.
    Raises:
        Erased: the client's key was destroyed.
    """

    def act(plan: SafetyPlan) -> None:
        check(plan)
        # What is kept was the newest in any case, also when somebody else writes first and this is tried again.
        Editions.keep(plan)
        plan.write(words, carers)

    return SafetyPlan.change(client_id, act, create=True)


def make_indexes(store: Store) -> None:
    """Safe to repeat."""
    store.collection("safety_plan_editions").create_index([("client_id", 1), ("number", -1)])
    store.collection("safety_plans").create_index([("people", 1), ("_id", -1)])


def _edition(raw: Raw) -> Edition:
    return Edition(raw["client_id"], raw["number"], raw["written_at"], raw["words"])


def _place(client_id: str, number: int) -> str:
    return f"safety-plans/{client_id}/{number}"


service.aggregates += (SafetyPlan,)
service.preparations.append(make_indexes)
