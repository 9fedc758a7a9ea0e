"""What a clock on the wall says, as a moment. Where clocks change, a wall time is read as RFC 5545 reads it: one that
comes twice is the first of the two, and one that is skipped is as long after midnight as it would have been."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def moment_of(day: date, wall: str, zone: ZoneInfo) -> datetime:
    """The moment, in UTC, at which clocks of the zone say ``wall`` (``HH:MM``, up to ``24:00``) on that day."""
    hour, minute = map(int, wall.split(":"))
    return datetime.combine(day + timedelta(days=hour // 24), time(hour % 24, minute), zone).astimezone(UTC)
