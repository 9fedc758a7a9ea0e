"""What every event and every body is made of, and how an event is written on the log.

An event is written as CloudEvents 1.0 in binary mode: the attributes in ``ce_*`` headers, the data as JSON. Reading is
tolerant (a field that this version does not know is ignored, a type it does not know is counted), writing is strict.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, NamedTuple, Self, dataclass_transform

import marshmallow
from marshmallow import RAISE, Schema, ValidationError, post_load

from schemas.fields import Id, Moment, Version, field_for, hints_of, written
from schemas.quick import Doubt, Quick


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Shape:
    """A frozen record with a marshmallow schema made from its own annotations.

    Attributes:
        Schema: loads a mapping into an instance and dumps an instance into a mapping. Unknown fields are refused.
    """

    Schema: ClassVar[type[Schema]]
    _schema: ClassVar[marshmallow.Schema]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        defaults = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
        members: dict[str, Any] = {}
        for name, hint in hints_of(cls).items():
            spec = defaults[name]
            required = spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING
            default = spec.default if spec.default_factory is dataclasses.MISSING else spec.default_factory
            members[name] = field_for(hint, required, None if required else default)
            # ``with_`` is ``with`` on the wire, which Python keeps for itself.
            members[name].data_key = name.removesuffix("_")

        def make(_: Schema, data: dict[str, Any], **__: Any) -> Shape:
            return cls(**data)

        members["make"] = post_load(make)
        members["Meta"] = type("Meta", (), {"unknown": RAISE})
        cls.Schema = type(cls.__name__, (Schema,), members)
        # Making one copies every field, which takes several times as long as the loading itself.
        cls._schema = cls.Schema()

    @classmethod
    def load(cls, data: Any, unknown: Literal["raise", "exclude"] = "raise") -> Self:
        """An instance from a mapping. Raises ``marshmallow.ValidationError`` naming each wrong field."""
        loaded: Self = cls._schema.load(data, unknown=unknown)
        return loaded

    def dump(self) -> dict[str, Any]:
        """The mapping that JSON holds."""
        dumped: dict[str, Any] = self._schema.dump(self)
        return dumped


class Hint(NamedTuple):
    """What a person's open app is told of an event, and the kind of push that a sleeping device gets.

    Attributes:
        name: the socket event of the contract, such as ``alert``; None where only a sleeping device is woken.
        fields: which fields of the event the hint carries.
        change: the word for what happened, or None where the contract has none.
        push: the kind of the push, or None where a device is not woken.
    """

    name: str | None
    fields: tuple[str, ...]
    change: str | None
    push: str | None


class Event(Shape):
    """A fact that has happened. It carries ids and numbers, never words that a person wrote.

    Attributes:
        topic: the log topic, the name of the service that owns the fact.
        key: the field whose value orders events: two with the same value are read in the order they were written.
        hint: what open apps are told, or None.
        id: of this event; the same event read twice has the same id.
        at: when it happened.
        version: of the aggregate that recorded it; a higher one is later.
    """

    topic: ClassVar[str]
    key: ClassVar[str]
    hint: ClassVar[Hint | None] = None

    _quick: ClassVar[Quick]

    id: Id
    at: Moment
    version: Version

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._quick = Quick(cls._schema)

    @classmethod
    def load(cls, data: Any, unknown: Literal["raise", "exclude"] = "raise") -> Self:
        if unknown == "exclude":
            try:
                return cls(**cls._quick.load(data))
            except Doubt:
                pass
        return super().load(data, unknown)

    def dump(self) -> dict[str, Any]:
        return self._quick.dump(self)

    @classmethod
    def type_name(cls) -> str:
        """The CloudEvents type: ``alongside.<topic>.<ClassName>``."""
        return f"alongside.{cls.topic}.{cls.__name__}"

    @property
    def partition_key(self) -> str:
        """The value that decides the partition."""
        return str(getattr(self, self.key))


class Unknown(Exception):
    """A record of a type that this version has no class for. Count it and pass on."""


class Unreadable(Exception):
    """A record of a known type that cannot be read. It goes to the dead letters, whole."""


_ATTRIBUTES = ("id", "at", "version")


def encode(event: Event, request_id: str | None = None) -> tuple[bytes, dict[str, str]]:
    """The value and the headers of an event on the log.

    Args:
        event: the fact.
        request_id: of the request that caused it, carried through to the logs of whoever reacts.
    Raises:
        marshmallow.ValidationError: for an event that its own schema would refuse; nothing wrong is ever written.
    """
    data = event.dump()
    # Made here, so there is nothing that it would not know.
    type(event).load(data, unknown="exclude")
    headers = {
        "ce_specversion": "1.0",
        "ce_type": event.type_name(),
        "ce_source": f"/{event.topic}",
        "ce_id": event.id,
        "ce_time": written(event.at),
        "ce_subject": event.partition_key,
        "ce_sequence": str(event.version),
        "content-type": "application/json",
    }
    if request_id:
        headers["ce_requestid"] = request_id
    body = {name: value for name, value in data.items() if name not in _ATTRIBUTES}
    return json.dumps(body, separators=(",", ":"), sort_keys=True).encode(), headers


def decode(value: bytes, headers: Mapping[str, str], catalogue: Mapping[str, type[Event]]) -> Event:
    """The event of a record.

    Args:
        value: JSON, as ``encode`` wrote it.
        headers: ``ce_*`` attributes.
        catalogue: the known types by name.
    Raises:
        Unknown: the type is not in the catalogue.
        Unreadable: it is, but the data does not fit it.
    """
    kind = catalogue.get(headers.get("ce_type", ""))
    if kind is None:
        raise Unknown(headers.get("ce_type", "(none)"))
    try:
        data = json.loads(value)
        if not isinstance(data, dict):
            raise Unreadable(f"{kind.type_name()}: the data is not an object")
        attributes = {
            "id": headers["ce_id"],
            "at": headers["ce_time"],
            "version": int(headers["ce_sequence"]),
        }
        return kind.load({**data, **attributes}, unknown="exclude")
    except (KeyError, ValueError, RecursionError, ValidationError) as error:
        raise Unreadable(f"{kind.type_name()}: {error}") from error


def now() -> datetime:
    """The moment, in UTC, to the millisecond that the wire keeps."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
