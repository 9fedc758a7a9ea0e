"""Who can be asked at this moment, and how much each coach is asked already."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from services.risk import service
from services.risk.ladder_rules import Ladder
from services.risk.model import Course, clock_now
from services.risk.on_call_model import OnCall


class Load(NamedTuple):
    """How much a coach is asked.

    Attributes:
        open: alerts that wait for this coach or somebody else who was asked too.
        day, week: alerts that the coach was asked about and that were raised in the last 24 hours and 7 days.
    """

    open: int
    day: int
    week: int


def ladder_now(moment: datetime | None = None) -> Ladder:
    """Who can be asked at a moment, or now by the store's clock."""
    clock = clock_now(moment)
    return Ladder(
        clock=clock,
        cover=lambda told: _least_burdened(told, clock.moment),
        supervisors=lambda: service.people.with_role("supervisor"),
        on_call=lambda: OnCall.now().people,
    )


def on_duty() -> list[str]:
    """The coaches who are on duty now."""
    return [raw["_id"] for raw in service.store.collection("duty").find({"on": True})]


def load_of(coach_id: str, moment: datetime) -> Load:
    """Of one coach, at a moment."""
    told = Course.raw().find({"alerts.told": coach_id}, {"alerts.told": 1, "alerts.state": 1, "alerts.raised_at": 1})
    alerts = [alert for course in told for alert in course["alerts"] if coach_id in alert["told"]]
    ages = [moment - alert["raised_at"] for alert in alerts]
    return Load(
        open=sum(alert["state"] == "open" for alert in alerts),
        day=sum(age < timedelta(days=1) for age in ages),
        week=sum(age < timedelta(days=7) for age in ages),
    )


def _least_burdened(told: Sequence[str], moment: datetime) -> list[str]:
    """One who has not had a full day already, if there is one; among those, one with few open alerts."""
    others = [coach for coach in on_duty() if coach not in told]
    if len(others) < 2:
        return others
    loads = {coach: load_of(coach, moment) for coach in others}
    budget = service.settings.alert_budget
    return [min(others, key=lambda coach: (loads[coach].day >= budget, loads[coach].open, loads[coach].day))]
