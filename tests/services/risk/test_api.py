"""Check-ins and alerts over HTTP, with the other services around them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from schemas.base import now
from schemas.fields import written
from schemas.people import RecordSeen
from schemas.risk import AlertAcknowledged, AlertClosed, AlertEscalated, AlertRaised, AlertWorsened, CheckInRecorded
from services.risk.check_in_model import Archive
from services.risk.model import MOVED_FROM, RECENT, Course
from tests.services.risk.mothers import a_check_in, a_desperate_day, a_rough_day
from tests.world import Caller, World


def open_alerts(caller: Caller) -> list[dict[str, Any]]:
    answer = caller.get("/alerts?state=open")
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json["items"]
    return items


def the_alert(cast: World, maya: Caller, sam: Caller, day: dict[str, Any] | None = None) -> dict[str, Any]:
    """Maya has a bad day; the alert that Sam finds."""
    assert maya.post("/check-ins", day or a_rough_day()).status_code == 201
    cast.settle()
    (alert,) = open_alerts(sam)
    return alert


# -- check-ins


def test_a_check_in_answers_201_with_its_band_and_what_helps(alone: Caller) -> None:
    day = a_desperate_day()
    answer = alone.post("/check-ins", day)
    assert answer.status_code == 201
    assert answer.json["id"] == day["id"]
    assert answer.json["band"] == "urgent"
    assert answer.json["reasons"][0].startswith("You told us about a lapse")
    assert [card["kind"] for card in answer.json["cards"]] == ["overdose", *["crisis"] * 4, "coach"]


def test_a_repeat_of_the_same_check_in_answers_200_and_changes_nothing(cast: World, maya: Caller) -> None:
    day = a_rough_day(note="it was the bus stop")
    first = maya.post("/check-ins", day)
    again = maya.post("/check-ins", day)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json == first.json
    assert len(cast.events(CheckInRecorded)) == 1
    assert len(cast.events(AlertRaised)) == 1
    assert len(maya.get("/check-ins").json["items"]) == 1


def test_the_same_id_with_another_body_answers_409_and_changes_nothing(alone: Caller) -> None:
    day = a_check_in()
    assert alone.post("/check-ins", day).status_code == 201
    assert alone.post("/check-ins", {**day, "craving": 8}).status_code == 409
    assert alone.post("/check-ins", {**day, "note": "more"}).status_code == 409
    assert [kept["craving"] for kept in alone.get("/check-ins").json["items"]] == [1]


def test_the_same_id_from_two_clients_is_two_check_ins(cast: World, maya: Caller) -> None:
    theo = cast.caller("theo", "client")
    day = a_check_in()
    assert maya.post("/check-ins", day).status_code == 201
    assert theo.post("/check-ins", {**day, "craving": 2}).status_code == 201
    assert [kept["craving"] for kept in theo.get("/check-ins").json["items"]] == [2]


def test_every_answer_is_read_back_as_it_was_given(maya: Caller, sam: Caller) -> None:
    day = a_check_in(
        at="2026-01-31T09:30:00.123Z",
        confidence=6,
        mood=5,
        hungry=1,
        angry=2,
        lonely=3,
        tired=4,
        sleep_hours=7.5,
        risky_situation=True,
        used={"what": "a glass of wine", "days": 1},
        medication_taken=True,
        withdrawal=1,
        note="a hard afternoon",
    )
    assert maya.post("/check-ins", day).status_code == 201
    for reader in (maya, sam):
        (read,) = reader.get("/check-ins?client_id=maya").json["items"]
        assert {name: read[name] for name in day} == day
        assert read["client_id"] == "maya"


def test_written_words_lie_sealed_in_the_store_and_never_on_the_log(cast: World, maya: Caller) -> None:
    day = a_rough_day(note="zanzibar at midnight", used={"what": "quicksilver", "days": 1})
    maya.post("/check-ins", day)
    cast.settle()
    kept = repr(Course.raw().find_one({"_id": "maya"})) + repr(cast.told)
    assert "maya" in kept
    assert "zanzibar" not in kept
    assert "quicksilver" not in kept


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"craving": 11}, "craving"),
        ({"craving": True}, "craving"),
        ({"craving": "9"}, "craving"),
        ({"craving": None}, "craving"),
        ({"id": "two words"}, "id"),
        ({"surprise": 1}, "surprise"),
        ({"note": ""}, "note"),
        ({"note": "\x00"}, "note"),
        ({"at": "yesterday"}, "at"),
        ({"used": {"days": 1}}, "used"),
    ],
    ids=str,
)
def test_a_wrong_check_in_answers_422_names_the_field_and_keeps_nothing(
    alone: Caller, wrong: dict[str, Any], field: str
) -> None:
    answer = alone.post("/check-ins", a_check_in(**wrong))
    assert answer.status_code == 422
    assert list(answer.json["errors"]) == [field]
    assert alone.get("/check-ins").json["items"] == []


def test_check_ins_that_come_late_and_out_of_order_stand_where_they_belong(maya: Caller) -> None:
    today = now()
    noon = a_check_in(at=written(today - timedelta(hours=1)), craving=2)
    late = a_check_in(at=written(today - timedelta(days=2)), craving=7)
    for day in (noon, late):
        assert maya.post("/check-ins", day).status_code == 201
    items = maya.get("/check-ins").json["items"]
    assert [item["id"] for item in items] == [noon["id"], late["id"]]
    risk = maya.get("/clients/maya/risk").json
    assert (risk["band"], risk["at"]) == ("steady", noon["at"]), "a late one is not the latest one"


def test_a_bad_day_that_comes_late_still_reaches_the_coach(cast: World, maya: Caller, sam: Caller) -> None:
    maya.post("/check-ins", a_check_in())
    maya.post("/check-ins", a_rough_day(at=written(now() - timedelta(hours=20))))
    cast.settle()
    assert [alert["client_id"] for alert in open_alerts(sam)] == ["maya"]


def history(caller: Caller) -> list[dict[str, Any]]:
    """All that somebody said, in the order in which it is read, a page at a time."""
    read: list[dict[str, Any]] = []
    after = ""
    while True:
        page = caller.get(f"/check-ins?limit=25{after}").json
        read += page["items"]
        if page["next"] is None:
            return read
        after = f"&after={page['next']}"


def test_one_that_comes_so_late_that_newer_ones_are_archived_stands_where_it_belongs(maya: Caller) -> None:
    start = now() - timedelta(days=100)
    for n in range(MOVED_FROM + 5):
        assert maya.post("/check-ins", a_check_in(at=written(start + timedelta(days=n)))).status_code == 201
    late = a_check_in(at=written(start + timedelta(days=3, hours=1)))
    assert maya.post("/check-ins", late).status_code == 201
    moments = [item["at"] for item in history(maya)]
    assert moments == sorted(moments, reverse=True)
    assert len(moments) == MOVED_FROM + 6
    assert late["at"] in moments


def test_one_from_a_phone_whose_clock_was_ahead_keeps_its_place_in_the_archive(maya: Caller) -> None:
    days = [a_check_in() for _ in range(2 * MOVED_FROM)]
    days[5]["at"] = "2999-01-01T00:00:00Z"
    for day in days:
        assert maya.post("/check-ins", day).status_code == 201
    assert Archive.find("maya", days[5]["id"]) is not None, "what is tried is in the archive"
    assert [item["id"] for item in history(maya)] == [day["id"] for day in reversed(days)]


def test_the_archive_keeps_check_ins_beyond_the_recent_ones_readable_and_repeat_safe(maya: Caller) -> None:
    start = now() - timedelta(days=100)
    days = [a_check_in(at=written(start + timedelta(days=n)), craving=n % 5, note=f"day {n}") for n in range(70)]
    for day in days:
        assert maya.post("/check-ins", day).status_code == 201
    course = Course.load("maya")
    assert course is not None
    assert RECENT <= len(course.check_ins) <= MOVED_FROM
    assert Archive.collection().count_documents({}) == 70 - len(course.check_ins)

    read = history(maya)
    assert [item["id"] for item in read] == [day["id"] for day in reversed(days)]
    assert [item["note"] for item in read] == [day["note"] for day in reversed(days)]

    assert maya.post("/check-ins", days[0]).status_code == 200
    assert maya.post("/check-ins", {**days[0], "craving": 9}).status_code == 409


def test_a_late_bad_day_older_than_all_recent_ones_is_not_lost_when_the_store_fails_once(
    cast: World, maya: Caller, sam: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes to the archive at once; the phone that was told 503 sends it again, and a human must hear of it."""
    for n in range(MOVED_FROM):
        maya.post("/check-ins", a_check_in(at=written(now() - timedelta(days=1, minutes=n))))
    late = a_rough_day(at=written(now() - timedelta(days=5)))

    def away(*_: Any) -> None:
        raise AutoReconnect

    with monkeypatch.context() as broken:
        broken.setattr(Course, "commit", away)
        assert maya.post("/check-ins", late).status_code == 503
    assert maya.post("/check-ins", late).status_code in (200, 201)
    cast.settle()
    assert [alert["client_id"] for alert in open_alerts(sam)] == ["maya"]
    assert len(cast.events(CheckInRecorded, lambda event: event.check_in_id == late["id"])) == 1


def test_a_check_in_from_the_future_is_refused_or_never_hides_the_days_that_follow(alone: Caller) -> None:
    alone.post("/check-ins", a_check_in(at="2999-01-01T00:00:00Z"))
    alone.post("/check-ins", a_rough_day())
    assert alone.get("/clients/maya/risk").json["band"] == "high"


def test_only_a_client_checks_in(sam: Caller) -> None:
    assert sam.post("/check-ins", a_check_in()).status_code == 404


# -- who sees what


def test_others_get_404_for_a_clients_record(cast: World, maya: Caller, rosa: Caller) -> None:
    maya.post("/check-ins", a_rough_day())
    cast.settle()
    strangers = [
        rosa,
        cast.caller("theo", "client"),
        cast.caller("ines", "supervisor"),
        cast.caller("ada", "admin"),
        cast.caller("ola", "organiser"),
    ]
    for stranger in strangers:
        for path in ("/clients/maya/risk", "/check-ins?client_id=maya"):
            answer = stranger.get(path)
            assert answer.status_code == 404, (stranger.id, path)
            assert "maya" not in answer.text.replace(path, "")


def test_one_who_is_there_and_one_who_is_not_are_answered_alike(rosa: Caller) -> None:
    there, not_there = rosa.get("/clients/maya/risk"), rosa.get("/clients/nobody/risk")
    assert (there.status_code, there.json | {"instance": 0}) == (
        not_there.status_code,
        not_there.json | {"instance": 0},
    )


def test_the_coach_sees_the_risk_and_the_look_is_written_down(cast: World, maya: Caller, sam: Caller) -> None:
    maya.post("/check-ins", a_rough_day())
    cast.settle()
    answer = sam.get("/clients/maya/risk", headers={"X-Request-Id": "look-1"})
    assert answer.status_code == 200
    assert answer.json["band"] == "high"
    assert answer.json["open_alert"] == open_alerts(sam)[0]["id"]
    (look,) = cast.events(RecordSeen, lambda seen: seen.what == "risk")
    assert (look.viewer_id, look.subject_id, look.request_id) == ("sam", "maya", "look-1")


def test_ones_own_record_is_no_look(cast: World, maya: Caller) -> None:
    maya.get("/clients/maya/risk")
    maya.get("/check-ins")
    assert cast.events(RecordSeen, lambda seen: seen.viewer_id == "maya") == []


def test_before_the_first_check_in_there_is_no_band(alone: Caller) -> None:
    risk = alone.get("/clients/maya/risk").json
    assert risk == {
        "client_id": "maya",
        "band": None,
        "reasons": [],
        "compared": [],
        "at": None,
        "check_in_id": None,
        "contested": None,
        "open_alert": None,
        "answered": None,
    }


# -- alerts


def test_a_bad_day_reaches_the_assigned_coach_and_nobody_else(cast: World, maya: Caller, sam: Caller) -> None:
    day = a_rough_day()
    maya.post("/check-ins", day)
    (raised,) = cast.events(AlertRaised)
    assert (raised.tell, raised.rung, raised.band, raised.client_id) == (["sam"], "coach", "high", "maya")
    (alert,) = open_alerts(sam)
    assert alert["id"] == raised.alert_id
    assert alert["reasons"] == ["Craving is strong today"]
    assert (alert["state"], alert["acknowledged_by"], alert["outcome"]) == ("open", None, None)
    for other in ("rosa", "ines", "theo", "maya"):
        assert open_alerts(cast.caller(other, "coach")) == []
        assert cast.caller(other, "coach").get(f"/alerts/{alert['id']}").status_code == 404


def test_urgent_has_a_shorter_clock_than_high(cast: World, maya: Caller) -> None:
    theo = cast.caller("theo", "client")
    maya.post("/check-ins", a_rough_day())
    theo.post("/check-ins", a_desperate_day())
    patience = {event.client_id: event.due_at - event.at for event in cast.events(AlertRaised)}
    assert round(patience["maya"].total_seconds()) == 1800
    assert round(patience["theo"].total_seconds()) == 300


@pytest.mark.parametrize("craving", [1, 5, 7])
def test_a_day_that_is_not_bad_raises_nothing(cast: World, maya: Caller, sam: Caller, craving: int) -> None:
    maya.post("/check-ins", a_check_in(craving=craving))
    assert cast.events(AlertRaised) == []
    assert open_alerts(sam) == []


def test_a_second_bad_day_joins_the_alert_that_is_open(cast: World, maya: Caller, sam: Caller) -> None:
    alert = the_alert(cast, maya, sam)
    maya.post("/check-ins", a_rough_day())
    cast.settle()
    assert open_alerts(sam) == [alert], "the same alert, the same clock"
    assert len(cast.events(AlertRaised)) == 1
    assert cast.events(AlertWorsened) == []


def test_a_worse_day_worsens_the_alert_and_starts_its_clock_again(cast: World, maya: Caller, sam: Caller) -> None:
    alert = the_alert(cast, maya, sam)
    maya.post("/check-ins", a_desperate_day())
    (worsened,) = cast.events(AlertWorsened)
    assert (worsened.alert_id, worsened.band, worsened.tell) == (alert["id"], "urgent", ["sam"])
    (now_open,) = open_alerts(sam)
    assert (now_open["id"], now_open["band"]) == (alert["id"], "urgent")
    assert now_open["due_at"] < alert["due_at"]


def test_a_worse_day_opens_again_what_was_acknowledged(cast: World, maya: Caller, sam: Caller) -> None:
    alert = the_alert(cast, maya, sam)
    assert sam.post(f"/alerts/{alert['id']}/acknowledge").status_code == 200
    maya.post("/check-ins", a_rough_day())
    cast.settle()
    assert open_alerts(sam) == [], "as bad as before is not worse"
    maya.post("/check-ins", a_desperate_day())
    cast.settle()
    (again,) = open_alerts(sam)
    assert (again["state"], again["acknowledged_by"]) == ("open", None)
    assert again["due_at"] is not None


def test_after_an_alert_was_closed_a_bad_day_raises_another(cast: World, maya: Caller, sam: Caller) -> None:
    first = the_alert(cast, maya, sam)
    sam.post(f"/alerts/{first['id']}/close", {"outcome": "talked"})
    second = the_alert(cast, maya, sam)
    assert second["id"] != first["id"]
    everything = sam.get("/alerts").json["items"]
    assert [(alert["id"], alert["state"]) for alert in everything] == [(second["id"], "open"), (first["id"], "closed")]


def test_the_coach_acknowledges_and_the_clock_stops(cast: World, maya: Caller, sam: Caller) -> None:
    alert = the_alert(cast, maya, sam)
    answer = sam.post(f"/alerts/{alert['id']}/acknowledge")
    assert answer.status_code == 200
    assert (answer.json["state"], answer.json["acknowledged_by"], answer.json["due_at"]) == (
        "acknowledged",
        "sam",
        None,
    )
    (told,) = cast.events(AlertAcknowledged)
    assert (told.by, told.tell) == ("sam", ["sam"])
    cast.tick(now() + timedelta(hours=3))
    assert sam.get(f"/alerts/{alert['id']}").json["state"] == "acknowledged"


def test_an_alert_that_was_acknowledged_and_forgotten_is_asked_about_again(
    cast: World, maya: Caller, sam: Caller
) -> None:
    alert = the_alert(cast, maya, sam)
    sam.post(f"/alerts/{alert['id']}/acknowledge")
    cast.tick(now() + timedelta(hours=5))
    (told,) = cast.events(AlertEscalated)
    assert (told.rung, told.tell) == ("supervisor", ["sam", "ines"])
    (again,) = open_alerts(sam)
    assert (again["state"], again["acknowledged_by"]) == ("open", None)


def test_acknowledging_twice_says_it_once(cast: World, maya: Caller, sam: Caller) -> None:
    alert = the_alert(cast, maya, sam)
    for _ in range(2):
        assert sam.post(f"/alerts/{alert['id']}/acknowledge").status_code == 200
    assert len(cast.events(AlertAcknowledged)) == 1


def test_closing_keeps_the_outcome_and_says_it_once(cast: World, maya: Caller, sam: Caller) -> None:
    alert = the_alert(cast, maya, sam)
    for _ in range(2):
        answer = sam.post(f"/alerts/{alert['id']}/close", {"outcome": "talked"})
        assert (answer.status_code, answer.json["state"], answer.json["outcome"]) == (200, "closed", "talked")
    assert len(cast.events(AlertClosed)) == 1
    assert maya.get("/clients/maya/risk").json["open_alert"] is None


def test_a_closed_alert_is_not_closed_otherwise_nor_acknowledged(cast: World, maya: Caller, sam: Caller) -> None:
    alert = the_alert(cast, maya, sam)
    sam.post(f"/alerts/{alert['id']}/close", {"outcome": "talked"})
    assert sam.post(f"/alerts/{alert['id']}/close", {"outcome": "met"}).status_code == 409
    assert sam.post(f"/alerts/{alert['id']}/acknowledge").status_code == 409
    assert sam.get(f"/alerts/{alert['id']}").json["outcome"] == "talked"


@pytest.mark.parametrize("body", [{}, {"outcome": "forgotten"}, {"outcome": None}, {"outcome": "talked", "by": "me"}])
def test_closing_needs_an_outcome(cast: World, maya: Caller, sam: Caller, body: dict[str, Any]) -> None:
    alert = the_alert(cast, maya, sam)
    assert sam.post(f"/alerts/{alert['id']}/close", body).status_code == 422
    assert sam.get(f"/alerts/{alert['id']}").json["state"] == "open"


def test_others_can_neither_see_nor_touch_an_alert(cast: World, maya: Caller, sam: Caller, rosa: Caller) -> None:
    alert = the_alert(cast, maya, sam)
    for other in (rosa, maya, cast.caller("theo", "client"), cast.caller("ines", "supervisor")):
        assert other.get(f"/alerts/{alert['id']}").status_code == 404
        assert other.post(f"/alerts/{alert['id']}/acknowledge").status_code == 404
        assert other.post(f"/alerts/{alert['id']}/close", {"outcome": "not_needed"}).status_code == 404
    assert sam.get(f"/alerts/{alert['id']}").json["state"] == "open"


def test_every_look_at_an_alert_is_written_down(cast: World, maya: Caller, sam: Caller) -> None:
    alert = the_alert(cast, maya, sam)
    cast.settle()
    cast.told.clear()
    sam.get(f"/alerts/{alert['id']}")
    sam.get("/alerts")
    assert [(look.viewer_id, look.subject_id, look.what) for look in cast.events(RecordSeen)] == [
        ("sam", "maya", "alert")
    ] * 2


def test_alerts_come_newest_first_and_a_page_at_a_time(cast: World, maya: Caller, sam: Caller) -> None:
    made = []
    for _ in range(5):
        alert = the_alert(cast, maya, sam)
        sam.post(f"/alerts/{alert['id']}/close", {"outcome": "talked"})
        made.append(alert["id"])
    read: list[str] = []
    following = ""
    while True:
        page = sam.get(f"/alerts?limit=2{following}").json
        read += [alert["id"] for alert in page["items"]]
        if page["next"] is None:
            break
        following = f"&after={page['next']}"
    assert read == sorted(made, reverse=True)
    assert [alert["id"] for alert in sam.get("/alerts?state=open").json["items"]] == []
    assert sam.get("/alerts?state=lost").status_code == 422


# -- help that is there whatever else is not


def test_the_crisis_lines_are_there_for_everybody_even_without_a_store(
    cast: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise AutoReconnect

    monkeypatch.setattr("pymongo.collection.Collection.find_one", away)
    assert cast.nobody().get("/crisis-lines").json["items"][0]["call"] == "911"
    assert cast.nobody().get("/crisis-lines?region=GB").json["items"][0]["call"] == "999"
    assert cast.nobody().get("/crisis-lines?region=XX").status_code == 422
    answer = cast.caller("maya", "client").get("/help")
    assert answer.status_code == 200
    assert answer.json["cards"][0]["kind"] == "crisis"
    assert cast.nobody().get("/help").status_code == 401


def test_a_store_that_is_away_answers_503_and_the_repeat_is_taken(
    cast: World, maya: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = a_rough_day()

    def away(*_: Any, **__: Any) -> None:
        raise AutoReconnect

    with monkeypatch.context() as broken:
        broken.setattr("pymongo.collection.Collection.update_one", away)
        broken.setattr("pymongo.collection.Collection.insert_one", away)
        answer = maya.post("/check-ins", day)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert maya.post("/check-ins", day).status_code == 201
    assert len(cast.events(AlertRaised)) == 1
