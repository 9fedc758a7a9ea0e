"""The safety plan over HTTP: written by its client, never lost, and read by whom the client chose."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.people import RecordSeen
from schemas.safety import SafetyPlanShared, SafetyPlanWritten
from services.risk import service
from services.risk.plan_model import Editions, SafetyPlan
from tests.services.risk.mothers import a_plan
from tests.world import Caller, World

PATH = "/safety-plan"
MAYAS = "/clients/maya/safety-plan"


@pytest.fixture
def cast(world: World) -> World:
    """Maya with Sam, Theo with Rosa, Ines over them, and some who have nothing to do with Maya."""
    world.join("client", "maya", "theo")
    world.join("coach", "sam", "rosa")
    world.join("supervisor", "ines")
    world.join("admin", "ada")
    world.assign("maya", "sam")
    world.assign("theo", "rosa")
    return world


def edit(caller: Caller, body: dict[str, Any], tag: str | int) -> Any:
    return caller.put(PATH, body, headers={"If-Match": f'"{tag}"' if isinstance(tag, int) else tag})


def written(caller: Caller, **steps: Any) -> dict[str, Any]:
    """The plan that somebody has just begun."""
    answer = caller.put(PATH, a_plan(**steps))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json
    return found


def share(caller: Caller, coach: bool, *people: str) -> None:
    answer = caller.put(f"{PATH}/sharing", {"coach": coach, "people": list(people)})
    assert answer.status_code == 200, answer.text


# -- writing


def test_the_first_plan_needs_no_tag_and_is_read_back_as_it_was_written(maya: Caller) -> None:
    assert maya.get(PATH).status_code == 404
    first = maya.put(PATH, a_plan())
    assert (first.status_code, first.headers["ETag"], first.json["version"]) == (201, '"1"', 1)
    read = maya.get(PATH)
    assert (read.status_code, read.headers["ETag"]) == (200, '"1"')
    assert read.json == first.json
    assert {name: read.json[name] for name in a_plan()} == a_plan()
    assert read.json["sharing"] == {"coach": False, "people": []}, "nobody but its client, unless the client says so"
    assert maya.get(MAYAS).json == read.json


def test_an_edit_names_the_version_that_it_edits(maya: Caller) -> None:
    written(maya)
    assert maya.put(PATH, a_plan()).status_code == 428
    assert edit(maya, a_plan(), 7).status_code == 412
    second = edit(maya, a_plan(reasons=["the dog"]), 1)
    assert (second.status_code, second.headers["ETag"], second.json["version"]) == (200, '"2"', 2)
    assert edit(maya, a_plan(), 1).status_code == 412
    assert maya.get(PATH).json["reasons"] == ["the dog"]


@pytest.mark.parametrize("body", [b'{"reasons": ["the dog"]}', b""])
def test_a_plan_is_never_written_over_by_what_does_not_say_that_it_is_json(maya: Caller, body: bytes) -> None:
    """Every step may be empty, so nothing else would stop it."""
    written(maya)
    headers = {"If-Match": '"1"', "Content-Type": "text/plain"}
    assert maya.put(PATH, headers=headers, data=body).status_code == 400
    assert {name: maya.get(PATH).json[name] for name in a_plan()} == a_plan()


def test_where_there_is_no_plan_yet_a_tag_is_stale(maya: Caller) -> None:
    assert edit(maya, a_plan(), 1).status_code == 412
    assert maya.get(PATH).status_code == 404


def test_every_version_stays_readable(maya: Caller) -> None:
    written(maya, reasons=["reason 1"])
    for number in range(2, 8):
        assert edit(maya, a_plan(reasons=[f"reason {number}"]), number - 1).status_code == 200
    for number in range(1, 8):
        answer = maya.get(f"{PATH}?version={number}")
        assert (answer.status_code, answer.json["version"]) == (200, number)
        assert answer.json["reasons"] == [f"reason {number}"]
    assert maya.get(f"{PATH}?version=8").status_code == 404
    for wrong in ("0", "-1", "x", "1.0", "", "9" * 10):
        assert list(maya.get(f"{PATH}?version={wrong}").json["errors"]) == ["version"]
    assert list(maya.get(f"{PATH}?edition=1").json["errors"]) == ["edition"]

    everything = maya.get(f"{PATH}/versions").json
    assert [item["version"] for item in everything["items"]] == [7, 6, 5, 4, 3, 2, 1]
    assert everything["next"] is None
    assert everything["items"][0]["written_at"] == maya.get(PATH).json["written_at"]


def test_versions_come_a_page_at_a_time(maya: Caller) -> None:
    written(maya)
    for number in range(1, 7):
        edit(maya, a_plan(), number)
    read: list[int] = []
    following = ""
    while True:
        page = maya.get(f"{PATH}/versions?limit=3{following}").json
        read += [item["version"] for item in page["items"]]
        if page["next"] is None:
            break
        following = f"&after={page['next']}"
    assert read == [7, 6, 5, 4, 3, 2, 1]
    assert list(maya.get(f"{PATH}/versions?after=x").json["errors"]) == ["after"]


def test_what_is_written_is_sealed_and_told_without_a_word(cast: World, maya: Caller) -> None:
    written(maya, reasons=["quicksilver"], people_to_ask=[{"name": "zanzibar", "phone": "5550123"}])
    edit(maya, a_plan(), 1)
    share(maya, True, "theo")
    told = cast.events(SafetyPlanWritten)
    assert [(event.client_id, event.edition) for event in told] == [("maya", 1), ("maya", 2)]
    kept = repr([list(SafetyPlan.raw().find()), list(Editions.collection().find())])
    said = json.dumps([event.dump() for event in cast.told])
    assert "maya" in kept
    for word in ("quicksilver", "zanzibar", "5550123", "canal"):
        assert word not in kept
        assert word not in said


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"warning_signs": ["x" * 201]}, "warning_signs"),
        ({"coping_strategies": [""]}, "coping_strategies"),
        ({"coping_strategies": ["a\x00"]}, "coping_strategies"),
        ({"reasons": ["x"] * 21}, "reasons"),
        ({"reasons": "x"}, "reasons"),
        ({"reasons": [{"name": "x"}]}, "reasons"),
        ({"reasons": None}, "reasons"),
        ({"people_to_ask": ["my sister"]}, "people_to_ask"),
        ({"people_to_ask": [{"name": "x", "phone": "call me"}]}, "people_to_ask"),
        ({"people_to_ask": [{"name": "x", "phone": "+"}]}, "people_to_ask"),
        ({"people_to_ask": [{"name": "x", "phone": "5" * 41}]}, "people_to_ask"),
        ({"people_to_ask": [{"phone": "5550100"}]}, "people_to_ask"),
        ({"people_to_ask": [{"name": "x", "address": "y"}]}, "people_to_ask"),
        ({"professionals": [{"name": "x"}] * 21}, "professionals"),
        ({"step_seven": []}, "step_seven"),
    ],
    ids=str,
)
def test_a_wrong_plan_answers_422_names_the_field_and_keeps_nothing(
    maya: Caller, wrong: dict[str, Any], field: str
) -> None:
    answer = maya.put(PATH, {**a_plan(), **wrong})
    assert answer.status_code == 422
    assert list(answer.json["errors"]) == [field]
    assert maya.get(PATH).status_code == 404


def test_as_much_as_is_allowed_is_kept(maya: Caller) -> None:
    lines, contacts = ["x" * 200] * 20, [{"name": "y" * 200, "phone": "+" + "5" * 39}] * 20
    full = {name: lines if isinstance(step[0], str) else contacts for name, step in a_plan().items()}
    assert maya.put(PATH, full).status_code == 201
    assert {name: maya.get(PATH).json[name] for name in full} == full


def test_what_is_left_out_is_empty(maya: Caller) -> None:
    assert maya.put(PATH, {"reasons": ["the sea"]}).status_code == 201
    assert maya.get(PATH).json["warning_signs"] == []


@pytest.mark.parametrize("role", ["coach", "supervisor", "organiser", "admin"])
def test_only_a_client_has_a_plan(cast: World, role: str) -> None:
    other = cast.caller("sam", role)
    assert other.put(PATH, a_plan()).status_code == 404
    assert other.get(PATH).status_code == 404
    assert other.get(f"{PATH}/versions").status_code == 404
    assert other.put(f"{PATH}/sharing", {"coach": True, "people": []}).status_code == 404


# -- racing


def test_no_version_is_ever_lost_however_many_phones_write_at_once(maya: Caller) -> None:
    """Whatever was answered with 200 or 201 is readable under its number, and the numbers have no gap."""
    together, kept = Barrier(6), []

    def phone(number: int) -> None:
        dice = random.Random(number)
        together.wait()
        for turn in range(8):
            words = f"phone {number} turn {turn}"
            latest = maya.get(PATH)
            tag = latest.headers.get("ETag") if dice.random() < 0.9 else '"1"'
            answer = edit(maya, a_plan(reasons=[words]), tag) if tag else maya.put(PATH, a_plan(reasons=[words]))
            assert answer.status_code in (200, 201, 412, 428), answer.text
            if answer.status_code < 300:
                kept.append((answer.json["version"], words))

    with ThreadPoolExecutor(6) as pool:
        for racing in [pool.submit(phone, number) for number in range(6)]:
            racing.result()
    assert len(kept) > 6
    assert sorted(number for number, _ in kept) == list(range(1, len(kept) + 1))
    for number, words in kept:
        assert maya.get(f"{PATH}?version={number}").json["reasons"] == [words]
    listed = maya.get(f"{PATH}/versions?limit=200").json["items"]
    assert [item["version"] for item in listed] == list(range(len(kept), 0, -1))


def test_of_two_first_plans_one_is_kept_and_the_other_is_told_to_look(maya: Caller) -> None:
    together = Barrier(4)

    def write(number: int) -> int:
        together.wait()
        return int(maya.put(PATH, a_plan(reasons=[f"phone {number}"])).status_code)

    with ThreadPoolExecutor(4) as pool:
        answers = sorted(racing.result() for racing in [pool.submit(write, number) for number in range(4)])
    assert answers == [201, 428, 428, 428]
    assert maya.get(f"{PATH}/versions").json["items"][0]["version"] == 1


def test_a_version_that_was_kept_before_a_write_broke_off_is_what_it_was(
    maya: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(maya, reasons=["first"])

    def broken(*_: Any) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as cut:
        cut.setattr(SafetyPlan, "commit", broken)
        assert edit(maya, a_plan(reasons=["lost"]), 1).status_code == 500
    assert maya.get(f"{PATH}?version=2").status_code == 404
    assert [item["version"] for item in maya.get(f"{PATH}/versions").json["items"]] == [1]
    assert edit(maya, a_plan(reasons=["second"]), 1).status_code == 200
    assert maya.get(f"{PATH}?version=1").json["reasons"] == ["first"]
    assert maya.get(f"{PATH}?version=2").json["reasons"] == ["second"]


# -- who may read it


someone = st.sampled_from(["maya", "sam", "rosa", "theo"])


@given(st.booleans(), st.sets(someone), someone, st.booleans())
def test_who_may_read_a_plan_is_its_client_the_named_and_by_choice_who_cares(
    coach: bool, people: set[str], reader: str, cares: bool
) -> None:
    plan = SafetyPlan(id="maya", coach=coach, people=sorted(people - {"maya"}))
    allowed = reader == "maya" or reader in people or (coach and cares)
    assert plan.may_read(reader, lambda: cares) == allowed


@pytest.mark.parametrize("reader", ["maya", "theo"])
def test_for_whoever_may_read_it_anyway_no_grant_is_looked_up(reader: str) -> None:
    def looked_up() -> bool:
        raise AssertionError("the client's own help would wait for it")

    assert SafetyPlan(id="maya", coach=True, people=["theo"]).may_read(reader, looked_up)


def test_the_whole_matrix_of_choices_and_readers_over_http(cast: World, maya: Caller) -> None:
    written(maya)
    readers = {
        "sam": cast.caller("sam", "coach"),
        "rosa": cast.caller("rosa", "coach"),
        "theo": cast.caller("theo", "client"),
        "ines": cast.caller("ines", "supervisor"),
        "ada": cast.caller("ada", "admin"),
    }
    for coach, named in product((False, True), ([], ["theo"], ["rosa"], ["theo", "ines", "ada"], ["sam"])):
        share(maya, coach, *named)
        for name, reader in readers.items():
            allowed = name != "ada" and (name in named or (coach and name == "sam"))
            answer = reader.get(MAYAS)
            assert answer.status_code == (200 if allowed else 404), (coach, named, name)
            if allowed:
                assert answer.json["reasons"] == a_plan()["reasons"]
                assert answer.json["sharing"] is None, "with whom else it is shared is the client's own"
            else:
                assert "canal" not in answer.text
        assert maya.get(MAYAS).json["sharing"] == {"coach": coach, "people": named}
    assert cast.nobody().get(MAYAS).status_code == 401


def test_what_may_not_be_read_and_what_is_not_there_are_answered_alike(maya: Caller, sam: Caller) -> None:
    def asked(client: str) -> tuple[int, dict[str, Any]]:
        answer = sam.get(f"/clients/{client}/safety-plan")
        return answer.status_code, answer.json | {"instance": 0}

    unwritten = asked("maya")
    written(maya)
    assert asked("maya") == unwritten == asked("nobody")


def test_a_revoked_choice_holds_at_once(maya: Caller, sam: Caller, theo: Caller) -> None:
    written(maya)
    share(maya, True, "theo")
    assert (sam.get(MAYAS).status_code, theo.get(MAYAS).status_code) == (200, 200)
    share(maya, False)
    assert (sam.get(MAYAS).status_code, theo.get(MAYAS).status_code) == (404, 404)


def test_a_coach_whose_care_ended_reads_no_more_and_one_who_was_named_does(cast: World, maya: Caller) -> None:
    written(maya)
    share(maya, True)
    rosa = cast.caller("rosa", "coach")
    assignment = cast.assign("maya", "rosa")
    assert rosa.get(MAYAS).status_code == 200
    ended = cast.caller("ines", "supervisor").post(f"/assignments/{assignment}/end")
    assert ended.status_code == 200, ended.text
    cast.settle()
    assert rosa.get(MAYAS).status_code == 404
    share(maya, False, "rosa")
    assert rosa.get(MAYAS).status_code == 200


def test_readers_see_the_newest_version_and_no_other(maya: Caller, sam: Caller) -> None:
    written(maya, reasons=["not for the coach"])
    edit(maya, a_plan(reasons=["for all"]), 1)
    share(maya, True)
    assert sam.get(f"{MAYAS}?version=1").json["reasons"] == ["for all"]


def test_a_look_is_in_the_audit_ledger_and_ones_own_is_none(
    cast: World, maya: Caller, sam: Caller, theo: Caller
) -> None:
    written(maya)
    share(maya, True, "theo")
    for reader in (sam, theo, maya):
        assert reader.get(MAYAS, headers={"X-Request-Id": f"look-of-{reader.id}"}).status_code == 200
    cast.caller("rosa", "coach").get(MAYAS)
    looks = cast.events(RecordSeen, lambda seen: seen.what == "safety plan")
    assert [(look.viewer_id, look.subject_id, look.request_id) for look in looks] == [
        ("sam", "maya", "look-of-sam"),
        ("theo", "maya", "look-of-theo"),
    ]
    assert {entry["viewer_id"] for entry in maya.get("/audit").json["items"] if entry["what"] == "safety plan"} == {
        "sam",
        "theo",
    }


def test_whoever_is_named_finds_the_plan_for_as_long_as_it_is_shared(
    cast: World, maya: Caller, sam: Caller, theo: Caller
) -> None:
    def found(caller: Caller) -> list[str]:
        answer = caller.get(f"{PATH}/shared-with-me")
        assert answer.status_code == 200
        return [plan["client_id"] for plan in answer.json["items"]]

    plan = written(maya)
    share(maya, True, "theo")
    assert theo.get(f"{PATH}/shared-with-me").json == {
        "items": [{"client_id": "maya", "written_at": plan["written_at"]}],
        "next": None,
    }
    assert (found(sam), found(maya)) == ([], []), "Sam cares for her, and was not named"
    looks = cast.events(RecordSeen, lambda seen: seen.what == "shared safety plans")
    assert [(look.viewer_id, look.subject_id) for look in looks] == [("theo", "maya")]
    assert cast.caller("ada", "admin").get(f"{PATH}/shared-with-me").status_code == 404
    share(maya, True)
    assert found(theo) == []
    share(maya, True, "theo", "sam")
    assert (found(theo), found(sam)) == (["maya"], ["maya"])
    service.vault.destroy("maya")
    assert found(theo) == []


def test_sharing_is_told_to_those_who_may_read_it_from_now_on(cast: World, maya: Caller) -> None:
    written(maya)
    share(maya, True, "theo", "theo", "maya")
    share(maya, True, "theo")
    share(maya, False)
    told = cast.events(SafetyPlanShared)
    assert [(event.coach, event.people, event.tell) for event in told] == [
        (True, ["theo"], ["theo", "sam"]),
        (False, [], []),
    ]
    share(maya, True)
    edit(maya, a_plan(), 1)
    assert [event.tell for event in cast.events(SafetyPlanWritten)] == [[], ["sam"]]


def test_there_is_nothing_to_share_before_there_is_a_plan(maya: Caller) -> None:
    assert maya.put(f"{PATH}/sharing", {"coach": True, "people": []}).status_code == 404
    assert maya.get(f"{PATH}/versions").status_code == 404


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"coach": "yes", "people": []}, "coach"),
        ({"people": []}, "coach"),
        ({"coach": True}, "people"),
        ({"coach": True, "people": ["two words"]}, "people"),
        ({"coach": True, "people": [f"p{number}" for number in range(21)]}, "people"),
        ({"coach": True, "people": [], "everybody": True}, "everybody"),
    ],
    ids=str,
)
def test_a_wrong_choice_answers_422_and_changes_nothing(maya: Caller, wrong: dict[str, Any], field: str) -> None:
    written(maya)
    answer = maya.put(f"{PATH}/sharing", wrong)
    assert answer.status_code == 422
    assert list(answer.json["errors"]) == [field]
    assert maya.get(PATH).json["sharing"] == {"coach": False, "people": []}


def test_the_plan_of_an_erased_person_is_nobodys_any_more(maya: Caller, sam: Caller) -> None:
    written(maya)
    edit(maya, a_plan(), 1)
    share(maya, True)
    service.vault.destroy("maya")
    assert maya.get(PATH).status_code == 404
    assert maya.get(f"{PATH}?version=1").status_code == 404
    assert sam.get(MAYAS).status_code == 404
    assert edit(maya, a_plan(), 2).status_code == 404
