"""What ``alongside risk`` does: fit, score, report. None of it needs settings, store or log."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from schemas.substances import Substance
from services.risk.score import SHIPPED, BadModel, Model
from services.risk.study.files import BadFiles, read, read_all
from services.risk.study.panel import decision_days

_EXTRA = {"numpy", "scipy", "sklearn", "matplotlib"}


class Refused(ValueError):
    """It cannot be done; the words say why, to an operator."""


def fit(folders: Sequence[Path], out: Path, substances: Sequence[Substance], on: date | None = None) -> list[str]:
    """Writes a model file fitted on the trials in ``folders``; answers with the main figures. Raises Refused.

    ``substances`` is what the people there recover from: the score stays silent about whoever recovers from others.
    """
    making = _needing_the_extra("services.risk.study.making")
    try:
        document = making.make(read_all(folders), on or datetime.now(UTC).date(), substances)
        Model.of(document)
        out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    except (BadFiles, making.CannotFit, OSError) as error:
        raise Refused(str(error)) from None
    return [
        f"{document['person_weeks']:,} person-weeks of {document['people']:,} people; written to {out}",
        *_figures("each person scored by a fit without that person", document["figures"]["folds"]),
        *(
            line
            for one in document["figures"]["across"]
            for line in _figures(f"fitted on {', '.join(one['fitted_on'])}, tried on {one['tried_on']}", one)
        ),
    ]


def score(folder: Path, out: Path, model: Path | None = None) -> str:
    """Writes ``who,day,p7,p14`` of every decision day. Raises Refused."""
    try:
        scorer = Model.read(model or SHIPPED)
        trial = read(folder)
        with out.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(("who", "day", "p7", "p14"))
            count = 0
            for who, person in trial.people.items():
                for day in decision_days(person.record):
                    p = scorer.score(person.record, day).p
                    table.writerow((who, day, repr(p[7]), repr(p[14])))
                    count += 1
    except (BadFiles, BadModel, OSError) as error:
        raise Refused(str(error)) from None
    return f"{count:,} decision days written to {out}"


def report(folder: Path, out: Path, model: Path | None = None) -> str:
    """Writes ``index.html``, its plots and ``report.json`` into the folder ``out``. Raises Refused."""
    examining, plots = (_needing_the_extra(f"services.risk.study.{name}") for name in ("report", "plots"))
    page = import_module("services.risk.study.page")
    try:
        found = examining.examine(read_all([folder]), Model.read(model or SHIPPED))
        out.mkdir(parents=True, exist_ok=True)
        plots.draw(found, out)
        (out / "report.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        (out / "index.html").write_text(page.page(found), encoding="utf-8")
    except (BadFiles, BadModel, examining.CannotFit, OSError) as error:
        raise Refused(str(error)) from None
    return f"{out / 'index.html'}"


def _needing_the_extra(module: str) -> Any:
    # One thread, set before numpy is imported: the same sums in the same order, wherever it runs.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in _EXTRA:
            raise
        raise Refused(f"{error.name} is not installed. This needs the extra: pip install alongside[fit]") from None


def _figures(how: str, figures: dict[str, Any]) -> Iterable[str]:
    yield f"{how}:"
    for horizon in ("7", "14"):
        row = figures[horizon]
        yield (
            f"  {horizon:>2} days  after 28 days without use AUC {row['auc_after_28_days']:.3f}"
            f" (days since last use alone {row['rival_auc_after_28_days']:.3f})"
            f"  all weeks {row['auc']:.3f} ({row['rival_auc']:.3f})"
            f"  calibration error {row['calibration_error']:.3f}  Brier {row['brier']:.4f}"
        )
