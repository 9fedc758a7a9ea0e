"""Who is asked, and by when: the ladder that an open alert climbs until a human answers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from schemas.risk import Band, Rung

Asked = tuple[Rung, list[str]]


class Clock(NamedTuple):
    """What deadlines are set by.

    Attributes:
        moment: now, by the store's clock, which all processes share.
        seconds: by band, how long each rung has.
        follow_up: seconds after which an alert that was acknowledged and not closed is asked about again.
    """

    moment: datetime
    seconds: Mapping[str, int]
    follow_up: int

    def due(self, band: Band) -> datetime:
        """When the next human is asked."""
        return self.moment + timedelta(seconds=self.seconds[band])

    def look_again(self) -> datetime:
        """When whoever acknowledged is taken to have forgotten."""
        return self.moment + timedelta(seconds=self.follow_up)


class Ladder(NamedTuple):
    """Who can be asked now, beside the client's own coach.

    Attributes:
        clock: the moment and the deadlines.
        cover: of those on duty and not among the given people, the least burdened one, or nobody.
        supervisors: all of them.
        on_call: whom the programme named for when nobody else answers.

    Each is asked for when it is needed: mostly the client's own coach is all.
    """

    clock: Clock
    cover: Callable[[Sequence[str]], list[str]]
    supervisors: Callable[[], list[str]]
    on_call: Callable[[], list[str]]


def first_rung(coaches: Sequence[str], ladder: Ladder) -> Asked:
    """The client's own coach is told, on duty or not: an alert overrides quiet hours, and the clock does the rest."""
    if coaches:
        return "coach", [coaches[0]]
    return _above("coach", [], ladder)


def next_rung(rung: Rung, told: Sequence[str], coaches: Sequence[str], ladder: Ladder) -> Asked:
    """The next to be asked. At the top all who were asked are asked again, until one of them answers."""
    if rung == "nobody":
        return first_rung(coaches, ladder)
    higher, asked = _above(rung, told, ladder)
    return (rung, list(told)) if higher == "nobody" else (higher, asked)


def _above(rung: Rung, told: Sequence[str], ladder: Ladder) -> Asked:
    if rung == "coach" and (cover := ladder.cover(told)):
        return "cover", cover
    if rung in ("coach", "cover") and (supervisors := ladder.supervisors()):
        return "supervisor", supervisors
    if rung != "on_call" and (on_call := ladder.on_call()):
        return "on_call", on_call
    return "nobody", []
