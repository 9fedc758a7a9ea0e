"""Filled-in forms, and instruments as an operator would write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from schemas.assessments import Instrument
from services.risk.instruments import SHIPPED, Shelf
from tests.world import an_id, settings_for

SHIPPED_FILES = sorted(path for path in SHIPPED.glob("*.json") if path.name != "schema.json")


def shelf_with(own: Path | None = None) -> Shelf:
    """The instruments that ship, with those of an operator's folder."""
    shelf = Shelf()
    shelf.fill(settings_for("mongodb://nowhere/", "sqlite:///nowhere", instruments=own and str(own)))
    return shelf


def shipped(key: str) -> Instrument:
    """One that ships, by its key."""
    return Instrument.load(json.loads((SHIPPED / f"{key}.json").read_text()))


def a_form(instrument: str, answers: dict[str, Any], **body: Any) -> dict[str, Any]:
    return {"id": an_id(), "instrument": instrument, "version": 1, "answers": answers, **body}


def a_phq_9(*numbers: int, **body: Any) -> dict[str, Any]:
    """Nine answers, or as many as are given; nothing troubles the person where none is."""
    return a_form("phq-9", numbered(numbers or (0,) * 9), **body)


def a_bam(answers: dict[str, Any] | None = None, **body: Any) -> dict[str, Any]:
    """The one in steps, on thirty quiet days."""
    quiet = {str(number): 0 for number in range(1, 18) if number != 7}
    return a_form("bam", {**quiet, **(answers or {})}, **{"variant": "likert", **body})


def a_screener(*yes: str, **body: Any) -> dict[str, Any]:
    """Every question that is asked, answered no but for ``yes``."""
    asked = ["1", "2", *(["3", "4", "5"] if {"1", "2"} & set(yes) else []), "6", *(["6a"] if "6" in yes else [])]
    return a_form("c-ssrs-screener", {item: item in yes for item in asked}, **body)


def numbered(numbers: tuple[int, ...] | list[int]) -> dict[str, int]:
    """Answers to questions 1, 2, 3 and so on."""
    return {str(place): number for place, number in enumerate(numbers, 1)}


def an_own_instrument(**changed: Any) -> dict[str, Any]:
    """A file of an operator's, with a question of every kind."""
    return {
        "id": "morning",
        "version": 1,
        "title": "How the morning was",
        "language": "en",
        "recall_days": None,
        "instructions": "Think of this morning.",
        "attribution": "Written here.",
        "licence": "Ours.",
        "source": "None: it is a made-up one.",
        "partial": "All are needed.",
        "items": [
            {"id": "rest", "text": "How rested were you?", "kind": "scale", "min": 0, "max": 10},
            {"id": "walks", "text": "How many days did you walk?", "kind": "days", "min": 0, "max": 7},
            {"id": "alone", "text": "Were you alone?", "kind": "yes-no"},
            {
                "id": "company",
                "text": "Would you have liked company?",
                "kind": "options",
                "options": [{"value": 1, "label": "A little"}, {"value": 3, "label": "A lot"}],
                "asked_when": [{"item": "alone", "at_least": 1}],
            },
            {"id": "more", "text": "What else?", "kind": "text", "optional": True},
        ],
        "scales": [
            {
                "name": "ease",
                "title": "Ease",
                "items": ["rest", "walks", "company"],
                "reverse": ["rest"],
                "min": 1,
                "max": 20,
                "cut_offs": [{"at_least": 1, "words": "Low"}, {"at_least": 12, "words": "High"}],
            }
        ],
        **changed,
    }


def an_operators_folder(folder: Path, *files: Any) -> Path:
    """A folder with these files in it: ``file-0.json`` and so on; a string is written as it is."""
    folder.mkdir(exist_ok=True)
    for number, content in enumerate(files):
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / f"file-{number}.json").write_text(text)
    return folder
