"""Help now: the person's own plan first, and never an error for want of anything."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pymongo
import pytest
from pymongo.errors import AutoReconnect

from schemas.base import now
from schemas.crisis import LANGUAGES, LINES, crisis_cards
from schemas.fields import written
from services.risk import service
from services.risk.help_rules import STEPS
from tests.app import until
from tests.services.risk.mothers import a_check_in, a_desperate_day, a_plan, a_rough_day
from tests.store import EmbeddedStore, running_store
from tests.world import Caller, World, settings_for

TITLES = [words["en"] for words in STEPS.values()]


@pytest.fixture
def cast(world: World) -> World:
    """Maya with Sam, and Rosa; nobody on duty."""
    world.join("client", "maya")
    world.join("coach", "sam", "rosa")
    world.assign("maya", "sam")
    return world


def with_a_plan(caller: Caller) -> Caller:
    assert caller.put("/safety-plan", a_plan()).status_code == 201
    return caller


def helped(caller: Caller, query: str = "", **headers: str) -> dict[str, Any]:
    answer = caller.get(f"/help{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


def kinds(answer: dict[str, Any]) -> list[str]:
    return [card["kind"] for card in answer["cards"]]


def of_kind(answer: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [card for card in answer["cards"] if card["kind"] == kind]


@contextmanager
def no_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing can be read."""

    def away(*_: Any, **__: Any) -> None:
        raise AutoReconnect

    with monkeypatch.context() as broken:
        for reading in ("find", "find_one", "count_documents"):
            broken.setattr(f"pymongo.collection.Collection.{reading}", away)
        yield


# -- the plan


def test_help_begins_with_the_persons_own_plan(maya: Caller) -> None:
    with_a_plan(maya)
    answer = helped(maya)
    assert answer["plan"] == "shown"
    assert kinds(answer) == ["plan"] * 7 + ["crisis"] * 4 + ["overdose", "coach", "kindness"]
    assert [card["title"] for card in of_kind(answer, "plan")] == TITLES


def test_without_a_plan_help_begins_with_the_lines(maya: Caller) -> None:
    answer = helped(maya)
    assert answer["plan"] == "none"
    assert kinds(answer)[:4] == ["crisis"] * 4
    assert maya.put("/safety-plan", {}).status_code == 201
    assert helped(maya)["plan"] == "none", "a plan in which nothing is written yet is none"


def test_help_is_ones_own_and_nobody_elses(cast: World, maya: Caller) -> None:
    with_a_plan(maya)
    maya.put("/safety-plan/sharing", {"coach": True, "people": ["rosa"]})
    for other in (cast.caller("sam", "coach"), cast.caller("rosa", "coach"), cast.caller("ada", "admin")):
        answer = helped(other)
        assert (answer["plan"], of_kind(answer, "plan")) == ("none", [])


def test_an_erased_person_is_shown_what_needs_no_key(maya: Caller) -> None:
    with_a_plan(maya)
    service.vault.destroy("maya")
    answer = helped(maya)
    assert (answer["plan"], kinds(answer)[:4]) == ("none", ["crisis"] * 4)


def test_a_plan_that_was_tampered_with_keeps_nothing_else_from_being_shown(maya: Caller) -> None:
    with_a_plan(maya)
    service.store.collection("safety_plans").update_one({"_id": "maya"}, {"$set": {"words": b"\x01" + b"x" * 60}})
    answer = helped(maya)
    assert (answer["plan"], kinds(answer)[:4]) == ("unreachable", ["crisis"] * 4)


# -- opioids


def test_after_a_lapse_with_opioids_the_words_about_tolerance_come_first(maya: Caller) -> None:
    with_a_plan(maya)
    maya.post("/check-ins", a_check_in(used={"what": "wine"}))
    assert kinds(helped(maya))[0] == "plan"
    maya.post("/check-ins", a_check_in(used={"what": "heroin"}))
    maya.post("/check-ins", a_check_in())
    answer = helped(maya)
    assert kinds(answer)[:2] == ["overdose", "plan"]
    assert kinds(answer).count("overdose") == 1


def test_a_lapse_of_long_ago_has_them_where_they_always_stand(maya: Caller) -> None:
    maya.post("/check-ins", a_check_in(at=written(now() - timedelta(days=29)), used={"what": "heroin"}))
    assert kinds(helped(maya))[0] == "crisis"


# -- who is there


def test_help_names_the_persons_own_coach_before_another_who_is_on_duty(cast: World, maya: Caller) -> None:
    cast.on_duty("rosa", "sam")
    answer = helped(maya)
    assert (answer["staffed"], answer["coach_id"]) == ("on_duty", "sam")
    assert of_kind(answer, "coach")[0]["title"] == "A coach is marked as on duty now"


def test_help_names_another_coach_where_the_persons_own_is_not_on_duty(cast: World, maya: Caller) -> None:
    cast.on_duty("rosa")
    answer = helped(maya)
    assert (answer["staffed"], answer["coach_id"]) == ("on_duty", "rosa")


def test_help_says_that_nobody_is_on_duty(cast: World, maya: Caller) -> None:
    answer = helped(maya)
    assert (answer["staffed"], answer["coach_id"]) == ("off_duty", None)
    assert of_kind(answer, "coach")[0]["title"] == "Nobody is on duty right now"
    answer = helped(cast.caller("theo", "client"))
    assert (answer["staffed"], answer["coach_id"]) == ("nobody", None)
    assert "nobody is watching" in of_kind(answer, "coach")[0]["body"]


def coach_card(answer: Any) -> str:
    (card,) = of_kind(answer.json, "coach")
    title: str = card["title"]
    return title


def test_a_bad_day_says_whether_whom_we_ask_is_on_duty(cast: World, maya: Caller) -> None:
    first, second = a_rough_day(), a_rough_day()
    assert coach_card(maya.post("/check-ins", first)) == "We are asking a person who is not on duty right now"
    cast.on_duty("sam")
    assert coach_card(maya.post("/check-ins", second)) == "We are asking a person who is on duty"
    cast.settle()
    sam = cast.caller("sam", "coach")
    (alert,) = sam.get("/alerts?state=open").json["items"]
    sam.post(f"/alerts/{alert['id']}/acknowledge")
    assert coach_card(maya.post("/check-ins", a_rough_day())) == "Somebody has already said that they are on it"


def test_a_bad_day_of_somebody_nobody_cares_for_says_so_and_shows_the_lines(world: World) -> None:
    answer = world.caller("maya", "client").post("/check-ins", a_rough_day())
    assert coach_card(answer) == "Right now there is nobody whom we could ask"
    assert kinds(answer.json) == ["crisis"] * 4 + ["coach"]


# -- the answer to a check-in


def test_an_urgent_day_carries_the_whole_plan_first(maya: Caller) -> None:
    with_a_plan(maya)
    answer = maya.post("/check-ins", a_rough_day(confidence=0))
    assert answer.json["band"] == "urgent"
    assert kinds(answer.json) == ["plan"] * 7 + ["crisis"] * 4 + ["coach"]
    assert [card["title"] for card in of_kind(answer.json, "plan")] == TITLES


def test_a_lapse_with_opioids_puts_tolerance_before_the_plan(maya: Caller) -> None:
    with_a_plan(maya)
    answer = maya.post("/check-ins", a_desperate_day())
    assert kinds(answer.json) == ["overdose"] + ["plan"] * 7 + ["crisis"] * 4 + ["coach"]


def test_a_high_day_carries_what_one_can_do_alone_and_the_reasons(maya: Caller) -> None:
    with_a_plan(maya)
    answer = maya.post("/check-ins", a_rough_day())
    assert answer.json["band"] == "high"
    assert kinds(answer.json) == ["plan", "plan", "coach"]
    assert [card["title"] for card in of_kind(answer.json, "plan")] == [TITLES[1], TITLES[6]]
    assert maya.post("/check-ins", a_check_in()).json["cards"] == []


def test_a_day_that_was_written_down_is_answered_also_when_nothing_can_be_read_then(
    maya: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_a_plan(maya)

    def away(_: str) -> None:
        raise AutoReconnect

    with monkeypatch.context() as broken:
        broken.setattr("services.risk.help_api.SafetyPlan.load", away)
        answer = maya.post("/check-ins", a_rough_day())
    assert answer.status_code == 201
    assert kinds(answer.json) == ["crisis"] * 4 + ["coach"]
    assert coach_card(answer) == "Right now we cannot tell whether anybody is on duty"


# -- without a store


def test_without_a_store_help_answers_and_says_what_could_not_be_read(
    maya: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_a_plan(maya)
    with no_store(monkeypatch):
        answer = helped(maya)
    assert (answer["plan"], answer["staffed"], answer["coach_id"]) == ("unreachable", "unreachable", None)
    assert kinds(answer) == ["crisis"] * 4 + ["overdose", "coach", "kindness"]
    assert helped(maya)["plan"] == "shown"


def test_where_only_the_duty_list_is_away_the_plan_is_shown(maya: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    with_a_plan(maya)

    def away() -> None:
        raise AutoReconnect

    with monkeypatch.context() as broken:
        broken.setattr("services.risk.help_api.on_duty", away)
        answer = helped(maya)
    assert (answer["plan"], answer["staffed"]) == ("shown", "unreachable")
    assert kinds(answer)[:7] == ["plan"] * 7


def test_what_is_read_for_help_is_read_under_a_limit_of_less_than_two_seconds(
    maya: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float | None] = []
    timeout = pymongo.timeout

    def noted(seconds: float | None) -> Any:
        limits.append(seconds)
        return timeout(seconds)

    monkeypatch.setattr("pymongo.timeout", noted)
    helped(maya)
    maya.post("/check-ins", a_rough_day())
    assert len(limits) == 2
    assert all(limit is not None and limit < 2 for limit in limits)


def test_a_store_that_stands_still_or_was_killed_does_not_keep_help_back(tmp_path: Path) -> None:
    with running_store(tmp_path / "store") as store:
        world = World(settings_for(store.url, f"sqlite://{tmp_path / 'log.sqlite'}"))
        try:
            maya = with_a_plan(world.caller("maya", "client"))
            assert helped(maya)["plan"] == "shown"
            with standing_still(store):
                answer = helped(maya)
            assert (answer["plan"], kinds(answer)[:4]) == ("unreachable", ["crisis"] * 4)
            assert helped(maya)["plan"] == "shown"
            store.kill()
            assert helped(maya)["plan"] == "unreachable"
            store.start()
            assert helped(maya)["plan"] == "shown"
        finally:
            world.close()


@contextmanager
def standing_still(store: EmbeddedStore) -> Iterator[None]:
    process = store._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED, "the store stands still")
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


# -- regions and languages


@pytest.mark.parametrize("region", LINES)
def test_help_and_the_lines_are_those_of_the_region_that_is_asked_for(cast: World, maya: Caller, region: str) -> None:
    assert [card["call"] for card in of_kind(helped(maya, f"?region={region}"), "crisis")] == [
        line.call for line in LINES[region]
    ]
    items = cast.nobody().get(f"/crisis-lines?region={region}").json["items"]
    assert [item["name"] for item in items] == [line.name for line in LINES[region]]
    assert all(item["source"] and item["checked_on"] for item in items)


def test_a_region_that_is_not_known_is_named_but_to_nobody_who_asks_for_help(maya: Caller) -> None:
    answer = maya.get("/crisis-lines?region=XX")
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["region"])
    answer = maya.get("/help?region=XX")
    assert (answer.status_code, answer.json["cards"]) == (200, maya.get("/help").json["cards"])


@pytest.mark.parametrize(("asked", "language"), [("es-MX, en;q=0.5", "es"), ("de", "en"), ("en-GB", "en"), ("", "en")])
def test_help_speaks_the_language_of_the_request_as_far_as_it_can(maya: Caller, asked: str, language: str) -> None:
    assert language in LANGUAGES
    with_a_plan(maya)
    answer = helped(maya, **{"Accept-Language": asked})
    assert [card["title"] for card in of_kind(answer, "plan")] == [words[language] for words in STEPS.values()]
    assert of_kind(answer, "crisis") == [card.dump() for card in crisis_cards("US", language)]
    day = maya.post("/check-ins", a_desperate_day(), headers={"Accept-Language": asked})
    assert of_kind(day.json, "crisis") == of_kind(answer, "crisis")
