"""What a client's own record holds, day by day: what the history part of the score is read from. Pure.

A day is a whole number, counted from the year 1 (``date.toordinal``), in UTC.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from schemas.substances import Substance

# The score looks back no further; a little more, because what is told late belongs to a day before.
KEPT_DAYS = 400


@dataclass
class Diary:
    """Facts by day.

    Attributes:
        used: by kind of substance, the days on which a use was told.
        kept, missed: days of contact with the programme that took place, or did not.
        medication: days on which it was taken.
        withdrawal: by day, the worst level told, 0 to 3.
    """

    used: dict[Substance, set[int]] = field(default_factory=dict)
    kept: set[int] = field(default_factory=set)
    missed: set[int] = field(default_factory=set)
    medication: set[int] = field(default_factory=set)
    withdrawal: dict[int, int] = field(default_factory=dict)

    def check_in(
        self,
        day: int,
        substances: Iterable[Substance] = (),
        used_on: Iterable[int] = (),
        medication_taken: bool | None = None,
        withdrawal: int | None = None,
    ) -> None:
        """A check-in of a day, with the days on which a use was told."""
        self.kept.add(day)
        for kind in substances:
            self.used.setdefault(kind, set()).update(used_on)
        if medication_taken:
            self.medication.add(day)
        if withdrawal is not None:
            self.withdrawal[day] = max(withdrawal, self.withdrawal.get(day, 0))

    def used_of(self, substances: Iterable[Substance]) -> list[int]:
        """The days on which one of these was used, in order."""
        return sorted(set[int]().union(*(self.used.get(kind, set()) for kind in substances)))

    def dump(self, until: int) -> str:
        """As text, without what lies more than ``KEPT_DAYS`` before the day ``until``."""
        since = until - KEPT_DAYS
        return json.dumps(
            {
                "used": {kind: sorted(d for d in days if d >= since) for kind, days in self.used.items()},
                **{name: sorted(d for d in getattr(self, name) if d >= since) for name in _SETS},
                "withdrawal": [[day, level] for day, level in sorted(self.withdrawal.items()) if day >= since],
            },
            separators=(",", ":"),
        )

    @classmethod
    def load(cls, text: str | None) -> Diary:
        """The diary that was dumped; an empty one of None."""
        if text is None:
            return cls()
        kept = json.loads(text)
        return cls(
            used={kind: set(days) for kind, days in kept["used"].items()},
            **{name: set(kept[name]) for name in _SETS},
            withdrawal=dict(kept["withdrawal"]),
        )


_SETS = ("kept", "missed", "medication")
