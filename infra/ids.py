"""Ids that sort by the time they were made."""

from __future__ import annotations

from datetime import datetime
from uuid import NAMESPACE_URL, UUID, uuid5

import uuid_utils


def new_id() -> str:
    """A UUIDv7 (RFC 9562): 36 characters, later ones greater."""
    return str(uuid_utils.uuid7())


def id_at(moment: datetime) -> str:
    """The smallest UUIDv7 of a millisecond; ids made before it are less."""
    millis = int(moment.timestamp() * 1000)
    return str(UUID(int=(millis << 80) | (7 << 76) | (2 << 62)))


def derived_id(*parts: str) -> str:
    """The same id for the same parts, for ever: what a repeated event would make again."""
    return str(uuid5(NAMESPACE_URL, "\n".join(parts)))
