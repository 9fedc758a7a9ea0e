"""An operator's own records, written for fitting: what they hold, and what they must not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from schemas.base import now
from schemas.fields import written
from services.risk.export import exported
from services.risk.study import files
from tests.world import Caller, World, an_id


def day(maya: Caller, ago: int, **answers: object) -> str:
    body = {"id": an_id(), "craving": 3, "at": written(now() - timedelta(days=ago)), **answers}
    assert maya.post("/check-ins", body).status_code == 201
    return str(body["id"])


def test_the_record_of_a_client_is_exported_in_days_of_its_own(world: World) -> None:
    world.join("client", "maya")
    maya = world.caller("maya", "client")
    day(maya, 10, medication_taken=True, withdrawal=2)
    day(maya, 6, used={"what": "heroin", "days": 2})
    wrong = day(maya, 4, used={"what": "heroin", "days": 1})
    maya.post(f"/check-ins/{wrong}/correct", {"id": an_id(), "craving": 9, "confidence": 2, "tired": 7})
    found = exported()
    (record,) = found.records.values()
    assert (record.use, record.kept) == ([3, 4], [0, 4, 6])
    assert (record.medication, record.withdrawal) == ([0], [(0, 2)])
    assert found.answered[-1].given == {"craving": 9.0, "confidence": 2.0, "halt": 7.0}
    assert [one.day for one in found.answered] == [0, 4, 6]


def test_nothing_that_is_exported_says_who_anybody_is_or_what_they_wrote(world: World, tmp_path: Path) -> None:
    world.join("client", "maya", "theo")
    for name in ("maya", "theo"):
        day(world.caller(name, "client"), 3, used={"what": "zanzibar", "days": 1}, note="at the river")
    found = exported()
    folder = tmp_path / "export"
    files.write(folder, found.records, found.answered)
    text = "".join(path.read_text() for path in folder.iterdir())
    assert sorted(found.records) == ["1", "2"]
    assert not any(word in text for word in ("maya", "theo", "zanzibar", "river"))
    assert {path.name for path in folder.iterdir()} == {*files.COLUMNS, files.TODAY}
    assert set(files.read(folder).people) == {"1", "2"}


def test_the_archive_is_exported_too(world: World) -> None:
    world.join("client", "maya")
    maya = world.caller("maya", "client")
    for ago in range(70, 0, -1):
        day(maya, ago)
    (record,) = exported().records.values()
    assert record.kept == list(range(70))


def test_what_a_phone_with_a_wrong_clock_said_keeps_nobody_from_reading_the_export(
    world: World, tmp_path: Path
) -> None:
    world.join("client", "maya")
    maya = world.caller("maya", "client")
    assert maya.post("/check-ins", {"id": an_id(), "craving": 3, "at": "1000-01-01T00:00:00Z"}).status_code == 201
    day(maya, 1, used={"what": "heroin", "days": 1})
    files.write(tmp_path, exported().records)
    record = files.read(tmp_path).people["1"].record
    assert (record.use, record.kept[0] < -365 * 1000, record.kept[1]) == ([0], True, 0), "day 0 is of the record"
