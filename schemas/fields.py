"""The kinds of value that a schema is made of, each an ``Annotated`` type that carries its marshmallow field.

>>> class Hello(Shape):
...     person_id: Id
...     at: Moment
"""

from __future__ import annotations

import copy
import types
import typing
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from zoneinfo import available_timezones

from marshmallow import ValidationError, fields, missing, validate

# The default of a field that is left out where there is nothing to say.
ABSENT: Any = missing

# Whatever its zone, a clock can show every moment between.
EARLIEST = datetime.min.replace(tzinfo=UTC) + timedelta(days=1)
LATEST = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)
_NO_MOMENT = "Not a moment that the calendars of all zones can hold."

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"


def _readable(text: str) -> None:
    """Refuse what no phone can type and no store can keep: NUL and half of a surrogate pair."""
    if "\x00" in text:
        raise ValidationError("Must not contain a NUL character.")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValidationError("Must be valid Unicode: half of a surrogate pair was found.")


class String(fields.String):
    """A string that can be written in UTF-8."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        _readable(text)
        return text


class Instant(fields.AwareDateTime):
    """A moment in UTC, written ``2026-01-31T09:30:00.123Z``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format="iso", default_timezone=None, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        moment = super()._deserialize(value, attr, data, **kwargs)
        try:
            moment = moment.astimezone(UTC)
        except OverflowError as error:
            raise ValidationError(_NO_MOMENT) from error
        if not EARLIEST <= moment <= LATEST:
            raise ValidationError(_NO_MOMENT)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    def _serialize(self, value: datetime | str | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return written(value) if isinstance(value, datetime) else value


class Whole(fields.Integer):
    """A whole number as JSON knows it: neither ``true``, nor ``"3"``, nor ``3.5``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strict=True, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, (bool, str)):
            raise self.make_error("invalid")
        return super()._deserialize(value, attr, data, **kwargs)


class Number(fields.Float):
    """A finite number as JSON knows it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> float:
        if isinstance(value, (bool, str)):
            raise self.make_error("invalid")
        return super()._deserialize(value, attr, data, **kwargs)


class Truth(fields.Boolean):
    """``true`` or ``false``, never a word or a number that stands for one."""

    truthy = {True}
    falsy = {False}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class YesOrScale(fields.Field[Any]):
    """``true``, ``false`` or 0 to 10: a phone may ask "were you in a risky situation" either way."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool | int:
        if isinstance(value, bool):
            return value
        if isinstance(value, int) and 0 <= value <= 10:
            return value
        raise ValidationError("Must be true, false or a whole number from 0 to 10.")


class Matches(validate.Regexp):
    """The whole value matches; ``$`` alone would let a trailing line break through."""

    def __call__(self, value: Any) -> Any:
        if self.regex.fullmatch(value) is None:
            raise ValidationError(self._format_error(value))
        return value


def _zone(name: str) -> None:
    if name not in available_timezones():
        raise ValidationError("Must be an IANA time zone, such as Europe/London.")


def _date(day: str) -> None:
    try:
        if date.fromisoformat(day).isoformat() == day:
            return
    except ValueError:
        pass
    raise ValidationError("Must be a day of the calendar, YYYY-MM-DD.")


def _of(kind: str) -> dict[str, Any]:
    return {"description": kind}


Id = Annotated[
    str,
    String(
        validate=Matches(ID_PATTERN, error="Must be an id: 1 to 64 of A-Z, a-z, 0-9, '.', '_', ':' and '-'."),
        metadata=_of("An opaque id; the server makes UUIDv7, a phone may bring its own."),
    ),
]
Moment = Annotated[datetime, Instant(metadata=_of("RFC 3339, in UTC with Z."))]
Scale = Annotated[int, Whole(validate=validate.Range(0, 10), metadata=_of("0 none to 10 most."))]
RiskySituation = Annotated[bool | int, YesOrScale(metadata=_of("true, false, or 0 none to 10 most."))]
Hours = Annotated[float, Number(validate=validate.Range(0, 24), metadata=_of("Hours, 0 to 24."))]
Days = Annotated[int, Whole(validate=validate.Range(0, 366), metadata=_of("Days, 0 to 366."))]
DaysPerWeek = Annotated[int, Whole(validate=validate.Range(0, 7), metadata=_of("Days of a week, 0 to 7."))]
Level = Annotated[int, Whole(validate=validate.Range(0, 3), metadata=_of("0 none to 3 severe."))]
Count = Annotated[int, Whole(validate=validate.Range(0, 2**53))]
PageSize = Annotated[int, Whole(validate=validate.Range(1, 200), metadata=_of("How many at most, 1 to 200."))]
Version = Annotated[int, Whole(validate=validate.Range(1, 2**53))]
Text = Annotated[str, String(validate=validate.Length(1, 8000), metadata=_of("Written words, 1 to 8,000 characters."))]
Line = Annotated[str, String(validate=validate.Length(1, 200), metadata=_of("One line, 1 to 200 characters."))]
Login = Annotated[
    str,
    String(
        validate=Matches(
            r"^[a-z0-9][a-z0-9._@+-]{1,99}$",
            error="Must be 2 to 100 of a-z, 0-9, '.', '_', '@', '+' and '-'.",
        )
    ),
]
Password = Annotated[str, String(validate=validate.Length(10, 200), load_only=True)]
Secret = Annotated[str, String(validate=validate.Length(1, 4096), load_only=True)]
Zone = Annotated[str, String(validate=_zone, metadata=_of("An IANA time zone."))]
Language = Annotated[
    str,
    String(
        validate=Matches(r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", error="Must be a language tag, such as en."),
        metadata=_of("BCP 47."),
    ),
]
WallTime = Annotated[
    str,
    String(validate=Matches(r"^([01]\d|2[0-3]):[0-5]\d$", error="Must be HH:MM."), metadata=_of("HH:MM.")),
]
WallEnd = Annotated[
    str,
    String(
        validate=Matches(r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$", error="Must be HH:MM, at most 24:00."),
        metadata=_of("HH:MM, up to 24:00."),
    ),
]
Date = Annotated[str, String(validate=_date, metadata=_of("YYYY-MM-DD."))]


Figures = Annotated[dict[str, Any], fields.Dict(keys=String(), metadata=_of("Figures by name, nested."))]


def is_text(value: Any) -> bool:
    """Whether a value would be taken for a ``Text``."""
    try:
        field_for(Text, True, None).deserialize(value)
    except ValidationError:
        return False
    return True


NO_ATTACHMENTS = "Attachments cannot be sent: a message is written words."


def _no_attachments(_: Any) -> None:
    raise ValidationError(NO_ATTACHMENTS)


NoAttachments = Annotated[None, fields.Raw(validate=_no_attachments, allow_none=False, metadata=_of("Refused."))]


def written(moment: datetime) -> str:
    """A moment as the contract writes it: RFC 3339, UTC, milliseconds, ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def field_for(hint: Any, required: bool, default: Any) -> fields.Field[Any]:
    """The marshmallow field of a type hint.

    Args:
        hint: ``Annotated[T, field]``, ``X | None``, ``list[X]``, ``dict[str, X]``, ``Literal[...]``, a plain
            type or a class with a ``Schema``.
        required: whether a body without it is refused.
        default: what is taken when it is absent and not required.
    Raises:
        TypeError: for a hint that no field is known for; found when the class is declared.
    """
    field, nullable = _bare_field(hint)
    field.required = required
    field.allow_none = nullable
    if not required:
        field.load_default = default
        field.dump_default = default
    return field


_PLAIN: dict[Any, type[fields.Field[Any]]] = {
    str: String,
    int: Whole,
    float: Number,
    bool: Truth,
    datetime: Instant,
}


def _bare_field(hint: Any) -> tuple[fields.Field[Any], bool]:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return copy.deepcopy(next(a for a in args if isinstance(a, fields.Field))), False
    if origin in (Union, types.UnionType):
        (inner,) = [a for a in args if a is not type(None)]
        return _bare_field(inner)[0], True
    if origin is list:
        return fields.List(_bare_field(args[0])[0]), False
    if origin is dict:
        return fields.Dict(keys=String(), values=_bare_field(args[1])[0]), False
    if origin is Literal:
        return String(validate=validate.OneOf(args)), False
    if hint in _PLAIN:
        return _PLAIN[hint](), False
    if hasattr(hint, "Schema"):
        return fields.Nested(hint.Schema), False
    raise TypeError(f"no field is known for {hint!r}")


def hints_of(cls: type) -> dict[str, Any]:
    """The declared attributes of a class, in order, class variables left out."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {name: hint for name, hint in hints.items() if get_origin(hint) is not typing.ClassVar}
