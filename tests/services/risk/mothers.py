"""Days as clients tell them."""

from __future__ import annotations

import re
from typing import Any

from schemas.base import Shape
from schemas.risk import NewCheckIn
from tests.world import an_id

UNKIND = re.compile(r"\b(?:addict\w*|abus\w*|clean|dirty|relaps\w*|junk\w*|fail\w*)\b", re.IGNORECASE)


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


def a_plan(**steps: Any) -> dict[str, Any]:
    """A safety plan with a line in each step, but for what ``steps`` say."""
    return {
        "warning_signs": ["I stop answering the phone"],
        "coping_strategies": ["walk along the canal", "cold water on my face"],
        "people_and_places": [{"name": "the library", "phone": None}],
        "people_to_ask": [{"name": "my sister", "phone": "+44 20 7946 0000"}, {"name": "Jo", "phone": "555 0100"}],
        "professionals": [{"name": "the clinic", "phone": "555 0199"}],
        "safer_surroundings": ["the key is with my sister"],
        "reasons": ["my daughter", "the sea in June"],
        **steps,
    }
