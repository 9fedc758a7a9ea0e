"""Events are many, so what is plainly right is read and written without asking marshmallow.

A check is compiled from the schema's own fields. It accepts or it doubts; what it doubts goes to the schema, which
alone says what is wrong. So both always agree on what is taken, and a test holds them together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from schemas.fields import EARLIEST, LATEST, Instant, Matches, String, Truth, Whole, written

_MILLISECONDS = 24


class Doubt(Exception):
    """Perhaps wrong, perhaps only unusual: ask the schema."""


Take = Callable[[Any], Any]


class Quick:
    """The compiled form of the schema of an event."""

    def __init__(self, schema: Schema) -> None:
        self._taken = [(name, _key(name, field), _taking(field), field) for name, field in schema.fields.items()]
        self._given = [(name, _key(name, field), _giving(name, field)) for name, field in schema.fields.items()]

    def load(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a mapping as Python has them; what the schema does not know is ignored.

        Raises:
            Doubt: let the schema load it.
        """
        loaded: dict[str, Any] = {}
        for name, key, take, field in self._taken:
            value = data.get(key)
            if value is None:
                if not (key in data and field.allow_none):
                    raise Doubt(name)
                loaded[name] = None
            else:
                loaded[name] = take(value)
        return loaded

    def dump(self, thing: Any) -> dict[str, Any]:
        """The mapping that JSON holds."""
        found = ((key, getattr(thing, name), give) for name, key, give in self._given)
        return {key: None if value is None else give(value) for key, value, give in found}


def _key(name: str, field: fields.Field[Any]) -> str:
    return field.data_key or name


def _taking(field: fields.Field[Any]) -> Take:
    rules = field.validators
    if type(field) is String and all(type(rule) in (Matches, validate.OneOf) for rule in rules) and rules:
        return _word(rules)
    if type(field) is Whole and all(type(rule) is validate.Range for rule in rules):
        return _whole(rules)
    if type(field) is Truth:
        return _truth
    if type(field) is Instant:
        return _moment
    if type(field) is fields.List and not rules:
        return _list(_taking(field.inner))
    return _asked(field)


def _word(rules: list[Any]) -> Take:
    patterns: list[Take] = [rule.regex.fullmatch for rule in rules if type(rule) is Matches]
    choices = [frozenset(rule.choices) for rule in rules if type(rule) is validate.OneOf]

    def take(value: Any) -> str:
        # The patterns and choices there are know nothing beyond ASCII, so neither NUL nor half a surrogate gets by.
        if type(value) is str and all(match(value) for match in patterns) and all(value in some for some in choices):
            return value
        raise Doubt

    return take


def _whole(rules: list[Any]) -> Take:
    lowest = max((rule.min for rule in rules if rule.min is not None), default=float("-inf"))
    highest = min((rule.max for rule in rules if rule.max is not None), default=float("inf"))

    def take(value: Any) -> int:
        if type(value) is int and lowest <= value <= highest:
            return value
        raise Doubt

    return take


def _truth(value: Any) -> bool:
    if value is True or value is False:
        return value
    raise Doubt


def _moment(value: Any) -> datetime:
    if type(value) is str and len(value) == _MILLISECONDS and value[10] == "T" and value[-1] == "Z":
        try:
            moment = datetime.fromisoformat(value).astimezone(UTC)
        except ValueError as error:
            raise Doubt from error
        if EARLIEST <= moment <= LATEST:
            return moment
    raise Doubt


def _list(inner: Take) -> Take:
    def take(values: Any) -> list[Any]:
        if type(values) is list:
            return [inner(value) for value in values]
        raise Doubt

    return take


def _asked(field: fields.Field[Any]) -> Take:
    def take(value: Any) -> Any:
        try:
            return field.deserialize(value)
        except ValidationError as error:
            raise Doubt from error

    return take


def _giving(name: str, field: fields.Field[Any]) -> Take:
    if type(field) in (String, Whole, Truth):
        return lambda value: value
    if type(field) is Instant:
        return lambda value: written(value) if isinstance(value, datetime) else value
    if type(field) is fields.List:
        inner = _giving(name, field.inner)
        return lambda values: [inner(value) for value in values]
    return lambda value: field.serialize(name, {name: value}, accessor=lambda found, key, *_: found[key])
