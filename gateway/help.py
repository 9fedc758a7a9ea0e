"""What the gateway says by itself to whoever asks for help while risk is away.

The words are static and the same for everybody, so nobody is asked who they are before they are shown.
"""

from __future__ import annotations

from flask import request

from infra.store import Raw
from infra.web import spoken
from schemas.crisis import LANGUAGES, LINES, static_help
from schemas.safety import CrisisLines

# Shorter than for anything else: risk itself waits for its store for less than two seconds.
PATIENCE_SECONDS = 4.0


def asks_for_help() -> bool:
    """Whether the current request is one that is always answered."""
    return request.method == "GET" and request.path in ("/v1/help", "/v1/crisis-lines")


def said_alone(region: str) -> Raw:
    """The answer to it. ``region`` is used where the request names none that there is."""
    if request.path == "/v1/crisis-lines":
        return CrisisLines(items=list(LINES[_region(region)])).dump()
    return static_help(_region(region), spoken(LANGUAGES)).dump()


def cards_alone(region: str) -> list[Raw]:
    """The cards that stand beside a refusal of anything of risk's, so that it is never an error alone."""
    return static_help(_region(region), spoken(LANGUAGES)).dump()["cards"]


def _region(region: str) -> str:
    asked = request.args.get("region", region)
    return asked if asked in LINES else region
