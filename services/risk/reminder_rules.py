"""When a client is to be reminded: once a day, at a time of the client's own clock. Judgement only."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from schemas.clocks import moment_of

# So late a reminder still goes out when its day has just ended: one for the last minute of a day is heard after it.
LATE = timedelta(minutes=15)


def next_after(wall: str, timezone: str, moment: datetime) -> datetime:
    """The first moment after this one at which clocks there say ``wall``."""
    return next(at for at in _around(wall, timezone, moment) if at > moment)


def newest_by(wall: str, timezone: str, moment: datetime) -> datetime:
    """The last moment up to this one at which clocks there said ``wall``."""
    return next(at for at in reversed(_around(wall, timezone, moment)) if at <= moment)


def day_of(moment: datetime, timezone: str) -> date:
    """The day that it is there."""
    return moment.astimezone(ZoneInfo(timezone)).date()


def is_still_of_use(at: datetime, timezone: str, moment: datetime) -> bool:
    """Whether a reminder for ``at`` may go out at ``moment``: on the same day there, or a little later."""
    return day_of(at, timezone) == day_of(moment, timezone) or moment - at < LATE


def is_of_the_day(moments: Iterable[datetime], at: datetime, timezone: str) -> bool:
    """Whether any of these moments is of the same day there as ``at``."""
    return day_of(at, timezone) in {day_of(moment, timezone) for moment in moments}


def _around(wall: str, timezone: str, moment: datetime) -> list[datetime]:
    """The moments of the days around, in order. Nowhere do clocks change by more than a day."""
    today = day_of(moment, timezone)
    return [moment_of(today + timedelta(days=days), wall, ZoneInfo(timezone)) for days in range(-2, 3)]
