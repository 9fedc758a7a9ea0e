"""Instruments and assessments over HTTP, with the other services around them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from schemas.assessments import AssessmentTaken
from schemas.base import now
from schemas.fields import EARLIEST, written
from schemas.people import PersonJoined, RecordSeen
from schemas.risk import AlertRaised, AlertWorsened
from services.risk import service
from services.risk.assessment_model import Assessment
from services.risk.instruments import shelf
from services.risk.model import Course
from tests.services.risk.forms import (
    a_bam,
    a_form,
    a_phq_9,
    a_screener,
    an_operators_folder,
    an_own_instrument,
    numbered,
)
from tests.services.risk.mothers import a_desperate_day, a_rough_day
from tests.world import Caller, World, an_id

DARK = (0, 0, 0, 0, 0, 0, 0, 0, 2)
DARK_REASON = "You answered that thoughts of being better off dead, or of hurting yourself, have been near"


@pytest.fixture
def with_own(world: World, tmp_path: Path) -> Iterator[World]:
    """A world whose operator has added a questionnaire and left one out."""
    left_out = {"id": "barc-10", "version": 1, "off": True}
    folder = an_operators_folder(tmp_path / "own", an_own_instrument(), left_out)
    given = world.settings
    shelf.fill(type(given)(**{**vars(given), "instruments": str(folder)}))
    yield world
    shelf.fill(given)


def taken(caller: Caller, form: dict[str, Any]) -> dict[str, Any]:
    """The answer to a form that is taken."""
    answer = caller.post("/assessments", form)
    assert answer.status_code == 201, answer.text
    read: dict[str, Any] = answer.json
    return read


def refused(caller: Caller, form: dict[str, Any]) -> dict[str, Any]:
    """What is wrong with a form, by field."""
    answer = caller.post("/assessments", form)
    assert answer.status_code == 422, answer.text
    errors: dict[str, Any] = answer.json["errors"]
    return errors


def ids(caller: Caller, query: str = "") -> list[str]:
    answer = caller.get(f"/assessments{query}")
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json["items"]]


def due(caller: Caller, query: str = "") -> dict[str, tuple[str, str]]:
    """What is due, by instrument: since when and because of what."""
    answer = caller.get(f"/assessments/due{query}")
    assert answer.status_code == 200, answer.text
    return {item["instrument"]: (item["since"], item["because"]) for item in answer.json["items"]}


def alerts(client: str = "maya") -> list[Any]:
    course = Course.load(client)
    return list(course.alerts) if course else []


# -- which there are


def test_a_phone_reads_every_instrument_with_its_questions(alone: Caller) -> None:
    items = alone.get("/instruments").json["items"]
    assert [(item["id"], item["variant"]) for item in items] == [
        ("audit-c", None),
        ("bam", "continuous"),
        ("bam", "likert"),
        ("barc-10", None),
        ("c-ssrs-screener", None),
        ("gad-7", None),
        ("phq-9", None),
    ]
    for item in items:
        assert item["attribution"]
        assert item["licence"]
        assert all(question["text"] for question in item["items"])
    screener = items[4]
    assert screener["items"][2]["asked_when"] == [{"item": "1", "at_least": 1}, {"item": "2", "at_least": 1}]


def test_the_instruments_come_in_pages(alone: Caller) -> None:
    read: list[str] = []
    after = ""
    while True:
        page = alone.get(f"/instruments?limit=3{after}").json
        read += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert read == ["audit-c", "bam", "bam", "barc-10", "c-ssrs-screener", "gad-7", "phq-9"]


def test_one_instrument_is_read_by_its_id_and_of_several_variants_the_one_that_is_named(alone: Caller) -> None:
    assert alone.get("/instruments/phq-9").json["scales"][0]["most_missing"] == 2
    assert alone.get("/instruments/bam").json["variant"] == "continuous"
    assert alone.get("/instruments/bam?variant=likert&version=1").json["variant"] == "likert"
    for nothing in ("/instruments/nothing", "/instruments/bam?variant=nothing", "/instruments/bam?version=2"):
        assert alone.get(nothing).status_code == 404
    assert alone.get("/instruments/bam?version=first").json["errors"].keys() == {"version"}
    assert alone.get("/instruments/bam?colour=red").json["errors"].keys() == {"colour"}


def test_a_coach_reads_them_too_and_nobody_without_signing_in(world: World) -> None:
    assert world.caller("sam", "coach").get("/instruments").status_code == 200
    assert world.nobody().get("/instruments").status_code == 401


# -- taking one


def test_an_assessment_answers_201_with_its_scores_and_what_they_are_called(alone: Caller) -> None:
    form = a_phq_9(1, 2, 1, 2, 1, 2, 1, 2, 0, at="2026-01-31T09:30:00.123Z")
    read = taken(alone, form)
    assert read == {
        "id": form["id"],
        "client_id": "maya",
        "instrument": "phq-9",
        "version": 1,
        "variant": None,
        "at": form["at"],
        "taken_by": "maya",
        "answers": form["answers"],
        "scales": [
            {
                "name": "total",
                "title": "Low mood",
                "value": 12,
                "range": [0, 27],
                "reading": "Moderate signs of depression",
                "complete": True,
            }
        ],
        "triage": None,
        "crisis": False,
        "reasons": [],
        "fuller_screen": None,
        "cards": [],
    }


def test_an_assessment_is_told_with_ids_only(cast: World, maya: Caller) -> None:
    form = a_phq_9(*DARK)
    taken(maya, form)
    (event,) = cast.events(AssessmentTaken)
    assert (event.assessment_id, event.client_id, event.instrument) == (form["id"], "maya", "phq-9")
    assert set(event.dump()) == {"id", "at", "version", "assessment_id", "client_id", "instrument"}


@pytest.mark.parametrize(
    "form",
    [
        a_phq_9(),
        a_bam(),
        a_screener("1", "6"),
        a_form("barc-10", numbered([6] * 10)),
        a_form("audit-c", numbered([0] * 3)),
    ],
    ids=lambda form: form["instrument"],
)
def test_every_answer_is_read_back_as_it_was_given(alone: Caller, form: dict[str, Any]) -> None:
    answered = taken(alone, form)
    again = alone.get(f"/assessments/{form['id']}").json
    assert again["answers"] == form["answers"]
    assert [type(answer) for answer in again["answers"].values()] == [type(a) for a in form["answers"].values()]
    assert again == {name: value for name, value in answered.items() if name != "cards"}


def test_the_bam_has_three_scales_and_no_total(alone: Caller) -> None:
    scales = taken(alone, a_bam({"4": 2, "6": 1, "8": 4, "16": 3}))["scales"]
    assert [(scale["name"], scale["value"]) for scale in scales] == [("use", 3), ("risk", 4), ("protective", 3)]


def test_a_partial_answer_is_scored_by_the_instruments_own_rule(alone: Caller) -> None:
    (scale,) = taken(alone, a_phq_9(2, 2, 2, 2, 2, 2, 2))["scales"]
    assert (scale["value"], scale["complete"]) == (18, False)
    assert refused(alone, a_phq_9(2, 2, 2, 2, 2, 2)) == {
        "answers": {item: ["Needs an answer."] for item in ("7", "8", "9")}
    }
    assert refused(alone, a_form("audit-c", {"1": 1, "3": 1})) == {"answers": {"2": ["Needs an answer."]}}


def test_a_repeat_answers_200_and_changes_nothing(cast: World, maya: Caller) -> None:
    form = a_phq_9(*DARK)
    first = maya.post("/assessments", form)
    again = maya.post("/assessments", form)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json == first.json
    assert len(cast.events(AssessmentTaken)) == 1
    assert len(cast.events(AlertRaised)) == 1
    assert ids(maya) == [form["id"]]


def test_the_same_id_with_another_body_answers_409_and_changes_nothing(maya: Caller, sam: Caller) -> None:
    form = a_phq_9()
    taken(maya, form)
    others = [
        {**form, "answers": numbered(DARK)},
        {**form, "at": "2026-01-31T09:30:00Z"},
        a_screener(id=form["id"]),
    ]
    assert [maya.post("/assessments", other).status_code for other in others] == [409, 409, 409]
    assert sam.post("/assessments", {**form, "client_id": "maya"}).status_code == 409, "Sam did not take it"
    assert maya.get(f"/assessments/{form['id']}").json["answers"] == form["answers"]
    assert alerts() == []


def test_another_clients_id_is_not_confirmed(cast: World, maya: Caller) -> None:
    form = a_phq_9()
    taken(maya, form)
    assert cast.caller("theo", "client").post("/assessments", form).status_code == 404


WRONG: list[tuple[dict[str, Any], Any]] = [
    (a_phq_9(4, 0, 0, 0, 0, 0, 0, 0, 0), {"answers": {"1": ["Must be one of 0, 1, 2, 3."]}}),
    (a_form("phq-9", {**numbered([0] * 9), "10": 1}), {"answers": {"10": ["There is no such question."]}}),
    (a_bam({"4": 12}), {"answers": {"4": ["Must be one of 0, 1, 2, 3, 4."]}}),
    (a_bam({"4": 31}, variant="continuous"), {"answers": {"4": ["Must be a whole number from 0 to 30."]}}),
    (
        a_form("c-ssrs-screener", {"1": False, "2": False, "5": True, "6": False}),
        {"answers": {"5": ["It is not asked after the answers before it."]}},
    ),
    (a_form("nothing", {}), {"instrument": ["There is no such instrument."]}),
    (a_phq_9(version=2), {"version": ["Must be one of: 1."]}),
    (a_bam(variant=None), {"variant": ["Must be one of: continuous, likert."]}),
    (a_bam(variant="short"), {"variant": ["Must be one of: continuous, likert."]}),
    (a_phq_9(variant="likert"), {"variant": ["It has no variants."]}),
]


@pytest.mark.parametrize(("form", "errors"), WRONG, ids=[str(errors)[:60] for _, errors in WRONG])
def test_what_does_not_fit_the_instrument_answers_422_names_it_and_keeps_nothing(
    alone: Caller, form: dict[str, Any], errors: Any
) -> None:
    assert refused(alone, form) == errors
    assert ids(alone) == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"id": "two words"}, "id"),
        ({"at": "yesterday"}, "at"),
        ({"answers": [1]}, "answers"),
        ({"answers": None}, "answers"),
        ({"version": "1"}, "version"),
        ({"version": True}, "version"),
        ({"instrument": "../x"}, "instrument"),
        ({"timezone": "Europe/Atlantis"}, "timezone"),
        ({"client_id": ""}, "client_id"),
        ({"surprise": 1}, "surprise"),
    ],
    ids=str,
)
def test_a_wrong_body_answers_422_and_names_the_field(alone: Caller, wrong: dict[str, Any], field: str) -> None:
    assert list(refused(alone, {**a_phq_9(), **wrong})) == [field]


def test_what_a_body_must_have_is_named(alone: Caller) -> None:
    assert set(refused(alone, {})) == {"id", "instrument", "version", "answers"}


# -- a crisis


def test_a_ninth_answer_asks_a_human_and_says_what_helps(cast: World, maya: Caller, sam: Caller) -> None:
    form = a_phq_9(*DARK)
    read = taken(maya, form)
    assert (read["crisis"], read["reasons"], read["fuller_screen"]) == (True, [DARK_REASON], "c-ssrs-screener")
    assert [card["kind"] for card in read["cards"]] == [*["crisis"] * 4, "coach"]
    cast.settle()
    (alert,) = sam.get("/alerts?state=open").json["items"]
    assert (alert["client_id"], alert["band"], alert["reasons"]) == ("maya", "urgent", [DARK_REASON])
    assert [kept.causes for kept in alerts()] == [[form["id"]]]


@pytest.mark.parametrize(("yes", "level"), [(("1",), "low"), (("2", "3"), "moderate"), (("6",), "moderate")], ids=str)
def test_a_screener_that_is_not_high_raises_no_alert(maya: Caller, yes: tuple[str, ...], level: str) -> None:
    read = taken(maya, a_screener(*yes))
    assert (read["triage"], read["crisis"], read["cards"]) == (level, False, [])
    assert alerts() == []


@pytest.mark.parametrize("yes", [("1", "4"), ("2", "5"), ("6", "6a")], ids=str)
def test_a_screener_that_is_high_asks_a_human(maya: Caller, yes: tuple[str, ...]) -> None:
    read = taken(maya, a_screener(*yes))
    assert (read["triage"], read["crisis"], len(read["reasons"])) == ("high", True, 1)
    assert read["cards"]
    assert [alert.band for alert in alerts()] == ["urgent"]


def test_whoever_says_that_is_not_sent_back_to_fill_in_the_rest(maya: Caller) -> None:
    read = taken(maya, a_form("phq-9", {"9": 3}))
    assert [(scale["value"], scale["complete"]) for scale in read["scales"]] == [(None, False)]
    assert [alert.band for alert in alerts()] == ["urgent"]


def test_a_crisis_beside_an_answer_that_is_wrong_asks_a_human_once_and_names_what_is_wrong(maya: Caller) -> None:
    form = a_phq_9(*DARK)
    wrong = maya.post("/assessments", {**form, "answers": {**form["answers"], "1": 9}})
    assert wrong.status_code == 422
    assert set(wrong.json["errors"]["answers"]) == {"1"}
    assert "crisis" in {card["kind"] for card in wrong.json["cards"]}
    assert [alert.causes for alert in alerts()] == [[form["id"]]]
    assert taken(maya, form)["crisis"] is True
    assert [alert.causes for alert in alerts()] == [[form["id"]]], "what is sent again mended asks nobody twice"


def test_a_crisis_joins_the_alert_that_is_open_and_makes_it_worse(cast: World, maya: Caller) -> None:
    maya.post("/check-ins", a_rough_day())
    form = a_phq_9(*DARK)
    taken(maya, form)
    (alert,) = alerts()
    assert (alert.band, alert.causes[-1]) == ("urgent", form["id"])
    assert len(cast.events(AlertWorsened)) == 1


def test_a_client_without_a_coach_and_nobody_there_is_not_dropped(alone: Caller) -> None:
    taken(alone, a_phq_9(*DARK))
    (alert,) = alerts()
    assert (alert.rung, alert.state) == ("nobody", "open")


def test_the_alert_is_raised_with_the_log_down_and_nothing_heard(maya: Caller, sam: Caller) -> None:
    """Nothing is settled: no relay, no worker, only the stores."""
    taken(maya, a_phq_9(*DARK))
    assert len(sam.get("/alerts?state=open").json["items"]) == 1


def away(*_: Any) -> None:
    raise AutoReconnect


def test_an_alert_is_neither_lost_nor_doubled_when_keeping_the_answers_fails_once(
    cast: World, maya: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies after it asked a human, before the answers were kept; the phone sends them again."""
    form = a_phq_9(*DARK)
    with monkeypatch.context() as broken:
        broken.setattr(Assessment, "commit", away)
        assert maya.post("/assessments", form).status_code == 503
    assert ids(maya) == []
    assert len(alerts()) == 1, "a human was asked although the phone may never come back"
    taken(maya, form)
    assert maya.post("/assessments", form).status_code == 200
    assert [alert.causes for alert in alerts()] == [[form["id"]]]
    assert len(cast.events(AlertRaised)) == 1
    assert len(cast.events(AssessmentTaken)) == 1


def test_nothing_is_kept_without_its_alert_when_raising_it_fails(
    cast: World, maya: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = a_screener("2", "4")
    with monkeypatch.context() as broken:
        broken.setattr(Course, "commit", away)
        assert maya.post("/assessments", form).status_code == 503
    assert ids(maya) == []
    assert alerts() == []
    taken(maya, form)
    assert len(cast.events(AlertRaised)) == 1


def test_a_repeat_after_the_alert_was_closed_raises_none_again(
    maya: Caller, sam: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = a_phq_9(*DARK)
    with monkeypatch.context() as broken:
        broken.setattr(Assessment, "commit", away)
        maya.post("/assessments", form)
    (alert,) = sam.get("/alerts").json["items"]
    assert sam.post(f"/alerts/{alert['id']}/close", {"outcome": "talked"}).status_code == 200
    taken(maya, form)
    assert maya.post("/assessments", form).status_code == 200
    assert [alert.state for alert in alerts()] == ["closed"]


def test_two_that_come_at_once_are_one(cast: World, maya: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    form = a_phq_9(*DARK)
    keep = Assessment.keep
    inner: list[int] = []

    def keep_after_the_other(self: Assessment, print_: str) -> None:
        if not inner:
            inner.append(0)
            inner[0] = maya.post("/assessments", form).status_code
        keep(self, print_)

    monkeypatch.setattr(Assessment, "keep", keep_after_the_other)
    assert (maya.post("/assessments", form).status_code, inner) == (200, [201])
    assert len(alerts()) == 1
    assert len(cast.events(AlertRaised)) == 1
    assert len(cast.events(AssessmentTaken)) == 1


def test_two_crises_of_one_client_join_one_alert(cast: World, maya: Caller) -> None:
    forms = [a_phq_9(*DARK), a_screener("1", "5")]
    maya.post("/check-ins", a_desperate_day())
    for form in forms:
        taken(maya, form)
    (alert,) = alerts()
    assert alert.causes[1:] == [form["id"] for form in forms]
    assert len(cast.events(AlertRaised)) == 1


# -- an interview


def test_a_coach_asks_a_client_of_the_caseload_and_it_says_who_asked(maya: Caller, sam: Caller) -> None:
    form = a_screener("1", client_id="maya")
    read = taken(sam, form)
    assert (read["client_id"], read["taken_by"]) == ("maya", "sam")
    assert maya.get(f"/assessments/{form['id']}").json["taken_by"] == "sam"
    assert sam.post("/assessments", form).status_code == 200
    assert ids(maya) == [form["id"]]


def test_a_crisis_in_an_interview_asks_a_human_for_the_client(sam: Caller) -> None:
    taken(sam, a_phq_9(*DARK, client_id="maya"))
    assert [alert.band for alert in alerts("maya")] == ["urgent"]
    assert alerts("sam") == []


def test_what_helps_has_the_plan_for_a_coach_only_where_the_client_shares_it(
    cast: World, maya: Caller, sam: Caller
) -> None:
    def kinds(caller: Caller, **whose: str) -> set[str]:
        return {card["kind"] for card in taken(caller, a_phq_9(*DARK, **whose))["cards"]}

    maya.put("/safety-plan", {"reasons": ["the sea"]})
    assert kinds(maya) == {"plan", "crisis", "coach"}
    assert kinds(sam, client_id="maya") == {"crisis", "coach"}
    looks = cast.events(RecordSeen, lambda event: event.what == "safety plan")
    assert looks == []
    maya.put("/safety-plan/sharing", {"coach": True, "people": []})
    assert kinds(sam, client_id="maya") == {"plan", "crisis", "coach"}
    (look,) = cast.events(RecordSeen, lambda event: event.what == "safety plan")
    assert (look.viewer_id, look.subject_id) == ("sam", "maya")


def test_a_coach_answers_for_nobody_else(cast: World, sam: Caller) -> None:
    assert sam.post("/assessments", a_phq_9(client_id="theo")).status_code == 404
    assert sam.post("/assessments", a_phq_9()).status_code == 404
    assert sam.post("/assessments", a_phq_9(client_id="sam")).status_code == 404
    assert cast.caller("theo", "client").post("/assessments", a_phq_9(client_id="maya")).status_code == 404
    assert Assessment.raw().count_documents({}) == 0


# -- who sees what


def test_others_get_404_for_a_clients_assessments(cast: World, maya: Caller, rosa: Caller) -> None:
    form = a_phq_9()
    taken(maya, form)
    strangers = [
        rosa,
        cast.caller("theo", "client"),
        cast.caller("ines", "supervisor"),
        cast.caller("ada", "admin"),
        cast.caller("ola", "organiser"),
    ]
    for stranger in strangers:
        for path in (f"/assessments/{form['id']}", "/assessments?client_id=maya", "/assessments/due?client_id=maya"):
            assert stranger.get(path).status_code == 404, (stranger.role, path)
    assert maya.get(f"/assessments/{an_id()}").status_code == 404


def test_the_coach_reads_them_and_every_look_is_written_down(cast: World, maya: Caller, sam: Caller) -> None:
    form = a_phq_9()
    taken(maya, form)
    assert ids(sam, "?client_id=maya") == [form["id"]]
    assert sam.get(f"/assessments/{form['id']}").status_code == 200
    assert sam.get("/assessments/due?client_id=maya").status_code == 200
    taken(sam, a_bam(client_id="maya"))
    looks = cast.events(RecordSeen, lambda event: event.what.startswith("assessment"))
    assert [(look.viewer_id, look.subject_id, look.what) for look in looks] == [
        ("sam", "maya", "assessments"),
        ("sam", "maya", "assessment"),
        ("sam", "maya", "assessments"),
        ("sam", "maya", "assessment"),
    ]


def test_ones_own_is_no_look(cast: World, maya: Caller) -> None:
    form = a_phq_9()
    taken(maya, form)
    ids(maya)
    maya.get(f"/assessments/{form['id']}")
    due(maya)
    assert cast.events(RecordSeen) == []


def test_a_coach_who_was_parted_from_the_client_sees_them_no_more(world: World) -> None:
    world.join("client", "maya")
    world.join("coach", "sam")
    assignment = world.assign("maya", "sam")
    form = a_phq_9()
    taken(world.caller("maya", "client"), form)
    sam = world.caller("sam", "coach")
    assert sam.get(f"/assessments/{form['id']}").status_code == 200
    assert world.caller("ines", "supervisor").post(f"/assignments/{assignment}/end").status_code == 200
    world.settle()
    assert sam.get(f"/assessments/{form['id']}").status_code == 404


# -- the list


def test_those_that_come_late_and_out_of_order_stand_where_they_belong(alone: Caller) -> None:
    today = now()
    noon, late, oldest = (a_phq_9(at=written(today - timedelta(days=days))) for days in (0, 2, 9))
    for form in (noon, oldest, late):
        taken(alone, form)
    assert ids(alone) == [noon["id"], late["id"], oldest["id"]]


def test_one_from_a_clock_that_is_ahead_does_not_hide_what_follows(alone: Caller) -> None:
    ahead, after = a_phq_9(at="2999-01-01T00:00:00Z"), a_phq_9()
    taken(alone, ahead)
    taken(alone, after)
    assert ids(alone) == [after["id"], ahead["id"]]
    assert alone.get(f"/assessments/{ahead['id']}").json["at"] == "2999-01-01T00:00:00.000Z"


def test_the_list_comes_in_pages_and_by_instrument(alone: Caller) -> None:
    start = now() - timedelta(days=30)
    # Two at the same moment are told apart all the same.
    forms = [a_phq_9(at=written(start + timedelta(days=day // 2))) for day in range(7)]
    bam = a_bam(at=written(start))
    for form in (*forms, bam):
        taken(alone, form)
    for query, expected in (("", {*(form["id"] for form in forms), bam["id"]}), ("&instrument=bam", {bam["id"]})):
        read: list[dict[str, Any]] = []
        after = ""
        while True:
            page = alone.get(f"/assessments?limit=3{query}{after}").json
            read += page["items"]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert len(read) == len(expected)
        assert {item["id"] for item in read} == expected
        assert [item["at"] for item in read] == sorted((item["at"] for item in read), reverse=True)
    assert alone.get(f"/assessments?after={an_id()}").json == {"items": [], "next": None}


def test_a_strange_question_of_the_list_is_named(alone: Caller) -> None:
    for query, field in (("limit=0", "limit"), ("colour=red", "colour"), ("instrument=a b", "instrument")):
        assert list(alone.get(f"/assessments?{query}").json["errors"]) == [field]


# -- what is due


def at_noon(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    """Let the assessments take it for this moment."""
    monkeypatch.setattr("services.risk.assessment_model.now", lambda: moment)


def test_on_the_first_day_what_has_a_schedule_is_due(maya: Caller) -> None:
    today = now().date().isoformat()
    assert due(maya) == dict.fromkeys(("audit-c", "bam", "barc-10", "gad-7", "phq-9"), (today, "schedule"))
    items = maya.get("/assessments/due").json["items"]
    assert [item["variant"] for item in items if item["instrument"] == "bam"] == ["likert"]


@pytest.mark.parametrize("zone", ["Pacific/Pago_Pago", "Pacific/Kiritimati", "Asia/Manila"])
def test_what_is_due_is_told_wherever_somebody_is_and_whenever_they_say_it_was(maya: Caller, zone: str) -> None:
    assert list(refused(maya, a_phq_9(at="0001-01-01T00:00:00Z"))) == ["at"]
    taken(maya, a_phq_9(at=written(EARLIEST)))
    assert "phq-9" in due(maya, f"?timezone={zone}")


def test_a_weekly_one_is_due_again_after_a_week_and_the_others_on_day_30(
    maya: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = now()
    for form in (a_bam(), a_phq_9()):
        taken(maya, form)
    assert not {"bam", "phq-9"} & set(due(maya))
    at_noon(monkeypatch, start + timedelta(days=6))
    assert not {"bam", "phq-9"} & set(due(maya))
    at_noon(monkeypatch, start + timedelta(days=7))
    assert due(maya)["bam"] == ((start + timedelta(days=7)).date().isoformat(), "schedule")
    at_noon(monkeypatch, start + timedelta(days=28))
    assert "phq-9" not in due(maya)
    at_noon(monkeypatch, start + timedelta(days=29))
    assert due(maya)["phq-9"] == ((start + timedelta(days=29)).date().isoformat(), "schedule")


def test_the_other_variant_counts_as_taken(maya: Caller) -> None:
    taken(maya, a_bam(variant="continuous"))
    assert "bam" not in due(maya)


def test_a_ninth_answer_makes_the_fuller_screen_due_until_it_is_taken(maya: Caller, sam: Caller) -> None:
    assert "c-ssrs-screener" not in due(maya)
    taken(maya, a_phq_9(*DARK))
    today = now().date().isoformat()
    for caller, query in ((maya, ""), (sam, "?client_id=maya")):
        assert due(caller, query)["c-ssrs-screener"] == (today, "screen")
    taken(maya, a_screener("1"))
    assert "c-ssrs-screener" not in due(maya)


def test_days_are_those_of_the_clients_own_zone(world: World, alone: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half past eleven at night in UTC is the next day in Auckland, and the same afternoon in Los Angeles."""
    joined = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    world.publish(PersonJoined(id=an_id(), at=joined, version=1, person_id="maya", role="client"))
    world.settle()
    at_noon(monkeypatch, joined)
    assert due(alone)["phq-9"] == ("2026-03-01", "schedule")
    assert due(alone, "?timezone=Pacific/Auckland")["phq-9"] == ("2026-03-02", "schedule")

    taken(alone, a_phq_9(at=written(joined), timezone="Pacific/Auckland"))
    # Day 30 is the 31st of March in Auckland, which has begun there at noon of the 30th in UTC.
    at_noon(monkeypatch, datetime(2026, 3, 30, 10, 59, tzinfo=UTC))
    assert "phq-9" not in due(alone), "the zone of the newest assessment is remembered"
    at_noon(monkeypatch, datetime(2026, 3, 30, 11, 1, tzinfo=UTC))
    assert due(alone)["phq-9"] == ("2026-03-31", "schedule")
    # In Los Angeles day 1 was the 1st of March, so day 30 is the 30th, which has begun there.
    assert due(alone, "?timezone=America/Los_Angeles")["phq-9"] == ("2026-03-30", "schedule")


def test_where_nobody_heard_when_the_client_joined_the_first_assessment_is_day_1(
    alone: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    assert due(alone)["phq-9"] == (now().date().isoformat(), "schedule")
    taken(alone, a_phq_9(at=written(first)))
    at_noon(monkeypatch, first + timedelta(days=29))
    assert due(alone)["gad-7"] == ("2026-03-30", "schedule")


def test_only_a_client_has_what_is_due_and_a_strange_question_is_named(maya: Caller, sam: Caller) -> None:
    assert sam.get("/assessments/due").status_code == 404
    for query, field in (
        ("timezone=Europe/Atlantis", "timezone"),
        ("colour=red", "colour"),
        ("client_id=", "client_id"),
    ):
        assert list(maya.get(f"/assessments/due?{query}").json["errors"]) == [field]


# -- an operator's own


def test_an_instrument_of_the_operators_is_offered_taken_and_scored(with_own: World) -> None:
    maya = with_own.caller("maya", "client")
    offered = [item["id"] for item in maya.get("/instruments").json["items"]]
    assert "morning" in offered
    assert "barc-10" not in offered
    form = a_form("morning", {"rest": 2, "walks": 3, "alone": True, "company": 3})
    (scale,) = taken(maya, form)["scales"]
    assert (scale["value"], scale["range"], scale["reading"]) == (14, [1, 20], "High")
    assert refused(maya, a_form("barc-10", numbered([1] * 10))) == {"instrument": ["There is no such instrument."]}


def test_written_words_lie_sealed_in_the_store_and_never_on_the_log(with_own: World) -> None:
    maya = with_own.caller("maya", "client")
    form = a_form("morning", {"rest": 2, "walks": 3, "alone": False, "more": "zanzibar at midnight"})
    assert taken(maya, form)["answers"] == form["answers"]
    with_own.settle()
    kept = repr(Assessment.raw().find_one({"_id": form["id"]})) + repr(with_own.told)
    assert "maya" in kept
    assert "zanzibar" not in kept
    assert maya.get(f"/assessments/{form['id']}").json["answers"]["more"] == "zanzibar at midnight"


def test_words_of_an_erased_person_are_gone_and_answer_404(with_own: World) -> None:
    maya = with_own.caller("maya", "client")
    form = a_form("morning", {"rest": 2, "walks": 3, "alone": False, "more": "zanzibar at midnight"})
    taken(maya, form)
    service.vault.destroy("maya")
    assert maya.get(f"/assessments/{form['id']}").status_code == 404


def test_what_was_taken_stays_readable_when_its_instrument_is_left_out(
    world: World, alone: Caller, tmp_path: Path
) -> None:
    form = a_form("barc-10", numbered([5] * 10))
    first = taken(alone, form)
    folder = an_operators_folder(tmp_path / "own", {"id": "barc-10", "version": 1, "off": True})
    given = world.settings
    shelf.fill(type(given)(**{**vars(given), "instruments": str(folder)}))
    try:
        assert alone.get(f"/assessments/{form['id']}").json["scales"] == first["scales"]
        assert alone.post("/assessments", form).status_code == 200
        assert "barc-10" not in due(alone)
    finally:
        shelf.fill(given)
