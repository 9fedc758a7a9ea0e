"""Alumni networks and what they tell their members."""

from __future__ import annotations

from typing import ClassVar

from schemas.base import Event, Hint, Shape
from schemas.fields import Count, Id, Line, Moment, Text, Version


class NetworkFounded(Event):
    """An organiser opened a network."""

    topic: ClassVar[str] = "alumni"
    key: ClassVar[str] = "network_id"
    network_id: Id
    by: Id


class MemberJoined(Event):
    """A person joined of their own accord."""

    topic: ClassVar[str] = "alumni"
    key: ClassVar[str] = "network_id"
    network_id: Id
    person_id: Id


class MemberLeft(Event):
    """A person left."""

    topic: ClassVar[str] = "alumni"
    key: ClassVar[str] = "network_id"
    network_id: Id
    person_id: Id


class NoticePosted(Event):
    """An organiser has something to tell."""

    topic: ClassVar[str] = "alumni"
    key: ClassVar[str] = "network_id"
    network_id: Id
    notice_id: Id
    by: Id


class NoticeAddressed(Event):
    """One share of the members is told of a notice. Written before shares had numbers, and still read."""

    topic: ClassVar[str] = "alumni"
    key: ClassVar[str] = "notice_id"
    hint: ClassVar[Hint | None] = Hint("notice", ("network_id", "notice_id"), None, "notice")
    network_id: Id
    notice_id: Id
    tell: list[Id]


class NoticeShareAddressed(Event):
    """One share of the members is told of a notice; a large network takes several.

    Shares need no order among themselves, so each has a key of its own, and several push workers take part. ``share``
    counts from 1, and ``last`` is true for the last one.
    """

    topic: ClassVar[str] = "alumni"
    key: ClassVar[str] = "share_id"
    hint: ClassVar[Hint | None] = Hint("notice", ("network_id", "notice_id"), None, "notice")
    network_id: Id
    notice_id: Id
    share_id: Id
    share: Version
    last: bool
    tell: list[Id]


class NewNetwork(Shape):
    id: Id
    name: Line


class NetworkOut(Shape):
    id: Id
    name: Line
    members: Count
    joined: bool


class NetworkPage(Shape):
    items: list[NetworkOut]
    next: str | None


class NewNotice(Shape):
    id: Id
    title: Line
    body: Text


class NoticeOut(Shape):
    id: Id
    network_id: Id
    title: Line
    body: Text
    at: Moment


class NoticePage(Shape):
    items: list[NoticeOut]
    next: str | None
