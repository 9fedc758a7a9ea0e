"""Networks, joining them, and their notices."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.alumni import MemberJoined, MemberLeft, NetworkFounded, NoticePosted, NoticeShareAddressed
from services.alumni.handlers import address_the_members
from services.alumni.model import SHARE, Membership, Notice
from tests.world import Caller, World, an_id


@pytest.fixture
def ola(world: World) -> Caller:
    return world.caller("ola", "organiser")


@pytest.fixture
def maya(world: World) -> Caller:
    return world.caller("maya", "client")


@pytest.fixture
def network(ola: Caller) -> str:
    body = {"id": an_id(), "name": "Lisbon mornings"}
    assert ola.post("/networks", body).status_code == 201
    return body["id"]


def a_notice(**changed: Any) -> dict[str, Any]:
    return {"id": an_id(), "title": "Breakfast on Sunday", "body": "At nine, bring fruit.", **changed}


def post(ola: Caller, network: str) -> str:
    body = a_notice()
    assert ola.post(f"/networks/{network}/notices", body).status_code == 201
    notice_id: str = body["id"]
    return notice_id


def told_of(world: World, notice: str) -> list[str]:
    """Everybody to whom a notice was addressed, as often as it was."""
    shares = world.events(NoticeShareAddressed, lambda event: event.notice_id == notice)
    return [person for share in sorted(shares, key=lambda share: share.share) for person in share.tell]


def with_members(network: str, *people: str) -> None:
    """Members who joined before, without a request each."""
    Membership.raw().insert_many(
        {
            "_id": Membership.id_of(network, person),
            "version": 1,
            "network_id": network,
            "person_id": person,
            "member": True,
            "seen": [],
            "outbox": [],
        }
        for person in people
    )


def test_an_organiser_founds_a_network_201_200_409(world: World, ola: Caller) -> None:
    body = {"id": an_id(), "name": "Lisbon mornings"}
    first, again = ola.post("/networks", body), ola.post("/networks", body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json == again.json == {**body, "members": 0, "joined": False}
    assert ola.post("/networks", {**body, "name": "Porto mornings"}).status_code == 409
    (founded,) = world.events(NetworkFounded)
    assert (founded.network_id, founded.by) == (body["id"], "ola")


@pytest.mark.parametrize("role", ["client", "coach", "supervisor", "admin"])
def test_only_an_organiser_founds_or_posts(world: World, network: str, role: str) -> None:
    other = world.caller("ola", role)
    assert other.post("/networks", {"id": an_id(), "name": "Mine"}).status_code == 404
    assert other.post(f"/networks/{network}/notices", a_notice()).status_code == 404
    assert Notice.raw().count_documents({}) == 0


def test_a_person_joins_and_leaves_and_each_is_told_once(world: World, maya: Caller, network: str) -> None:
    for _ in range(2):
        assert maya.post(f"/networks/{network}/join").json["joined"] is True
    assert maya.get("/networks").json["items"][0]["members"] == 1
    for _ in range(2):
        assert maya.post(f"/networks/{network}/leave").json["joined"] is False
    assert maya.get("/networks").json["items"][0]["members"] == 0
    maya.post(f"/networks/{network}/join")
    assert [event.person_id for event in world.events(MemberJoined)] == ["maya", "maya"]
    assert [event.person_id for event in world.events(MemberLeft)] == ["maya"]


def test_leaving_what_one_never_joined_changes_nothing(world: World, maya: Caller, network: str) -> None:
    assert maya.post(f"/networks/{network}/leave").status_code == 200
    assert world.events(MemberLeft) == []
    assert maya.post(f"/networks/{network}/join").json == {
        "id": network,
        "name": "Lisbon mornings",
        "members": 1,
        "joined": True,
    }


@pytest.mark.parametrize("path", ["/join", "/leave"])
def test_a_network_that_is_not_there_answers_404(maya: Caller, path: str) -> None:
    assert maya.post(f"/networks/nowhere{path}").status_code == 404
    assert maya.get("/networks/nowhere/notices").status_code == 404


def test_a_notice_is_addressed_to_the_members_once(world: World, ola: Caller, network: str) -> None:
    with_members(network, "maya", "theo")
    world.caller("gone", "client").post(f"/networks/{network}/join")
    world.caller("gone", "client").post(f"/networks/{network}/leave")
    notice = post(ola, network)
    assert told_of(world, notice) == ["maya", "theo"]

    (posted,) = world.events(NoticePosted)
    world.publish(posted)
    address_the_members(posted)
    assert told_of(world, notice) == ["maya", "theo"], "heard three times, told once"


def test_a_notice_without_members_is_addressed_to_nobody(world: World, ola: Caller, network: str) -> None:
    assert told_of(world, post(ola, network)) == []


def test_members_of_another_network_are_not_told(world: World, ola: Caller, network: str) -> None:
    with_members("elsewhere", "theo")
    with_members(network, "maya")
    assert told_of(world, post(ola, network)) == ["maya"]


def test_a_large_network_is_told_in_shares_and_everybody_once(world: World, ola: Caller, network: str) -> None:
    people = [f"p{number:04}" for number in range(2 * SHARE + 7)]
    with_members(network, *people)
    notice = post(ola, network)
    assert told_of(world, notice) == people
    shares = world.events(NoticeShareAddressed)
    by_number = sorted(shares, key=lambda share: share.share)
    assert [(share.share, len(share.tell), share.last) for share in by_number] == [
        (1, SHARE, False),
        (2, SHARE, False),
        (3, 7, True),
    ]
    assert len({share.partition_key for share in shares}) == 3, "several push workers take part"


def test_a_share_that_is_exactly_full_is_the_last_one(world: World, ola: Caller, network: str) -> None:
    with_members(network, *[f"p{number:04}" for number in range(SHARE)])
    post(ola, network)
    world.settle()
    assert [(share.share, share.last) for share in world.events(NoticeShareAddressed)] == [(1, True)]


def test_after_a_crash_between_two_shares_it_goes_on_where_it_was(
    world: World, ola: Caller, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [f"p{number:04}" for number in range(SHARE + 7)]
    with_members(network, *people)
    real, crashes = Notice.address, [True]

    def address(notice: Notice, share: list[str], last: bool) -> None:
        if share[0] != people[0] and crashes:
            crashes.pop()
            raise ConnectionAbortedError
        real(notice, share, last)

    monkeypatch.setattr(Notice, "address", address)
    notice = post(ola, network)
    assert told_of(world, notice) == people
    assert crashes == []


def test_a_notice_answers_201_200_409(world: World, ola: Caller, network: str) -> None:
    body = a_notice()
    first, again = (ola.post(f"/networks/{network}/notices", body) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json == again.json
    assert first.json.items() >= {**body, "network_id": network}.items()
    assert ola.post(f"/networks/{network}/notices", {**body, "title": "Lunch"}).status_code == 409
    assert len(world.events(NoticePosted)) == 1


def test_the_same_notice_in_another_network_answers_409(ola: Caller, network: str) -> None:
    other = {"id": an_id(), "name": "Porto"}
    ola.post("/networks", other)
    body = a_notice()
    ola.post(f"/networks/{network}/notices", body)
    assert ola.post(f"/networks/{other['id']}/notices", body).status_code == 409


def test_another_organiser_does_not_post_here(world: World, network: str) -> None:
    assert world.caller("otto", "organiser").post(f"/networks/{network}/notices", a_notice()).status_code == 404
    assert Notice.raw().count_documents({}) == 0


def test_members_and_the_organiser_read_the_notices_and_nobody_else(ola: Caller, maya: Caller, network: str) -> None:
    notices = [post(ola, network) for _ in range(3)]
    assert maya.get(f"/networks/{network}/notices").status_code == 404
    maya.post(f"/networks/{network}/join")
    for reader in (ola, maya):
        read = reader.get(f"/networks/{network}/notices").json["items"]
        assert [notice["id"] for notice in read] == sorted(notices, reverse=True)
        assert (read[0]["title"], read[0]["body"]) == ("Breakfast on Sunday", "At nine, bring fruit.")
    first = maya.get(f"/networks/{network}/notices?limit=2").json
    second = maya.get(f"/networks/{network}/notices?limit=2&after={first['next']}").json
    assert (len(first["items"]), len(second["items"]), second["next"]) == (2, 1, None)
    maya.post(f"/networks/{network}/leave")
    assert maya.get(f"/networks/{network}/notices").status_code == 404


def test_the_words_of_a_notice_lie_sealed_and_never_on_the_log(world: World, ola: Caller, network: str) -> None:
    with_members(network, "maya")
    post(ola, network)
    world.settle()
    assert "fruit" not in repr(list(Notice.raw().find())) + repr(world.told)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"title": ""}, "title"), ({"body": "x" * 8001}, "body"), ({"id": "a b"}, "id"), ({"to": 1}, "to")],
)
def test_a_wrong_notice_names_the_field(ola: Caller, network: str, wrong: dict[str, Any], field: str) -> None:
    answer = ola.post(f"/networks/{network}/notices", a_notice(**wrong))
    assert (answer.status_code, list(answer.json["errors"])) == (422, [field])
