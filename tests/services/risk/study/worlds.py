"""Made-up trials, for what needs no real data; and where the real data are, when they are."""

from __future__ import annotations

import csv
import math
import os
import random
from pathlib import Path

import pytest

from services.risk.score import Record
from services.risk.study.files import Answers, write

ROOT = Path(__file__).resolve().parents[4]
RACES = ("White", "Black", "Other", "Refused/missing")


def real_folder() -> Path:
    """The folder with the two trials, or the test is skipped."""
    named = os.environ.get("ALONGSIDE_CTN0094")
    folder = Path(named) if named else ROOT.parent / "shared" / "data" / "ctn0094"
    if not (folder / "27").is_dir():
        pytest.skip("The data of the two trials are not here; ALONGSIDE_CTN0094 may name their folder.")
    return folder


def person(chance: random.Random, days: int = 150) -> Record:
    """Somebody whose use follows use, comes in bouts, and comes sooner after other substances and missed visits."""
    use: list[int] = []
    other = sorted(chance.sample(range(-28, days), chance.randrange(0, 40)))
    kept = [day for day in range(0, days, 7) if chance.random() < 0.8]
    tendency, using = chance.gauss(-3.0, 0.8), chance.random() < 0.7
    for day in range(-28, days):
        since = day - use[-1] if use else 28
        recent = any(day - 28 < on <= day for on in other)
        chances = 0.75 if using else 1 / (1 + math.exp(-(tendency - 0.02 * since + 0.7 * recent)))
        using = chance.random() < chances
        if using:
            use.append(day)
    medication = [day for day in range(0, days) if chance.random() < 0.8]
    withdrawal = [(day, chance.choice((0, 0, 0, 1, 2))) for day in kept if chance.random() < 0.7]
    missed = [day for day in range(0, days, 7) if day not in kept and chance.random() < 0.5]
    return Record(use, other, kept, missed, medication, withdrawal)


def trial(folder: Path, people: int = 80, seed: int = 1) -> Path:
    """A folder with the five files, of made-up people with an age, a sex, a race and an ethnicity."""
    chance = random.Random(seed)
    write(folder, {str(number): person(chance) for number in range(people)})
    with (folder / "people.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("who", "age", "is_male", "race", "is_hispanic"))
        for number in range(people):
            age = "" if number % 17 == 0 else f"{chance.randrange(18, 60)}.0"
            row = (number, age, chance.choice(("Yes", "No")), chance.choice(RACES), chance.choice(("Yes", "No", "")))
            table.writerow(row)
    return folder


def answered(record: Record, who: str, chance: random.Random) -> list[Answers]:
    """Answers of each week, of which craving tells of the week to come and mood of nothing."""
    found = []
    for day in range(28, 136, 3):
        soon = any(day < on <= day + 7 for on in record.use)
        craving = min(10, max(0, round(chance.gauss(6.5 if soon else 3.5, 2))))
        found.append(Answers(who, day, {"craving": craving, "mood": chance.randrange(0, 11)}))
    return found
