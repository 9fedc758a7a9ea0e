"""What the weeks behind a client say: the score, as a band and in words. Numbers stay here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from infra.settings import Settings
from schemas.risk import Band
from schemas.substances import SUBSTANCES, Substance
from services.risk.aim_rules import Aim, counts, lapse_days
from services.risk.diary_rules import Diary
from services.risk.rules import STEADY, Outlook
from services.risk.score import SHIPPED, BadModel, Model, Record, Scored, known_days

# The model was fitted on people of whom at least four weeks were known, and says nothing about less.
LEAST_KNOWN_DAYS = 28
HORIZON = 7
# A part of the score is worth a word where it moves the odds by a quarter and more.
_WORTH_A_WORD = 0.22
_MOST_WORDS = 2

WORDS: Mapping[str, str] = {
    "time_without_use": "It is not long since the last use that you told us of",
    "use_last_7_days": "There was use in the last seven days",
    "weeks_with_use": "There was use in several of the last weeks",
    "longest_stretch": "You are still on the way to a first long stretch without use",
    "earlier_lapses": "A lapse has come after a good stretch before",
    "time_unseen": "It has been a while since you were last in touch",
    "other_substances": "Other substances were used in the last weeks",
    "withdrawal": "You had withdrawal symptoms in the last two weeks",
}
ASSUMED = "Your answers of today weigh on the days ahead"


def model_of(settings: Settings) -> Model:
    """The model in use. Raises ``BadModel`` or ``OSError`` for a file of the operator's that cannot be used."""
    return _read(Path(settings.risk_model) if settings.risk_model else SHIPPED)


@lru_cache(maxsize=4)
def _read(path: Path) -> Model:
    model = Model.read(path)
    unknown = model.substances.difference(SUBSTANCES)
    if unknown:
        raise BadModel(f"{path.name}: substances: {', '.join(sorted(unknown))} is none of {', '.join(SUBSTANCES)}")
    return model


def cuts(model: Model, bands: Mapping[Band, float]) -> list[tuple[float, Band]]:
    """The probability from which on a week is called by each band, the heaviest first.

    Raises:
        ValueError: a sensitivity is outside the model's table.
    """
    return [(model.cut(share, HORIZON), name) for name, share in list(bands.items())[::-1]]


def record_of(diary: Diary, aim: Aim | None) -> Record:
    """The record that the score reads: use is what is a lapse by the client's own aim, within it is none."""
    aimed_at = [kind for kind in diary.used if counts(kind, aim)]
    return Record(
        use=lapse_days(diary.used_of(aimed_at), aim),
        other=diary.used_of(set(diary.used) - set(aimed_at)),
        kept=sorted(diary.kept),
        missed=sorted(diary.missed),
        medication=sorted(diary.medication),
        withdrawal=sorted(diary.withdrawal.items()),
    )


def recovers_from(diary: Diary, aim: Aim | None) -> set[Substance]:
    """What the client's aim is about; where no aim is known, what the client has told of."""
    return set(aim.substances) if aim else set(diary.used)


def outlook(settings: Settings, record: Record, about: set[Substance], day: int, answers: Mapping[str, Any]) -> Outlook:
    """The band of the weeks behind with today's ``answers``, and its weightiest reasons.

    ``steady`` and no reasons where the model has nothing to say: fewer than 28 days are known, or it was fitted on
    people who recover from something else.
    """
    model = model_of(settings)
    if known_days(record, day) < LEAST_KNOWN_DAYS or about.isdisjoint(model.substances):
        return STEADY
    scored = model.score(record, day, today_of(answers), settings.assumed_steps)
    band = next((name for cut, name in cuts(model, settings.bands) if scored.p[HORIZON] >= cut), None)
    return STEADY if band is None else Outlook(band, _reasons(scored))


def today_of(answers: Mapping[str, Any]) -> dict[str, float | None]:
    """Those answers of a check-in that the score knows, by its names; of hungry, angry, lonely and tired the most."""
    halt = [answers[felt] for felt in ("hungry", "angry", "lonely", "tired") if answers.get(felt) is not None]
    plain = {name: answers.get(name) for name in ("confidence", "craving", "risky_situation", "mood")}
    return {**plain, "halt": max(halt, default=None)}


def _reasons(scored: Scored) -> list[str]:
    heaviest: Sequence[tuple[str, float]] = sorted(scored.parts.items(), key=lambda part: -part[1])
    words = [WORDS[name] for name, part in heaviest if part >= _WORTH_A_WORD][:_MOST_WORDS]
    return words or [ASSUMED]
