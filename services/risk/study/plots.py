"""The plots of a report, as PNG files. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Told apart without colour too: by marker and line.
_OURS: dict[str, Any] = {"color": "#1b5e8a", "marker": "o", "linestyle": "-"}
_RIVAL: dict[str, Any] = {"color": "#b35900", "marker": "s", "linestyle": "--"}
_EVEN: dict[str, Any] = {"color": "#666666", "linestyle": ":", "linewidth": 1}
HORIZONS = ("7", "14")


def draw(report: Mapping[str, Any], folder: Path) -> None:
    """Writes every plot that ``PLOTS`` names into ``folder``."""
    for name, plot in PLOTS.items():
        figure = Figure(figsize=(9, 4.2), layout="constrained")
        plot(report, figure)
        # Without the library's version in it, the same report gives the same file.
        figure.savefig(folder / name, dpi=110, metadata={"Software": None})


def _after_a_month(report: Mapping[str, Any], figure: Figure) -> None:
    axes = figure.subplots()
    rows = [
        (f"{words}, {horizon} days", report[part][horizon])
        for part, words in (("after_28_days", "After 28 days without use"), ("all_weeks", "All weeks"))
        for horizon in HORIZONS
    ]
    for place, (_, row) in enumerate(rows):
        _bar(axes, -place + 0.12, row["auc"], _OURS)
        _bar(axes, -place - 0.12, row["rival_auc"], _RIVAL)
    # Said also where there are too few for a bar.
    axes.plot([], [], label="the model", **_OURS)
    axes.plot([], [], label="days since last use, alone", **_RIVAL)
    axes.set_yticks([-place for place in range(len(rows))], [words for words, _ in rows])
    axes.axvline(0.5, **_EVEN)
    axes.set_xlabel("AUC, with 95% of people-resamples (0.5 is a coin)")
    figure.legend(loc="outside upper center", ncols=2)


def _roc(report: Mapping[str, Any], figure: Figure) -> None:
    for axes, horizon in zip(figure.subplots(1, 2), HORIZONS, strict=True):
        for who, style, words in (("model", _OURS, "the model"), ("rival", _RIVAL, "days since last use, alone")):
            curve = report["roc"][horizon][who]
            line = {**style, "marker": None}
            axes.plot([x for x, _ in curve], [y for _, y in curve], label=words, **line)
        axes.plot([0, 1], [0, 1], **_EVEN)
        axes.set(title=f"{horizon} days", xlabel="1 - specificity", ylabel="sensitivity", aspect="equal")
        axes.legend(loc="lower right")


def _reliability(report: Mapping[str, Any], figure: Figure) -> None:
    for axes, horizon in zip(figure.subplots(1, 2), HORIZONS, strict=True):
        for stage, style in (("before", _RIVAL), ("after", _OURS)):
            bins = report["calibration"][horizon][stage]["bins"]
            axes.plot([b["said"] for b in bins], [b["came"] for b in bins], label=f"{stage} scaling", **style)
        axes.plot([0, 1], [0, 1], **_EVEN)
        axes.set(title=f"{horizon} days", xlabel="said", ylabel="came", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.legend(loc="upper left")


def _subgroups(report: Mapping[str, Any], figure: Figure) -> None:
    rows = [
        (g["group"], g) for question in report["subgroups"] for g in question["groups"] if g["7"]["auc"] is not None
    ]
    for axes, horizon in zip(figure.subplots(1, 2, sharey=True), HORIZONS, strict=True):
        for place, (_, group) in enumerate(rows):
            if group[horizon]["auc"] is not None:
                _bar(axes, -place, group[horizon]["auc"], _OURS)
        axes.axvline(report["all_weeks"][horizon]["auc"][0], **_EVEN)
        axes.set_yticks([-place for place in range(len(rows))], [words for words, _ in rows])
        axes.set(title=f"{horizon} days", xlabel="AUC; the line is everybody's")


def _alerts(report: Mapping[str, Any], figure: Figure) -> None:
    axes = figure.subplots()
    for horizon, style in zip(HORIZONS, (_OURS, _RIVAL), strict=True):
        points = report["operating_points"][horizon]
        x, y = [p["sensitivity"] for p in points], [p["alerts_per_coach_day"] for p in points]
        axes.plot(x, y, label=f"{horizon} days", **style)
    axes.set(xlabel="sensitivity", ylabel=f"alerts per coach per day, caseload {report['caseload']}")
    axes.legend(loc="upper left")


def _bar(axes: Axes, height: float, interval: list[float | None], style: dict[str, Any]) -> None:
    value, low, high = interval
    if value is None or low is None or high is None:
        return
    axes.plot([low, high], [height, height], color=style["color"], linestyle=style["linestyle"])
    axes.plot([value], [height], color=style["color"], marker=style["marker"], linestyle="")


PLOTS = {
    "after-28-days.png": _after_a_month,
    "roc.png": _roc,
    "reliability.png": _reliability,
    "subgroups.png": _subgroups,
    "alerts.png": _alerts,
}
