"""An alert ends at a human while parts are killed and frozen around it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from infra.runner import answers
from tests.app import App, Phone, a_device, a_rough_day, new_id, running, until


@pytest.fixture(scope="module")
def the_quick_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running(tmp_path_factory.mktemp("app"), restart=True, alert_seconds_high="1", alert_seconds_urgent="1") as app:
        yield app


@pytest.fixture
def app(the_quick_app: App) -> Iterator[App]:
    """A system whose clocks are short, with all its parts there at the start of each test."""
    until(lambda: answers(f"{the_quick_app.url}/readyz"), "every part is there", 60)
    yield the_quick_app
    the_quick_app.hang_up()


def reaches(supervisor: Phone, client: Phone) -> str:
    """The id of the alert about this client, once the supervisor's socket is told of it."""

    def is_about_them(told: dict[str, str]) -> bool:
        found = supervisor.get(f"/v1/alerts/{told['alert_id']}")
        return found.status == 200 and found.body["client_id"] == client.id

    told = supervisor.wait_for("alert", is_about_them, seconds=60)
    assert isinstance(told["alert_id"], str)
    return told["alert_id"]


def held_by(supervisor: Phone) -> list[Any]:
    """The alerts that a supervisor was asked about; none while risk is on its way back."""
    answer = supervisor.get("/v1/alerts")
    items: list[Any] = answer.body["items"] if answer.status == 200 else []
    return items


def ended(supervisor: Phone, alert: str) -> None:
    assert supervisor.post(f"/v1/alerts/{alert}/acknowledge").status == 200
    assert supervisor.post(f"/v1/alerts/{alert}/close", {"outcome": "talked"}).status == 200


def test_push_down_the_clock_goes_on_and_the_next_human_is_asked(app: App) -> None:
    client, coach = app.pair()
    coach.put("/v1/devices/pocket", a_device())
    ines = app.phone("ines").connect()
    push = app.part("push")
    push.suspend()
    try:
        assert client.post("/v1/check-ins", a_rough_day()).status == 201
        ended(ines, reaches(ines, client))
    finally:
        push.resume()


def test_store_restarts_the_check_in_is_taken_once_and_its_clock_survives(app: App) -> None:
    client, _ = app.pair()
    ines = app.phone("ines").connect()
    day = a_rough_day()
    app.part("store").kill()
    until(lambda: client.post("/v1/check-ins", day).status in (200, 201), "the check-in is taken", 60)
    app.part("store").kill()
    alert = until(lambda: reaches(ines, client), "the supervisor is asked", 60)
    mine = [item for item in until(lambda: held_by(ines), "risk answers", 60) if item["client_id"] == client.id]
    assert [item["id"] for item in mine] == [alert]
    ended(ines, alert)


def test_whatever_is_killed_an_urgent_day_that_was_answered_reaches_a_human(app: App) -> None:
    """Risk is killed right behind every answer, and the gateway now and then."""
    ines = app.phone("ines").connect()
    for number in range(6):
        client, _ = app.pair()
        day = {"id": new_id(), "craving": 10, "confidence": 0}
        answer = client.post("/v1/check-ins", day)
        app.part("risk" if number % 3 else "gateway").kill()
        until(lambda: answers(f"{app.url}/readyz"), "every part is back", 60)
        if answer.status not in (200, 201):
            until(lambda c=client, d=day: c.post("/v1/check-ins", d).status in (200, 201), "it is taken", 60)
        if not ines.connected:
            ines.connect()
        held = until(
            lambda c=client: [item for item in held_by(ines) if item["client_id"] == c.id],
            "the supervisor is asked",
            60,
        )
        assert [alert["band"] for alert in held] == ["urgent"]
        ended(ines, held[0]["id"])
