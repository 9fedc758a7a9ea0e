"""Who is near, without knowing where anybody is. Pure: the standard library only.

An area is what a person typed: a postal prefix, a town. Two areas are as near as their beginnings agree.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from hashlib import sha256
from os.path import commonprefix
from typing import NamedTuple

ASKED_MOST = 3


class Offer(NamedTuple):
    """Somebody who may be asked."""

    person_id: str
    area: str
    languages: Collection[str]


def normal(area: str) -> str:
    """An area without what people type differently: case, accents, spaces and signs."""
    plain = unicodedata.normalize("NFKD", area.casefold())
    return "".join(letter for letter in plain if letter.isalnum())


def nearest(offers: Iterable[Offer], area: str | None, language: str, ask_id: str) -> list[str]:
    """Up to three of those who offered, the nearest first.

    Of two who are equally near, one who speaks the language comes first, and then whoever the id of the ask picks: so
    that not always the same are asked, and a repeat asks the same.
    """
    here = normal(area or "")

    def order(offer: Offer) -> tuple[int, bool, bytes]:
        near = len(commonprefix([here, normal(offer.area)]))
        speaks = any(tag.partition("-")[0] == language for tag in offer.languages)
        return -near, not speaks, sha256(f"{ask_id}\n{offer.person_id}".encode()).digest()

    return [offer.person_id for offer in sorted(offers, key=order)][:ASKED_MOST]
