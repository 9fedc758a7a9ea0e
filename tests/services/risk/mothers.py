"""Days as clients tell them."""

from __future__ import annotations

from typing import Any

from schemas.base import Shape
from schemas.risk import NewCheckIn
from tests.world import an_id


def a_check_in(**answers: Any) -> dict[str, Any]:
    """A day on which all is well, but for what ``answers`` say."""
    return {"id": an_id(), "craving": 1, **answers}


def a_rough_day(**answers: Any) -> dict[str, Any]:
    """Craving so strong that it is ``high`` by itself."""
    return a_check_in(**{"craving": 9, **answers})


def a_desperate_day(**answers: Any) -> dict[str, Any]:
    """``urgent``: craving, no confidence, and a lapse."""
    return a_check_in(**{"craving": 10, "confidence": 0, "used": {"what": "heroin", "days": 2}, **answers})


def said(**answers: Any) -> NewCheckIn:
    """A check-in as the rules see it."""
    read: Shape = NewCheckIn.load(a_check_in(**answers))
    assert isinstance(read, NewCheckIn)
    return read
