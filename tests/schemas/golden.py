"""Golden wire samples, one an event, kept for ever: what was written once must be readable for as long as a log lives.

``python -m tests.schemas.golden`` adds those that are missing, and never touches one that is there.
"""

from __future__ import annotations

import json
import types
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from schemas.base import Event, encode
from schemas.catalogue import EVENTS
from schemas.fields import Id, Moment, hints_of

FOLDER = Path(__file__).with_name("golden")
MOMENT = datetime(2026, 1, 31, 9, 30, 0, 123000, tzinfo=UTC)
REQUEST_ID = "request-1"


class Golden(NamedTuple):
    """A record as it lies on the log."""

    value: bytes
    headers: dict[str, str]


def path_of(kind: type[Event]) -> Path:
    return FOLDER / f"{kind.__name__}.json"


def read(kind: type[Event]) -> Golden:
    """The sample of an event. Raises ``AssertionError`` that tells how to make it."""
    path = path_of(kind)
    assert path.exists(), (
        f"{kind.__name__} has no golden sample. Run `python -m tests.schemas.golden` and commit {path.name} with it."
    )
    kept = json.loads(path.read_text())
    return Golden(kept["value"].encode(), kept["headers"])


def example(kind: type[Event]) -> Event:
    """The event that the sample of a kind holds: fixed values, every optional field filled."""
    return kind(**{name: _value(name, hint) for name, hint in hints_of(kind).items()})


def add_missing() -> list[str]:
    """Write the samples that are not there yet; their names."""
    FOLDER.mkdir(exist_ok=True)
    added = []
    for kind in EVENTS.values():
        path = path_of(kind)
        if not path.exists():
            value, headers = encode(example(kind), REQUEST_ID)
            path.write_text(json.dumps({"value": value.decode(), "headers": headers}, indent=2) + "\n")
            added.append(path.name)
    return added


def _value(name: str, hint: Any) -> Any:
    if hint == Id:
        return f"{name.replace('_', '-')}-1"
    if hint == Moment:
        return MOMENT
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _value(name, next(argument for argument in args if argument is not type(None)))
    if origin is list and get_origin(args[0]) is Literal:
        return list(get_args(args[0])[:2])
    if origin is list:
        return [f"{_value(name, args[0])}-{number}" for number in (1, 2)]
    if origin is Literal:
        return args[0]
    if origin is Annotated and args[0] is int:
        return 7
    if origin is Annotated and args[0] is str:
        return "alert"
    if hint is bool:
        return True
    raise TypeError(f"no golden value is known for {hint!r}")


if __name__ == "__main__":
    for name in add_missing():
        print(f"added {name}")
