"""Wall times where clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from schemas.clocks import moment_of


@pytest.mark.parametrize(
    ("zone", "day", "wall", "utc"),
    [
        ("UTC", "2026-01-31", "09:30", "2026-01-31T09:30"),
        ("Asia/Kathmandu", "2026-01-31", "09:30", "2026-01-31T03:45"),
        ("UTC", "2026-01-31", "24:00", "2026-02-01T00:00"),
        # Skipped: as long after midnight as it would have been, so 03:30 by the new clock.
        ("America/New_York", "2026-03-08", "02:30", "2026-03-08T07:30"),
        # Comes twice: the first.
        ("America/New_York", "2026-11-01", "01:30", "2026-11-01T05:30"),
        ("Australia/Lord_Howe", "2026-04-05", "01:45", "2026-04-04T14:45"),
        # Midnight itself is skipped.
        ("Africa/Cairo", "2026-04-24", "00:00", "2026-04-23T22:00"),
    ],
)
def test_a_wall_time_is_read_as_rfc_5545_reads_it(zone: str, day: str, wall: str, utc: str) -> None:
    assert moment_of(date.fromisoformat(day), wall, ZoneInfo(zone)) == datetime.fromisoformat(utc).replace(tzinfo=UTC)
