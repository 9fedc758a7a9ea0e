"""The files of a study: one folder a trial, read strictly and written alike."""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from services.risk.score import ANSWERS, Record

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "people.csv": ("who", "age", "is_male", "race", "is_hispanic"),
    "use.csv": ("who", "day", "what", "source", "opioid"),
    "contacts.csv": ("who", "day", "kind"),
    "medication.csv": ("who", "day", "amount"),
    "withdrawal.csv": ("who", "day", "level"),
}
# A client's own answers; a trial has none.
TODAY = "today.csv"
TODAY_COLUMNS = ("who", "day", "craving", "confidence", "risky_situation", "mood", "halt")
# What is no "other substance" though a file lists it: what treats the dependence, however it was come by, and remedies.
_TREATMENT = {"methadone", "buprenorphine", "suboxone", "subutex", "naltrexone", "vivitrol", "lofexidine", "clonidine"}
_REMEDIES = {
    "acetaminophen",
    "antibiotic",
    "antidepressant",
    "antiemetic",
    "antihistamine",
    "antipsychotic",
    "benadryl",
    "nicotine",
    "trazodone",
    "tryclic-antidepressant",
}
NOT_COUNTED = frozenset(_TREATMENT | _REMEDIES)
# How statisticians' tools write what is not known.
_NOT_KNOWN = "NA"
# No two days that a calendar has lie further apart.
_CALENDAR = date.max.toordinal()


class BadFiles(ValueError):
    """What was given cannot be read; the words name folder or file, line and column."""


class Person(NamedTuple):
    """One person of a trial. ``age`` in years or None; the others as in the file, empty when not known."""

    record: Record
    age: float | None = None
    is_male: str = ""
    race: str = ""
    is_hispanic: str = ""


class Answers(NamedTuple):
    """What somebody answered on a day: by the names of ``ANSWERS``, those that were answered."""

    who: str
    day: int
    given: dict[str, float]


@dataclass(frozen=True)
class Trial:
    """One folder.

    Attributes:
        name: of the folder.
        people: by ``who``, in the order of the files.
        today: rows of ``today.csv``; empty without that file.
        fingerprints: file name to its sha256.
    """

    name: str
    people: Mapping[str, Person]
    today: tuple[Answers, ...]
    fingerprints: Mapping[str, str]


def read(folder: Path) -> Trial:
    """Reads one folder that holds the five files. Raises BadFiles."""
    found: dict[str, _Gathered] = {}
    facts: dict[str, tuple[float | None, str, str, str]] = {}

    def of(row: _Row) -> _Gathered:
        return found.setdefault(row.text("who"), _Gathered())

    for row in _rows(folder, "people.csv"):
        of(row)
        if row.text("who") in facts:
            raise row.wrong("who", "is here twice")
        age = row.number("age", 0, 130) if row.text("age", empty=True) else None
        facts[row.text("who")] = (
            age,
            row.one_of("is_male", ("Yes", "No", "")),
            row.text("race", empty=True),
            row.one_of("is_hispanic", ("Yes", "No", "")),
        )
    for row in _rows(folder, "use.csv"):
        if row.whole("opioid", 0, 1):
            of(row).use.add(row.day())
        elif row.text("what").casefold() not in NOT_COUNTED:
            of(row).other.add(row.day())
    for row in _rows(folder, "contacts.csv"):
        attended = row.one_of("kind", ("attended", "missed")) == "attended"
        (of(row).kept if attended else of(row).missed).add(row.day())
    for row in _rows(folder, "medication.csv"):
        # An amount that nobody wrote down was taken all the same.
        if not row.text("amount", empty=True) or row.number("amount", 0, math.inf) > 0:
            of(row).medication.add(row.day())
    for row in _rows(folder, "withdrawal.csv"):
        levels = of(row).withdrawal
        levels[row.day()] = max(row.whole("level", 0, 3), levels.get(row.day(), 0))
    nothing = (None, "", "", "")
    people = {who: Person(gathered.record(), *facts.get(who, nothing)) for who, gathered in found.items()}
    names = [*COLUMNS, *([TODAY] if (folder / TODAY).exists() else [])]
    today = tuple(_today(folder)) if TODAY in names else ()
    prints = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    return Trial(folder.resolve().name, people, today, prints)


def read_all(folders: Iterable[Path]) -> list[Trial]:
    """Each folder that holds the five files, or the sub-folders of one that holds none. Raises BadFiles."""
    trials = [read(one) for folder in folders for one in _those_with_files(folder)]
    names = [trial.name for trial in trials]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadFiles(f"Two folders are called {', '.join(twice)}; each trial needs a name of its own.")
    return trials


def write(folder: Path, records: Mapping[str, Record], today: Iterable[Answers] = ()) -> None:
    """Writes records in the five files, and the answers of each day in a sixth when there are any.

    Nothing says who the people are: ``who`` is what the caller chose, and sex, race and age stay empty. Of medication
    it is written that it was taken, not how much. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    each = [(who, record) for who, record in records.items()]
    _write(folder / "people.csv", COLUMNS["people.csv"], ((who, "", "", "", "") for who, _ in each))
    uses = (
        (who, day, what, "record", opioid)
        for who, record in each
        for what, opioid, days in (("outcome", 1, record.use), ("other", 0, record.other))
        for day in days
    )
    _write(folder / "use.csv", COLUMNS["use.csv"], uses)
    contacts = (
        (who, day, kind)
        for who, record in each
        for kind, days in (("attended", record.kept), ("missed", record.missed))
        for day in days
    )
    _write(folder / "contacts.csv", COLUMNS["contacts.csv"], contacts)
    taken = ((who, day, 1) for who, record in each for day in record.medication)
    _write(folder / "medication.csv", COLUMNS["medication.csv"], taken)
    levels = ((who, day, level) for who, record in each for day, level in record.withdrawal)
    _write(folder / "withdrawal.csv", COLUMNS["withdrawal.csv"], levels)
    answers = [(one.who, one.day, *(one.given.get(name, "") for name in TODAY_COLUMNS[2:])) for one in today]
    if answers:
        _write(folder / TODAY, TODAY_COLUMNS, answers)


class _Gathered:
    """What the files hold of one person, while they are read."""

    def __init__(self) -> None:
        self.use: set[int] = set()
        self.other: set[int] = set()
        self.kept: set[int] = set()
        self.missed: set[int] = set()
        self.medication: set[int] = set()
        self.withdrawal: dict[int, int] = {}

    def record(self) -> Record:
        return Record(
            use=sorted(self.use),
            other=sorted(self.other),
            kept=sorted(self.kept),
            missed=sorted(self.missed),
            medication=sorted(self.medication),
            withdrawal=sorted(self.withdrawal.items()),
        )


class _Row:
    """One line of a file, read by column; what cannot be read says where it is."""

    def __init__(self, path: Path, line: int, cells: Mapping[str, str]) -> None:
        self._path, self._line, self._cells = path, line, cells

    def wrong(self, column: str, why: str) -> BadFiles:
        return BadFiles(f"{self._path}, line {self._line}, column {column}: {self._cells.get(column)!r} {why}")

    def text(self, column: str, empty: bool = False) -> str:
        value = self._cells[column]
        if empty and value == _NOT_KNOWN:
            return ""
        if not value and not empty:
            raise self.wrong(column, "must not be empty")
        return value

    def one_of(self, column: str, values: tuple[str, ...]) -> str:
        value = self.text(column, empty=True)
        if value not in values:
            raise self.wrong(column, f"must be one of {', '.join(one or 'nothing' for one in values)}")
        return value

    def number(self, column: str, least: float, most: float) -> float:
        return self._read(column, float, least, most, "a number")

    def whole(self, column: str, least: int, most: int) -> int:
        return int(self._read(column, _whole, least, most, "a whole number"))

    def day(self) -> int:
        return self.whole("day", -_CALENDAR, _CALENDAR)

    def _read(self, column: str, kind: Callable[[str], float], least: float, most: float, what: str) -> float:
        limits = f"of {least} or more" if most == math.inf else f"from {least} to {most}"
        try:
            value = kind(self._cells[column])
        except ValueError:
            raise self.wrong(column, f"must be {what} {limits}") from None
        if not least <= value <= most or math.isinf(value):
            raise self.wrong(column, f"must be {what} {limits}")
        return value


def _whole(text: str) -> float:
    value = float(text)
    if not value.is_integer():
        raise ValueError(text)
    return value


def _rows(folder: Path, name: str, columns: tuple[str, ...] | None = None) -> Iterator[_Row]:
    columns = columns or COLUMNS[name]
    path = folder / name
    try:
        file = path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise BadFiles(f"{path} cannot be read ({type(error).__name__}); it must have {', '.join(columns)}") from None
    with file:
        lines = csv.reader(file, strict=True)
        try:
            header = next(lines, [])
            missing = [column for column in columns if column not in header]
            if missing:
                raise BadFiles(
                    f"{path}, line 1: the column {missing[0]} is missing; found {', '.join(header) or 'none'}"
                )
            twice = [column for column in columns if header.count(column) > 1]
            if twice:
                raise BadFiles(f"{path}, line 1: the column {twice[0]} is there twice")
            # The reader gives a line with nothing on it as no cells.
            for cells in filter(None, lines):
                if len(cells) != len(header):
                    raise BadFiles(f"{path}, line {lines.line_num}: {len(cells)} columns, and must be {len(header)}")
                yield _Row(path, lines.line_num, dict(zip(header, cells, strict=True)))
        except (csv.Error, UnicodeDecodeError) as error:
            raise BadFiles(f"{path}, line {lines.line_num + 1}: not a table in UTF-8 ({error})") from None


def _today(folder: Path) -> Iterator[Answers]:
    for row in _rows(folder, TODAY, TODAY_COLUMNS):
        given = {name: row.number(name, 0, 10) for name in ANSWERS if row.text(name, empty=True)}
        yield Answers(row.text("who"), row.day(), given)


def _those_with_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise BadFiles(f"{folder} is no folder")
    if any((folder / name).exists() for name in COLUMNS):
        return [folder]
    inside = sorted(one for one in folder.iterdir() if one.is_dir() and any((one / name).exists() for name in COLUMNS))
    if not inside:
        raise BadFiles(f"{folder} holds none of {', '.join(COLUMNS)}, and no folder that does")
    return inside


def _write(path: Path, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)
