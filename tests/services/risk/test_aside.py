"""A check-in that cannot be read is refused, and kept whole: nothing of it is lost, and it blocks nothing."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from prometheus_client import REGISTRY

from infra.vault import Erased
from infra.web import IDENTITY_HEADER
from services.risk import aside_model
from services.risk.aside_model import body_of, entries, set_aside
from services.risk.model import Course
from tests.services.risk.mothers import a_check_in, a_rough_day
from tests.world import Answer, Caller, World

WORDS = "nobody else may read this"
JSON = {"Content-Type": "application/json"}


def send(caller: Caller, body: bytes) -> Answer:
    return caller.ask("POST", "/check-ins", headers=JSON, data=body)


def kept() -> list[Any]:
    return list(entries().find().sort("_id", 1))


def bad(**wrong: Any) -> bytes:
    return json.dumps(a_check_in(note=WORDS, **(wrong or {"craving": 11}))).encode()


def test_wrong_fields_are_named_as_ever_and_the_body_is_kept_to_the_byte(maya: Caller) -> None:
    body = bad(craving=11, mood="low")
    answer = send(maya, body)
    assert (answer.status_code, sorted(answer.json["errors"])) == (422, ["craving", "mood"])
    assert answer.content_type == "application/problem+json"
    (entry,) = kept()
    assert entry["_id"] == answer.json["set_aside"]
    assert (entry["client_id"], entry["fields"], entry["state"]) == ("maya", ["craving", "mood"], "waiting")
    assert body_of(entry) == body


@pytest.mark.parametrize("body", [b'{"id": "a", "craving": 3', b"craving 3", b"\xff\x00\xfe", b'{"craving": NaN}'])
def test_what_is_not_json_at_all_is_kept_too(maya: Caller, body: bytes) -> None:
    answer = send(maya, body)
    assert answer.status_code == 400
    (entry,) = kept()
    assert (entry["_id"], entry["fields"]) == (answer.json["set_aside"], [])
    assert body_of(entry) == body


def test_no_word_of_it_lies_in_the_clear_not_even_as_the_name_of_a_field(cast: World, maya: Caller) -> None:
    send(maya, bad(craving=11, **{WORDS: 1}))
    (entry,) = kept()
    assert entry["fields"] == ["(another)", "craving"]
    cast.settle()
    assert WORDS not in repr(entry) + repr(cast.told)


def test_a_wrong_field_within_a_field_is_named_by_the_outer_one(maya: Caller) -> None:
    assert send(maya, bad(used={"days": 3})).status_code == 422
    assert kept()[0]["fields"] == ["used"]


def test_the_same_bytes_of_the_same_client_are_one_entry(cast: World, maya: Caller) -> None:
    body = bad()
    ids = {send(maya, body).json["set_aside"] for _ in range(3)}
    assert len(ids) == len(kept()) == 1
    other = send(cast.caller("theo", "client"), body).json["set_aside"]
    assert other not in ids
    assert len(kept()) == 2


def test_the_same_bytes_at_once_are_one_entry(cast: World, maya: Caller) -> None:
    body, door, together = bad(), cast.door("risk").application, Barrier(4)

    def post(_: int) -> str:
        together.wait()
        with door.test_client() as phone:
            headers = {IDENTITY_HEADER: cast.signed(maya, "risk"), **JSON}
            answer = phone.post("/v1/check-ins", data=body, headers=headers)
        return str(answer.json["set_aside"])

    with ThreadPoolExecutor(4) as threads:
        ids = set(threads.map(post, range(4)))
    assert ids == {entry["_id"] for entry in kept()}
    assert len(ids) == 1


def test_it_blocks_nothing_and_tells_nothing(maya: Caller) -> None:
    send(maya, bad())
    good = a_check_in()
    assert maya.post("/check-ins", good).status_code == 201
    assert [found["id"] for found in maya.get("/check-ins").json["items"]] == [good["id"]]
    course = Course.load("maya")
    assert course is not None
    assert course.alerts == []


def test_a_good_one_is_not_set_aside_nor_one_that_is_refused_for_another_reason(maya: Caller) -> None:
    day = a_check_in()
    assert maya.post("/check-ins", day).status_code == 201
    again = maya.post("/check-ins", {**day, "craving": 7})
    assert again.status_code == 409
    assert "set_aside" not in again.json
    assert kept() == []


@pytest.mark.parametrize(("who", "role"), [("sam", "coach"), ("ada", "admin"), ("ines", "supervisor")])
def test_of_whoever_is_no_client_nothing_is_kept(cast: World, who: str, role: str) -> None:
    answer = send(cast.caller(who, role), bad())
    assert answer.status_code == 404
    assert send(cast.nobody(), bad()).status_code == 401
    assert kept() == []


def test_an_empty_body_and_one_over_the_limit_are_not_kept(maya: Caller) -> None:
    empty, long = send(maya, b""), send(maya, b'"' + b"x" * 64 * 1024 + b'"')
    assert (empty.status_code, long.status_code) == (400, 413)
    assert "set_aside" not in empty.json | long.json
    assert kept() == []


def test_a_body_that_just_fits_is_kept_whole(maya: Caller) -> None:
    body = b"\xfe" * 64 * 1024
    send(maya, body)
    assert body_of(kept()[0]) == body


def test_where_too_many_wait_the_phone_keeps_it_and_an_operator_can_count(
    maya: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value("alongside_check_ins_not_set_aside_total") or 0

    monkeypatch.setattr(aside_model, "AT_MOST", 2)
    before, bodies = counted(), [bad() for _ in range(3)]
    answers = [send(maya, body) for body in bodies]
    assert [answer.status_code for answer in answers] == [422, 422, 422]
    assert ["set_aside" in answer.json for answer in answers] == [True, True, False]
    assert list(answers[2].json["errors"]) == ["craving"]
    assert [body_of(entry) for entry in kept()] == bodies[:2], "the oldest stay"
    assert counted() == before + 1
    assert send(maya, bodies[0]).json["set_aside"] == kept()[0]["_id"]

    aside_model.end(kept()[0]["_id"], "taken")
    assert "set_aside" in send(maya, bodies[2]).json


def test_each_client_has_room_of_their_own(cast: World, maya: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside_model, "AT_MOST", 1)
    assert "set_aside" in send(maya, bad()).json
    assert "set_aside" in send(cast.caller("theo", "client"), bad()).json


def test_a_client_sees_which_and_when_without_the_words_a_page_at_a_time(cast: World, maya: Caller) -> None:
    ids = [send(maya, bad()).json["set_aside"] for _ in range(3)]
    send(cast.caller("theo", "client"), bad())
    aside_model.end(ids[0], "taken")
    first = maya.get("/check-ins/aside?limit=2")
    assert first.status_code == 200
    second = maya.get(f"/check-ins/aside?limit=2&after={first.json['next']}").json
    items = first.json["items"] + second["items"]
    assert [item["id"] for item in items] == ids[::-1]
    assert [item["taken_at"] is None for item in items] == [True, True, False]
    assert all(item["fields"] == ["craving"] and item["at"] for item in items)
    assert WORDS not in first.text
    assert second["next"] is None


@pytest.mark.parametrize(("who", "role"), [("sam", "coach"), ("ada", "admin"), ("ines", "supervisor")])
def test_nobody_else_sees_that_there_are_any(cast: World, maya: Caller, who: str, role: str) -> None:
    send(maya, bad())
    assert cast.caller(who, role).get("/check-ins/aside").status_code == 404
    assert cast.caller("theo", "client").get("/check-ins/aside").json["items"] == []


def test_it_goes_with_the_clients_key(cast: World, maya: Caller) -> None:
    send(maya, bad())
    cast.services["risk"].vault.destroy("maya")
    with pytest.raises(Erased):
        body_of(kept()[0])
    assert send(maya, bad()).status_code == 404


def test_how_many_wait_stands_where_an_operator_looks(cast: World, maya: Caller) -> None:
    send(maya, bad())
    done = send(maya, bad()).json["set_aside"]
    aside_model.end(done, "taken")
    cast.tick()
    assert REGISTRY.get_sample_value("alongside_check_ins_set_aside") == 1


@pytest.mark.usefixtures("cast")
def test_an_end_stands() -> None:
    id = set_aside("maya", json.dumps(a_rough_day()).encode(), "print", ["craving"])
    assert id is not None
    aside_model.end(id, "taken")
    before = kept()
    aside_model.end(id, "erased")
    assert kept() == before
    assert aside_model.waiting() == []
