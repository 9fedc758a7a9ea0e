"""What one check-in means for one client: beside the aim that is the client's own, and the days that went before."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from schemas.risk import NewCheckIn
from schemas.substances import Substance, kinds_in
from services.risk import service
from services.risk.aim_handlers import aim_of
from services.risk.aim_rules import Aim, counts
from services.risk.check_in_model import CheckIn
from services.risk.model import Course
from services.risk.outlook import outlook, record_of, recovers_from
from services.risk.rules import Verdict, compare, judge

_WEEK = timedelta(days=7)


class Weighing(NamedTuple):
    """All that is read from elsewhere to judge a check-in, so that judging it reads nothing."""

    body: NewCheckIn
    aim: Aim | None

    @classmethod
    def of(cls, client_id: str, body: NewCheckIn) -> Weighing:
        """What is known now."""
        return cls(body, aim_of(client_id))

    @property
    def substances(self) -> list[Substance]:
        """The kinds of what was used, when a use was told."""
        return list(kinds_in(self.body.used.what)) if self.body.used else []

    def verdict(self, course: Course, check_in: CheckIn, instead_of: str | None = None) -> Verdict:
        """The band of a check-in, by what was known of its day.

        Args:
            course: of the client, without the check-in.
            check_in: the same as the body, as it will be kept.
            instead_of: the check-in whose place it takes.
        """
        diary = course.diary(but=instead_of)
        check_in.enter(diary)
        record = record_of(diary, self.aim)
        lapses = set(record.use)
        lapsed = any(counts(kind, self.aim) for kind in check_in.substances) and any(
            day in lapses for day in check_in.used_on()
        )
        last_week = [
            kept.answers
            for kept in course.valid()
            if kept.id != instead_of and timedelta(0) < check_in.place() - kept.place() <= _WEEK
        ]
        about = recovers_from(diary, self.aim)
        behind = outlook(service.settings, record, about, check_in.day(), check_in.answers)
        return judge(self.body, lapsed, behind)._replace(compared=compare(self.body, last_week))
