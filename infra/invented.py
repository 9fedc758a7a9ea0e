"""Clients who do not exist: what they feel, say and do from day to day. Pure, and the same for the same seed.

Nothing here was fitted on anybody. The numbers are chosen so that one day differs from the next, and what comes of them
says nothing about people and nothing about the score.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any, NamedTuple

from infra.ids import derived_id
from schemas.fields import written

Body = dict[str, Any]

# So often does something of the kind happen, of all days on which there is a check-in.
LATE, DOUBLED, CORRECTED = 0.1, 0.06, 0.05
# So often does somebody give an answer for which a human is asked at once, of all times that they are asked.
CRISIS = 0.03


class Aim(NamedTuple):
    """What somebody aims at, and the word for it on a bad day."""

    aim: str
    substances: list[str]
    days_per_week: int | None
    word: str


_AIMS = (
    Aim("abstinence", ["opioids"], None, "heroin"),
    Aim("abstinence", ["opioids", "stimulants"], None, "fentanyl"),
    Aim("abstinence", ["alcohol"], None, "wine"),
    Aim("moderation", ["alcohol"], 2, "beer"),
)


@dataclass(frozen=True)
class Said:
    """A check-in and what becomes of it on its way.

    Attributes:
        body: as the phone sends it.
        late: it arrives after that of a later day.
        doubled: it is sent a second time.
        correction: what the client puts in its place, or None.
    """

    body: Body
    late: bool
    doubled: bool
    correction: Body | None


class Client:
    """One of them.

    Attributes:
        number: from 1.
        id, login: the same for the same seed and number.
        aim: the client's own.
    """

    def __init__(self, seed: int, number: int) -> None:
        self.number = number
        self.id = derived_id("simulate", str(seed), "client", str(number))
        self.login = f"simulated-{seed}-client-{number}"
        self._random = Random(self.id)
        self.aim = self._random.choice(_AIMS)
        self._diligence = self._random.uniform(0.6, 0.97)
        # How strongly this life pulls towards use: as log-odds of a day, usually and today.
        self._usual = self._random.gauss(-3.0, 0.7)
        self._pull = self._usual

    def days(self, first: date, count: int) -> Iterator[Said | None]:
        """What is said of each day from ``first``, None where nothing is. Call once: a life is lived once."""
        untold = 0
        for number in range(count):
            untold += self._lives()
            if self._random.random() > self._diligence:
                yield None
                continue
            body = self._check_in(number, first + timedelta(number), untold)
            untold = 0
            yield Said(
                body,
                late=self._happens(LATE),
                doubled=self._happens(DOUBLED),
                correction=self._second_thoughts(body) if self._happens(CORRECTED) else None,
            )

    def _lives(self) -> bool:
        """Live one day; whether there was use. Use follows use, and what pulls drifts back to what is usual."""
        self._pull += 0.25 * (self._usual - self._pull) + self._random.gauss(0, 0.35)
        used = self._happens(_share(self._pull))
        self._pull += 0.9 if used else 0.0
        return used

    def _check_in(self, number: int, day: date, used_days: int) -> Body:
        at = datetime.combine(day, time(7), UTC) + timedelta(minutes=self._random.randrange(15 * 60))
        said: Body = {
            "id": derived_id(self.id, "check-in", str(number)),
            "at": written(at),
            "craving": self._about(self._strain),
            "confidence": self._about(10 - self._strain),
            "mood": self._about(8 - self._strain / 2),
            "tired": self._about(self._strain),
            "sleep_hours": round(min(12.0, max(2.0, self._random.gauss(7.5 - self._strain / 4, 1))), 1),
            "risky_situation": self._happens(self._strain / 20),
        }
        if used_days:
            said["used"] = {"what": self.aim.word, "days": used_days}
        if "opioids" in self.aim.substances:
            said["medication_taken"] = self._happens(0.97 - self._strain / 30)
            said["withdrawal"] = min(3, self._about(self._strain) // 4)
        return said

    def _second_thoughts(self, body: Body) -> Body:
        return {**body, "id": derived_id(body["id"], "correction"), "craving": (body["craving"] + 1) % 11}

    @property
    def _strain(self) -> float:
        """How hard today is, 0 to 10."""
        return 10 * _share(self._pull + 1.5)

    def _about(self, value: float) -> int:
        return min(10, max(0, round(self._random.gauss(value, 1.2))))

    def _happens(self, share: float) -> bool:
        return self._random.random() < share


def answers_to(instrument: Mapping[str, Any], random: Random) -> dict[str, Any]:
    """Answers that fit an instrument as ``GET /instruments`` shows it: those that are asked, and few of a crisis."""
    grave = {condition["item"] for crisis in instrument["crisis"] for condition in crisis["when"]}
    strain = random.random()
    given: dict[str, Any] = {}
    for item in instrument["items"]:
        if item["asked_when"] and not any(given.get(c["item"], 0) >= c["at_least"] for c in item["asked_when"]):
            continue
        heavy = random.random() < CRISIS if item["id"] in grave else random.random() < strain
        given[item["id"]] = _answer(item, random, heavy)
    return given


def _answer(item: Mapping[str, Any], random: Random, heavy: bool) -> Any:
    if item["kind"] == "text":
        return "Invented."
    if item["kind"] == "yes-no":
        return heavy
    values = [option["value"] for option in item["options"]] or range(item["min"], item["max"] + 1)
    return random.choice(values[1:]) if heavy else values[0]


def _share(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))
