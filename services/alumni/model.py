"""Networks of alumni, who is in them, and what they tell."""

from __future__ import annotations

from typing import Any, ClassVar

from mongoengine import BinaryField, BooleanField, DateTimeField, IntField, StringField

from infra.ids import derived_id
from infra.store import Aggregate
from schemas.alumni import MemberJoined, MemberLeft, NetworkFounded, NoticePosted, NoticeShareAddressed
from schemas.base import now
from services.alumni import service

# One event names so many members, which keeps it near 20 KB on the log.
SHARE = 500


class Network(Aggregate):
    """A network. Its name is seen by whoever may join."""

    meta: ClassVar[dict[str, Any]] = {"db_alias": "alumni", "collection": "networks"}
    name = StringField(required=True)
    founded_by = StringField(required=True)
    fingerprint = StringField(required=True)

    def found(self) -> None:
        """Open it; call once, before the first commit."""
        self.record(NetworkFounded, network_id=self.id, by=self.founded_by)


class Membership(Aggregate):
    """A person's place in a network. Its id is made of both, so that there is one."""

    meta: ClassVar[dict[str, Any]] = {
        "db_alias": "alumni",
        "collection": "memberships",
        "indexes": [("network_id", "member"), "person_id"],
    }
    network_id = StringField()
    person_id = StringField()
    member = BooleanField(default=False)

    @staticmethod
    def id_of(network_id: str, person_id: str) -> str:
        return derived_id(network_id, person_id, "membership")

    def join(self, network_id: str, person_id: str) -> None:
        """Come in. Repeating it changes nothing."""
        if not self.member:
            self.network_id, self.person_id, self.member = network_id, person_id, True
            self.record(MemberJoined, network_id=network_id, person_id=person_id)

    def leave(self) -> None:
        """Go. Repeating it changes nothing."""
        if self.member:
            self.member = False
            self.record(MemberLeft, network_id=self.network_id, person_id=self.person_id)

    @classmethod
    def holds(cls, network_id: str, person_id: str) -> bool:
        where = {"_id": cls.id_of(network_id, person_id), "member": True}
        return cls.raw().find_one(where, {"_id": 1}) is not None

    @classmethod
    def count(cls, network_id: str) -> int:
        return cls.raw().count_documents({"network_id": network_id, "member": True})


class Notice(Aggregate):
    """Something to tell the members. It is addressed to them in shares, by whoever hears that it was posted."""

    meta: ClassVar[dict[str, Any]] = {"db_alias": "alumni", "collection": "notices", "indexes": ["network_id"]}
    network_id = StringField(required=True)
    by = StringField(required=True)
    title = BinaryField(required=True)
    body = BinaryField(required=True)
    at = DateTimeField(required=True)
    fingerprint = StringField(required=True)
    # The last member that a share has reached, and how many shares there were; addressing goes on behind them after a
    # crash.
    addressed_to = StringField(default="")
    shares = IntField(default=0)

    def post(self, title: str, body: str) -> None:
        """Put it up; call once, before the first commit."""
        self.at = now()
        self.title = service.vault.seal(self.by, f"notices/{self.id}/title", title)
        self.body = service.vault.seal(self.by, f"notices/{self.id}/body", body)
        self.record(NoticePosted, network_id=self.network_id, notice_id=self.id, by=self.by)

    def address(self, share: list[str], last: bool) -> None:
        """Tell the next share of the members, and remember how far that came."""
        self.addressed_to = share[-1] if share else ""
        self.shares += 1
        self.record(
            NoticeShareAddressed,
            network_id=self.network_id,
            notice_id=self.id,
            tell=share,
            share_id=derived_id(self.id, str(self.shares), "share"),
            share=self.shares,
            last=last,
        )

    def words(self) -> dict[str, str]:
        """Title and body. Raises ``Erased``."""
        return {
            "title": service.vault.open(self.by, f"notices/{self.id}/title", self.title),
            "body": service.vault.open(self.by, f"notices/{self.id}/body", self.body),
        }


def next_share(notice: Notice) -> tuple[list[str], bool]:
    """The members behind the last one addressed, in the order of their ids, and whether these are the last."""
    where = {"network_id": notice.network_id, "member": True, "person_id": {"$gt": notice.addressed_to}}
    found = Membership.raw().find(where, {"person_id": 1}).sort("person_id", 1).limit(SHARE + 1)
    people = [membership["person_id"] for membership in found]
    return people[:SHARE], len(people) <= SHARE


service.aggregates = (Network, Membership, Notice)
