"""The instruments that can be taken: files that ship beside this module, and an operator's own.

A file holds what ``schemas.assessments.Instrument`` has; ``instruments/schema.json`` says the same to an editor.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from marshmallow import ValidationError

from infra.settings import BadSettings, Settings
from schemas.assessments import Condition, Instrument, Item, LeftOut, Scale, Schedule
from services.risk import service
from services.risk.assessment_rules import bounds

SHIPPED = Path(__file__).with_name("instruments")
SCHEMA = "schema.json"


class Shelf:
    """The instruments there are, once the service is open."""

    def __init__(self) -> None:
        self._by_key: dict[str, Instrument] = {}

    def fill(self, settings: Settings) -> None:
        """Read all files, those that ship first.

        Raises:
            BadSettings: with every mistake in every file, each with the file and the place in it.
        """
        own = Path(settings.instruments) if settings.instruments else None
        if own is not None and not own.is_dir():
            raise BadSettings([f"ALONGSIDE_INSTRUMENTS: {own} is not a folder"])
        problems: list[str] = []
        kept: dict[str, Instrument] = {}
        left_out: list[tuple[Path, LeftOut]] = []
        for path in [*_files(SHIPPED), *(_files(own) if own else [])]:
            found, mistakes = _read(path)
            problems += mistakes
            if isinstance(found, LeftOut):
                left_out.append((path, found))
            elif found is not None and found.key in kept:
                problems.append(f"{path}: id, version, variant: there is {found.key} already; give it another version")
            elif found is not None:
                kept[found.key] = found
        problems += _dangling(kept)
        for path, absent in left_out:
            gone = [key for key, there in kept.items() if _is_meant(absent, there)]
            problems += [] if gone else [f"{path}: id, version, variant: there is no such instrument to leave out"]
            for key in gone:
                del kept[key]
        if problems:
            raise BadSettings([f"ALONGSIDE_INSTRUMENTS: {problem}" for problem in problems])
        self._by_key = dict(sorted(kept.items()))

    def all(self) -> list[Instrument]:
        """Every one, in the order of their keys."""
        return list(self._by_key.values())

    def newest(self) -> list[Instrument]:
        """The newest version of each instrument, with all its variants."""
        return [one for one in self.all() if one.version == max(o.version for o in self.all() if o.id == one.id)]

    def versions(self, id: str, version: int | None = None) -> list[Instrument]:
        """The variants of one instrument: of all versions, the newest first, or of one."""
        found = [one for one in self.all() if one.id == id and version in (None, one.version)]
        return sorted(found, key=lambda one: -one.version)


shelf = Shelf()
service.openings.append(shelf.fill)


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.json")) if path.name != SCHEMA]


def _is_meant(absent: LeftOut, there: Instrument) -> bool:
    return (absent.id, absent.version) == (there.id, there.version) and absent.variant in (None, there.variant)


def _read(path: Path) -> tuple[Instrument | LeftOut | None, list[str]]:
    """What a file holds, or None and what is wrong with it."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        return None, [f"{path}: {error}"]
    kind: type[Instrument] | type[LeftOut] = LeftOut if isinstance(data, dict) and "off" in data else Instrument
    try:
        found = kind.load(data)
    except ValidationError as error:
        return None, [f"{path}: {place}: {why}" for place, why in _flat(error.messages)]
    mistakes = list(mistakes_of(found)) if isinstance(found, Instrument) else []
    return (None if mistakes else found), [f"{path}: {mistake}" for mistake in mistakes]


def _flat(messages: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Each mistake with its place, such as ``items.3.text``."""
    if isinstance(messages, dict):
        for name, inner in messages.items():
            yield from _flat(inner, f"{place}.{name}" if place else str(name))
    else:
        yield place, " ".join(map(str, messages))


def _dangling(kept: dict[str, Instrument]) -> list[str]:
    known = {one.id for one in kept.values()}
    return [
        f"{key}: crisis.{number}.fuller_screen: there is no instrument {crisis.fuller_screen}"
        for key, one in kept.items()
        for number, crisis in enumerate(one.crisis)
        if crisis.fuller_screen not in (None, *known)
    ]


def mistakes_of(instrument: Instrument) -> Iterator[str]:
    """What no schema of one field can say: the parts of an instrument do not fit each other. Each with its place."""
    wrong = [f"items.{number}.{why}" for number, item in enumerate(instrument.items) for why in _item(item)]
    wrong += _twice("items", [item.id for item in instrument.items])
    if wrong or not instrument.items:
        # What follows counts with the answers that a question takes.
        yield from wrong or ["items: there is no question"]
        return
    for number, item in enumerate(instrument.items):
        before = {earlier.id: earlier for earlier in instrument.items[:number]}
        yield from (f"items.{number}.asked_when.{why}" for why in _conditions(item.asked_when, before))
    by_id = {item.id: item for item in instrument.items}
    for number, scale in enumerate(instrument.scales):
        yield from (f"scales.{number}.{why}" for why in _scale(scale, by_id))
    yield from _twice("scales", [scale.name for scale in instrument.scales])
    yield from _twice("triage", [step.level for step in instrument.triage])
    for place, when in [
        *((f"triage.{number}.when", step.when) for number, step in enumerate(instrument.triage)),
        *((f"crisis.{number}.when", crisis.when) for number, crisis in enumerate(instrument.crisis)),
    ]:
        yield from [f"{place}.{why}" for why in _conditions(when, by_id)] if when else [f"{place}: says nothing"]
    if instrument.schedule is not None:
        yield from _schedule(instrument.schedule)


def _item(item: Item) -> Iterator[str]:
    ranged = item.kind in ("scale", "days")
    values = [option.value for option in item.options]
    if ranged and (item.min is None or item.max is None or item.min >= item.max):
        yield f"min, max: {item.kind} takes from min up to a greater max"
    elif ranged and not all(item.min <= value <= item.max for value in values):  # type: ignore[operator]
        yield "options: each is a point between min and max"
    if not ranged and (item.min is not None or item.max is not None):
        yield f"min, max: are not for {item.kind}"
    if item.kind == "options" and len(values) < 2:
        yield "options: there is nothing to choose from"
    if item.kind in ("yes-no", "text") and values:
        yield f"options: are not for {item.kind}"
    if values != sorted(set(values)):
        yield "options: each value once, the lowest first"


def _conditions(conditions: list[Condition], items: dict[str, Item]) -> Iterator[str]:
    for number, condition in enumerate(conditions):
        item = items.get(condition.item)
        if item is None:
            yield f"{number}.item: there is no question {condition.item} before it"
        elif item.kind == "text":
            yield f"{number}.item: {condition.item} is answered in words"
        elif not bounds(item)[0] <= condition.at_least <= bounds(item)[1]:
            yield f"{number}.at_least: {condition.item} takes from {bounds(item)[0]} to {bounds(item)[1]}"


def _scale(scale: Scale, by_id: dict[str, Item]) -> Iterator[str]:
    yield from _twice("items", scale.items)
    unfit = [id for id in scale.items if id not in by_id or by_id[id].kind == "text" or by_id[id].optional]
    if unfit or not scale.items:
        yield f"items: each is a question with a number that is not optional: {', '.join(unfit) or 'there is none'}"
        return
    if not set(scale.reverse) <= {id for id in scale.items if not by_id[id].asked_when}:
        yield "reverse: each is one of its items, and always asked"
    ranges = [bounds(by_id[id]) for id in scale.items]
    least, most = sum(low for low, _ in ranges), sum(high for _, high in ranges)
    if (scale.min, scale.max) != (least, most):
        yield f"min, max: its items add up to {least} to {most}"
    if scale.most_missing >= len(scale.items) or (scale.most_missing and len(set(ranges)) > 1):
        yield "most_missing: fewer than its items, which must all have the same range for their mean to say anything"
    cuts = [cut_off.at_least for cut_off in scale.cut_offs]
    if cuts and (cuts != sorted(set(cuts)) or cuts[0] != scale.min or cuts[-1] > scale.max):
        yield "cut_offs: each once, from min upwards and not beyond max"


def _schedule(schedule: Schedule) -> Iterator[str]:
    if (schedule.every_days is None) == (not schedule.on_days):
        yield "schedule: either every_days or on_days"
    if schedule.on_days != sorted(set(schedule.on_days)):
        yield "schedule.on_days: each once, the first one first"


def _twice(place: str, names: Iterable[str]) -> Iterator[str]:
    names = list(names)
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        yield f"{place}: twice there: {', '.join(repeated)}"
