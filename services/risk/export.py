"""An operator's own records in the files that the score is fitted on: `alongside risk export`.

Nothing in them says who anybody is: people are numbered in an order that means nothing, days are counted from each
one's own first, and no word that was written is read.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from services.risk.aim_handlers import aim_of
from services.risk.check_in_model import Archive, CheckIn
from services.risk.model import Course, courses
from services.risk.outlook import record_of, today_of
from services.risk.score import LOOK_BACK, Record
from services.risk.study import files
from services.risk.study.files import Answers


class Exported(NamedTuple):
    """``records`` by number, and what was ``answered`` on each day."""

    records: dict[str, Record]
    answered: list[Answers]


def write_to(folder: Path) -> str:
    """Write the files, and say in a line what is in them. Raises ``OSError``."""
    found = exported()
    files.write(folder, found.records, found.answered)
    return f"{len(found.records)} people, {len(found.answered)} days with answers, in {folder}"


def exported() -> Exported:
    """Every client who ever checked in. Reads the whole store."""
    found = [(course, _all_check_ins(course)) for course in courses({})]
    # The order of the store is the order of joining, which might be known.
    random.SystemRandom().shuffle(found)
    records, answered = {}, []
    for number, (course, check_ins) in enumerate((pair for pair in found if pair[1]), 1):
        diary = course.diary_of(check_ins)
        first = _first_day(sorted(diary.kept | diary.missed))
        records[str(number)] = _from_day(record_of(diary, aim_of(course.id)), first)
        answered += [
            Answers(str(number), check_in.day() - first, given)
            for check_in in check_ins
            if (given := {n: float(v) for n, v in today_of(check_in.answers).items() if v is not None})
        ]
    return Exported(records, answered)


def _all_check_ins(course: Course) -> list[CheckIn]:
    """The archived and the recent ones, the oldest first, without those that were corrected."""
    everything: Iterable[CheckIn] = [*Archive.everything(course.id), *course.check_ins]
    kept = {check_in.id: check_in for check_in in everything if check_in.corrected_by is None}
    return sorted(kept.values(), key=CheckIn.place)


def _first_day(days: Sequence[int]) -> int:
    """Where a record begins: what lies more than a year before is another time in care, or came of a wrong clock."""
    after_a_year = [later for earlier, later in pairwise(days) if later - earlier > LOOK_BACK]
    return after_a_year[-1] if after_a_year else days[0]


def _from_day(record: Record, first: int) -> Record:
    def counted(days: Iterable[int]) -> list[int]:
        return [day - first for day in days]

    return Record(
        use=counted(record.use),
        other=counted(record.other),
        kept=counted(record.kept),
        missed=counted(record.missed),
        medication=counted(record.medication),
        withdrawal=[(day - first, level) for day, level in record.withdrawal],
    )
