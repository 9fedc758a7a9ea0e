"""How likely a lapse is within 7 and 14 days, from a client's own record. The standard library only.

Two parts that are never mixed up. *History* is a logistic model fitted on real people (``services/risk/study``).
*Today* is what a check-in says; no public record holds such answers, so its steps are named "assumed" until an operator
fits them on records of their own. Nothing here is for refusing anybody anything.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

SHIPPED = Path(__file__).with_name("model.json")
HORIZONS = (7, 14)
# How far back a record is read, in days.
LOOK_BACK = 365
# The trials saw nobody for longer than this; beyond it, more time without use changes nothing.
_LONGEST_SEEN = 180
_MONTH = 28
# Use after more than this many days without is a lapse. It is a week of visits in the trials.
_STRETCH = 7

# What the model is told, in its order, with the direction in which each may move the score: 1 raises it, -1 lowers it.
# Every value grows with the thing that it names. All are logs, counts with a cap, or shares, so that none runs away.
INPUTS: Mapping[str, int] = {
    "time_without_use": -1,
    "longest_stretch": -1,
    "use_last_7_days": 1,
    "weeks_with_use": 1,
    "earlier_lapses": 1,
    "time_unseen": 1,
    "other_substances": 1,
    "withdrawal": 1,
}
# Today's answers in the order of their importance (Wyant 2025), and whether a low one is the heavier one.
ANSWERS: Mapping[str, bool] = {
    "confidence": True,
    "craving": False,
    "risky_situation": False,
    "mood": True,
    "halt": False,
}
_MOST = 10
# A plain yes to "were you in a risky situation".
_YES = 8


class Record(NamedTuple):
    """What a client's own record holds. Whole days on one scale, whichever; each list in rising order, without doubles.

    Attributes:
        use: days with use of the outcome's substance.
        other: days with use of another substance. Medication is none, however it was come by.
        kept: days of contacts that took place.
        missed: days of contacts that were agreed and missed.
        medication: days on which medication was taken; never how much.
        withdrawal: (day, level), 0 none to 3 severe.
    """

    use: Sequence[int] = ()
    other: Sequence[int] = ()
    kept: Sequence[int] = ()
    missed: Sequence[int] = ()
    medication: Sequence[int] = ()
    withdrawal: Sequence[tuple[int, int]] = ()


class Scored(NamedTuple):
    """
    Attributes:
        log_odds: of the history, before the scaling of the horizons.
        p: by horizon in days (7 and 14), between 0 and 1; that of 14 is never under that of 7.
        parts: what each input adds to ``log_odds``, against the average person-week of the trials. With the model's
            intercept they sum up to it.
        today: what each answer of today adds to the log-odds of both horizons, before their sum is bounded.
    """

    log_odds: float
    p: dict[int, float]
    parts: dict[str, float]
    today: dict[str, float]


def known_days(record: Record, day: int) -> int:
    """How many days before ``day`` the record begins, at most ``LOOK_BACK``; 0 when it holds nothing yet.

    The model was fitted on people of whom four weeks and more were known. What it says about less is not supported.
    """
    return day - _begin(record, day)


def features(record: Record, day: int) -> dict[str, float]:
    """The inputs of the model at the end of ``day``; nothing after ``day`` is read. In the order of ``INPUTS``."""
    begin = _begin(record, day)
    used = between(record.use, begin, day)
    # Time without use counts as far as the record reaches, and no further.
    gaps = [later - earlier for earlier, later in zip([begin, *used], used, strict=False)]
    since = min(day - (used[-1] if used else begin), _LONGEST_SEEN)
    longest = max([since, *(gap - 1 for gap in gaps)])
    # What was used lately says nearly everything in the first days, and little after months; the rest takes over.
    late = since / (_MONTH + since)
    symptoms = [level for on, level in record.withdrawal if day - 14 < on <= day]
    return {
        "time_without_use": math.log1p(since),
        "longest_stretch": math.log1p(min(longest, _MONTH)),
        "use_last_7_days": math.log1p(len(between(used, day - 6, day))),
        "weeks_with_use": float(sum(bool(between(used, day - 7 * week - 6, day - 7 * week)) for week in range(8))),
        "earlier_lapses": float(min(sum(gap > _STRETCH for gap in gaps), 4)),
        "time_unseen": days_since(record.kept, day, 14) * (1 - late),
        "other_substances": late if between(record.other, day - _MONTH + 1, day) else 0.0,
        "withdrawal": late if symptoms and symptoms[-1] > 0 else 0.0,
    }


class BadModel(ValueError):
    """The model file is not as it must be; the words name what is wrong."""


@dataclass(frozen=True)
class Answer:
    """How one of today's answers moves the log-odds.

    Attributes:
        status: "assumed" or "fitted".
        steps: (from which weight on, log-odds), rising in both; the first from 0. The weight is the answer, or 10 less
            the answer when a low one is the heavier.
    """

    name: str
    status: str
    steps: tuple[tuple[float, float], ...]

    def add(self, value: float) -> float:
        """Raises ValueError when ``value`` is not 0 to 10, true or false."""
        number = (_YES if value else 0) if isinstance(value, bool) else value
        if not 0 <= number <= _MOST:
            raise ValueError(f"{self.name} must be 0 to {_MOST}, not {value}")
        weight = _MOST - number if ANSWERS[self.name] else number
        return next(add for start, add in reversed(self.steps) if weight >= start)


@dataclass(frozen=True)
class Model:
    """A fitted model as its file holds it; see ``read``.

    Attributes:
        intercept: log-odds of the average person-week, at 7 days.
        inputs: name to (coefficient, center, scale): a part is ``coefficient * (value - center) / scale``.
        platt: horizon to (slope, intercept): its log-odds are ``slope * log_odds + intercept``.
        today: the answers; ``limit`` bounds what they may add together, in either direction.
        points: horizon to its operating points, from the most sensitive one on.
        substances: what those recover from on whom it was fitted, as kinds of ``schemas.substances``.
        document: the file itself, with data, date and figures.
    """

    intercept: float
    inputs: Mapping[str, tuple[float, float, float]]
    platt: Mapping[int, tuple[float, float]]
    today: tuple[Answer, ...]
    limit: float
    points: Mapping[int, tuple[Mapping[str, float], ...]]
    substances: frozenset[str]
    document: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path = SHIPPED) -> Model:
        """Raises BadModel naming what is wrong, OSError when there is no such file."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise BadModel(f"{path.name} is not JSON: {error}") from None
        try:
            return cls.of(document)
        except BadModel as error:
            raise BadModel(f"{path.name}: {error}") from None

    @classmethod
    def of(cls, document: Any) -> Model:
        """The model that a document describes. Raises BadModel."""
        whole = _table(document, "the model")
        return cls(
            intercept=_number(whole, "intercept"),
            inputs=_read_inputs(whole),
            platt=_read_platt(whole),
            today=_read_answers(_table(_get(whole, "today"), "today")),
            limit=_number(_table(_get(whole, "today"), "today"), "limit", least=0, where="today"),
            points=_read_points(whole),
            substances=_read_substances(whole),
            document=_with_a_source(whole),
        )

    def score(
        self, record: Record, day: int, today: Mapping[str, float | None] | None = None, use_assumed: bool = True
    ) -> Scored:
        """The score at the end of ``day``.

        Args:
            record: anything in it after ``day`` is not read.
            day: on the record's scale.
            today: by the names of ``ANSWERS``, 0 to 10 (``risky_situation`` may be true or false); None: not answered.
            use_assumed: whether steps that nobody fitted may move the score.

        Raises ValueError naming an answer that is unknown or out of range.
        """
        values = features(record, day)
        parts = {name: b * (values[name] - center) / scale for name, (b, center, scale) in self.inputs.items()}
        log_odds = self.intercept + math.fsum(parts.values())
        answered = self._answers(today or {}, use_assumed)
        shift = max(-self.limit, min(self.limit, math.fsum(answered.values())))
        p7, p14 = (
            _probability(slope * log_odds + base + shift) for slope, base in map(self.platt.__getitem__, HORIZONS)
        )
        # Two scalings may cross where there are hardly any people; what happens in 7 days has happened in 14.
        return Scored(log_odds, {7: p7, 14: max(p7, p14)}, parts, answered)

    def cut(self, sensitivity: float, horizon: int) -> float:
        """The probability from which on a week is flagged so that at least this share of weeks with a lapse is.

        Of the points of the model's table, the nearest that is sensitive enough: between two of them, the lower cut.
        Raises ValueError outside the table.
        """
        table = self.points[horizon]
        enough = [point for point in table if point["sensitivity"] >= sensitivity - 1e-9]
        if not enough or sensitivity < table[-1]["sensitivity"] - 1e-9:
            raise ValueError(
                f"sensitivity must be {table[-1]['sensitivity']} to {table[0]['sensitivity']}, not {sensitivity}"
            )
        return enough[-1]["cut"]

    def _answers(self, today: Mapping[str, float | None], use_assumed: bool) -> dict[str, float]:
        unknown = set(today) - set(ANSWERS)
        if unknown:
            raise ValueError(f"no such answer: {', '.join(sorted(unknown))}")
        found = {}
        for answer in self.today:
            value = today.get(answer.name)
            if value is not None and (use_assumed or answer.status == "fitted"):
                found[answer.name] = answer.add(value)
        return found


def _begin(record: Record, day: int) -> int:
    """The first day of which the record knows anything, within the look-back; ``day`` itself when it knows nothing."""
    earliest = day - LOOK_BACK + 1
    starts = [
        *(_first(days, earliest) for days in record[:-1]),
        next((on for on, _ in record.withdrawal if on >= earliest), day),
    ]
    return min(start for start in (*starts, day) if start is not None)


def _first(days: Sequence[Any], earliest: int) -> int | None:
    place = bisect_left(days, earliest)
    return days[place] if place < len(days) else None


def between(days: Sequence[int], first: int, last: int) -> Sequence[int]:
    """Those of rising ``days`` from ``first`` to ``last``, both included."""
    return days[bisect_left(days, first) : bisect_right(days, last)]


def days_since(days: Sequence[int], day: int, most: int) -> int:
    """Days since the latest of ``days``, at most ``most``."""
    place = bisect_right(days, day)
    return min(day - days[place - 1], most) if place else most


def _probability(log_odds: float) -> float:
    """Never exactly 0 or 1: no record proves either."""
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, log_odds))))


def _read_inputs(whole: Mapping[str, Any]) -> dict[str, tuple[float, float, float]]:
    rows = [_table(row, "inputs") for row in _list(whole, "inputs")]
    names = [row.get("name") for row in rows]
    if names != list(INPUTS):
        raise BadModel(f"inputs must be {', '.join(INPUTS)} in this order, not {', '.join(map(str, names))}")
    found = {}
    for row in rows:
        name = row["name"]
        if row.get("sign") != INPUTS[name]:
            raise BadModel(f"inputs: {name} has the sign {row.get('sign')}, and must have {INPUTS[name]}")
        coefficient = _number(row, "coefficient", where=name)
        if coefficient * INPUTS[name] < 0:
            raise BadModel(f"inputs: the coefficient of {name} is {coefficient}, against its sign")
        found[name] = (coefficient, _number(row, "center", where=name), _number(row, "scale", above=0, where=name))
    return found


def _read_platt(whole: Mapping[str, Any]) -> dict[int, tuple[float, float]]:
    platt = _table(_get(whole, "platt"), "platt")
    rows = {horizon: _table(_get(platt, str(horizon), "platt"), f"platt {horizon}") for horizon in HORIZONS}
    return {
        horizon: (
            _number(row, "slope", above=0, where=f"platt {horizon}"),
            _number(row, "intercept", where=f"platt {horizon}"),
        )
        for horizon, row in rows.items()
    }


def _read_answers(today: Mapping[str, Any]) -> tuple[Answer, ...]:
    rows = [_table(row, "today") for row in _list(today, "answers", "today")]
    names = [row.get("name") for row in rows]
    if names != list(ANSWERS):
        raise BadModel(f"today: answers must be {', '.join(ANSWERS)} in this order, not {', '.join(map(str, names))}")
    return tuple(_read_answer(row) for row in rows)


def _read_answer(row: Mapping[str, Any]) -> Answer:
    name = row["name"]
    if row.get("status") not in ("assumed", "fitted"):
        raise BadModel(f"today: the status of {name} is {row.get('status')}, and must be assumed or fitted")
    try:
        steps = tuple((float(start), float(add)) for start, add in _list(row, "steps", name))
    except (TypeError, ValueError):
        raise BadModel(f"today: the steps of {name} must be pairs of numbers") from None
    starts, adds = [start for start, _ in steps], [add for _, add in steps]
    if not steps or starts[0] != 0 or starts != sorted(set(starts)) or not all(map(math.isfinite, adds)):
        raise BadModel(f"today: the steps of {name} must begin at 0 and rise")
    if adds != sorted(adds):
        raise BadModel(f"today: the steps of {name} fall, so that a heavier answer would lower the score")
    return Answer(name, row["status"], steps)


_POINT = ("sensitivity", "cut", "specificity", "flagged", "alerts_per_coach_day")


def _read_points(whole: Mapping[str, Any]) -> dict[int, tuple[dict[str, float], ...]]:
    tables = _table(_get(whole, "operating_points"), "operating_points")
    found = {}
    for horizon in HORIZONS:
        where = f"operating_points {horizon}"
        rows = [_table(row, where) for row in _list(tables, str(horizon), "operating_points")]
        points = tuple({name: _number(row, name, least=0, where=where) for name in _POINT} for row in rows)
        sensitivities, cuts = [point["sensitivity"] for point in points], [point["cut"] for point in points]
        if not points or sensitivities != sorted(set(sensitivities), reverse=True) or cuts != sorted(cuts):
            raise BadModel(f"{where}: sensitivities must fall from row to row, and cuts must not")
        found[horizon] = points
    return found


def _read_substances(whole: Mapping[str, Any]) -> frozenset[str]:
    kinds = _list(whole, "substances")
    if not kinds or not all(isinstance(kind, str) for kind in kinds):
        raise BadModel("substances must name what those recover from on whom it was fitted")
    return frozenset(kinds)


def _with_a_source(whole: Mapping[str, Any]) -> Mapping[str, Any]:
    """A model says when and on what it was fitted, or it is none."""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", str(whole.get("date"))):
        raise BadModel(f"date must be YYYY-MM-DD, not {whole.get('date')}")
    for name in ("people", "person_weeks"):
        _number(whole, name, above=0)
    sources = [_table(source, "data") for source in _list(whole, "data")]
    for source in sources:
        prints = _table(_get(source, "files", "data"), "data")
        wrong = [name for name, print_ in prints.items() if not re.fullmatch(r"[0-9a-f]{64}", str(print_))]
        if wrong or not prints:
            raise BadModel(f"data: {source.get('name')} must have the sha256 of each file; wrong: {', '.join(wrong)}")
    if not sources:
        raise BadModel("data must name what the model was fitted on")
    _table(_get(whole, "figures"), "figures")
    return whole


def _get(table: Mapping[str, Any], name: str, where: str = "") -> Any:
    if name not in table:
        raise BadModel(f"{where + ': ' if where else ''}{name} is missing")
    return table[name]


def _table(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadModel(f"{what} must be an object")
    return value


def _list(table: Mapping[str, Any], name: str, where: str = "") -> list[Any]:
    value = _get(table, name, where)
    if not isinstance(value, list):
        raise BadModel(f"{where + ': ' if where else ''}{name} must be a list")
    return value


def _number(
    table: Mapping[str, Any], name: str, least: float = -math.inf, above: float = -math.inf, where: str = ""
) -> float:
    value = _get(table, name, where)
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or value < least or value <= above:
        raise BadModel(f"{where + ': ' if where else ''}{name} is {value}, and must be a number in its range")
    return float(value)
