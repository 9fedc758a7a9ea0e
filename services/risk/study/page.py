"""A report as one page of HTML that loads nothing from elsewhere. The standard library only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

HORIZONS = ("7", "14")
# What others published, for the same kind of question.
PUBLISHED = (
    ("Chih 2014", "Bayesian network on weekly self-report, alcohol, 152 people", "one week", ".829, and .912 external"),
    ("Wyant 2025", "brief daily self-report, alcohol, 151 people", "two weeks ahead", ".85"),
)
CITATION = (
    "Data: public.ctn0094data 1.0.6 (MIT licence, 2023, copyright public.ctn0094data authors: Balise, Hu, Odom,"
    " Calderon, Luo, Feaster and the CTN-0094 team), which harmonises trials CTN-0027 and CTN-0030 of the Clinical"
    " Trials Network of NIDA (United States). The shipped model was fitted on those two."
)
LIMITS = (
    "The shipped model was fitted on people in treatment for opioid dependence in the United States, and no others.",
    "Observed weeks only: from day 28 to two weeks before somebody's last visit. Who stopped coming is not in it.",
    "No claim is made for alcohol, or for people who are not in care, until an operator's own data says so.",
    "Race, sex, ethnicity and age are here to look for unequal service. They are never inputs of the score.",
    "A score is for a coach's attention. Nothing is refused to anybody because of it.",
)
_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1rem; color: #1a1a1a; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: bold; padding: .3rem 0; }
th, td { border-bottom: 1px solid #999; padding: .25rem .6rem; text-align: right; vertical-align: top; }
th[scope=row], td.words { text-align: left; font-weight: normal; }
img { max-width: 100%; height: auto; }
.wide { overflow-x: auto; }
"""


def page(report: Mapping[str, Any]) -> str:
    """The whole page; its plots lie beside it."""
    sections = (
        _first(report),
        _cuts(report),
        _reliability(report),
        _calibration(report),
        _subgroups(report),
        _across(report),
        _horizons(report),
        _alerts(report),
        _published(report),
        _tried(report),
        _today(report),
        _data(report),
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>How far the risk score can be trusted</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        "<h1>How far the risk score can be trusted</h1>\n"
        + _paragraph(_whom(report))
        + _list(LIMITS)
        + "".join(sections)
        + "</main>\n</body>\n</html>\n"
    )


def _whom(report: Mapping[str, Any]) -> str:
    people = sum(trial["people"] for trial in report["trials"])
    weeks = sum(trial["person_weeks"] for trial in report["trials"])
    names = ", ".join(trial["name"] for trial in report["trials"])
    how = (
        "The model was fitted on these people. So each of them is scored here by fits on the others (five folds by"
        " person)."
        if report["seen"]
        else "These are not the files that the model was fitted on. The people in them are scored by it as it is, with"
        " nothing fitted again. Where they are the same people, told again in other files, these figures flatter it."
    )
    return f"{weeks:,} person-weeks of {people:,} people ({names}). {how}"


def _first(report: Mapping[str, Any]) -> str:
    return (
        _heading("After 28 days without use")
        + _paragraph(
            "Use follows use: whoever used yesterday is likely to use this week, and no model is needed to say so."
            " The question that helps somebody in recovery is who will lapse after a month without. It is the hard"
            " one. An AUC is how often a week before a lapse scores higher than a week before none: 0.5 is a coin, 1"
            " is never wrong. The rival to beat is one number with nothing fitted, the days since the last use."
        )
        + _compared("AUC after 28 days without use", report["after_28_days"])
        + _plot(
            "after-28-days.png", "The model's AUC and the rival's with their intervals; the figures are in the tables."
        )
    )


def _compared(caption: str, part: Mapping[str, Any]) -> str:
    rows = [
        (
            f"{horizon} days",
            f"{part[horizon]['weeks']:,}",
            f"{part[horizon]['people']:,}",
            f"{part[horizon]['lapses']:,}",
            _interval(part[horizon]["auc"]),
            _interval(part[horizon]["rival_auc"]),
            _interval(part[horizon]["difference"]),
        )
        for horizon in HORIZONS
    ]
    head = ("Horizon", "Weeks", "People", "With a lapse", "The model", "Days since last use, alone", "Difference")
    return _table(f"{caption}, with 95% of people-resamples", head, rows)


def _cuts(report: Mapping[str, Any]) -> str:
    return (
        _heading("What each cut catches, and what it costs")
        + _paragraph(
            "Sensitivity is the share of weeks before a lapse that a cut flags; specificity the share of the others"
            " that it leaves in peace."
        )
        + "".join(
            _table(
                f"Sensitivity and specificity at each cut, {horizon} days",
                ("Sensitivity", "Cut (probability)", "Specificity", "Weeks flagged"),
                [
                    (_two(p["sensitivity"]), _three(p["cut"]), _three(p["specificity"]), _percent(p["flagged"]))
                    for p in report["operating_points"][horizon]
                ],
            )
            for horizon in HORIZONS
        )
        + _plot("roc.png", "ROC curves of the model and of the rival at both horizons.")
    )


def _reliability(report: Mapping[str, Any]) -> str:
    rows = [
        (
            f"{horizon} days",
            *(_four(report["calibration"][horizon][stage]["brier"]) for stage in ("before", "after")),
        )
        for horizon in HORIZONS
    ]
    return (
        _heading("Do the probabilities hold")
        + _paragraph(
            "Of the weeks that are given 30%, about 30% should be followed by a lapse. One model makes the scores,"
            " and Platt's scaling makes of them a probability for each horizon; before scaling both horizons have"
            " the same. The Brier score is the mean squared distance between what was said and what came: lower is"
            " better."
        )
        + _table("Brier score", ("Horizon", "Before scaling", "After scaling"), rows)
        + _plot("reliability.png", "What was said against what came, in ten bins, before and after scaling.")
    )


def _calibration(report: Mapping[str, Any]) -> str:
    rows = [
        (
            f"{horizon} days, {stage} scaling",
            _three(report["calibration"][horizon][stage]["calibration_error"]),
            _three(report["calibration"][horizon][stage]["calibration_error_equal_width"]),
        )
        for horizon in HORIZONS
        for stage in ("before", "after")
    ]
    return (
        _heading("Calibration error")
        + _paragraph("The mean distance between what was said and what came, over ten bins.")
        + _table("Expected calibration error", ("Horizon", "Bins of equal count", "Bins of equal width"), rows)
    )


def _subgroups(report: Mapping[str, Any]) -> str:
    head: tuple[str, ...] = ("Group", "People", "Weeks")
    head += tuple(words for horizon in HORIZONS for words in (f"AUC, {horizon} days", "Said", "Came"))
    parts = [
        _heading("The same for everybody?"),
        _paragraph(
            "The score does not know who somebody is in these respects. It can serve groups unequally all the same."
            f" Intervals come from resampling people {report['resamples']} times; where a group is too small for one,"
            " none is given."
        ),
    ]
    for question in report["subgroups"]:
        rows = [
            (
                group["group"],
                f"{group['people']:,}",
                f"{group['weeks']:,}",
                *(
                    words
                    for horizon in HORIZONS
                    for words in (
                        _interval(group[horizon]["auc"]),
                        _percent(group[horizon]["said"]),
                        _percent(group[horizon]["came"]),
                    )
                ),
            )
            for group in question["groups"]
        ]
        parts.append(_table(f"By {question['question']} (not known: {question['not_known']} people)", head, rows))
        parts.append(_paragraph(_largest(question)))
    parts.append(_plot("subgroups.png", "The AUC in each group with its interval; the figures are in the tables."))
    return "".join(parts)


def _largest(question: Mapping[str, Any]) -> str:
    def words(of: Mapping[str, Any]) -> str:
        found = [
            f"{_interval(of[horizon]['auc'])} at {horizon} days ({of[horizon]['best']} over {of[horizon]['worst']})"
            for horizon in HORIZONS
            if of[horizon] is not None
        ]
        return " and ".join(found) or "none that these numbers allow"

    within = "".join(f" Within {one['trial']}: {words(one)}." for one in question["within"])
    return f"Largest difference by {question['question']}: {words(question['difference'])}.{within}"


def _across(report: Mapping[str, Any]) -> str:
    words = (
        "Fitted on one trial, tried on the other: other people, clinics, medication and visits. Nothing is fitted"
        " again."
        if report["across"]
        else "These figures need two trials or more, and here is one."
    )
    rows = [
        (
            f"{', '.join(one['fitted_on'])} → {one['tried_on']}, {horizon} days",
            _three(one[horizon]["auc_after_28_days"]),
            _three(one[horizon]["rival_auc_after_28_days"]),
            _interval(one[horizon]["gain_after_28_days"]),
            _three(one[horizon]["auc"]),
            _three(one[horizon]["rival_auc"]),
            _three(one[horizon]["calibration_error"]),
            _three(one[horizon]["calibration_error_equal_width"]),
            _four(one[horizon]["brier"]),
        )
        for one in report["across"]
        for horizon in HORIZONS
    ]
    head = (
        "Fitted on → tried on",
        "AUC after 28 days",
        "Rival's",
        "Difference",
        "AUC, all weeks",
        "Rival's",
        "Calibration error",
        "with equal widths",
        "Brier",
    )
    return _heading("Does it travel") + _paragraph(words) + (_table("Across trials", head, rows) if rows else "")


def _horizons(report: Mapping[str, Any]) -> str:
    return (
        _heading("All weeks, both horizons")
        + _paragraph(
            "The headline that such models are usually given. Most of it is that use follows use: see how much the"
            " rival gets."
        )
        + _compared("AUC over all weeks", report["all_weeks"])
    )


def _alerts(report: Mapping[str, Any]) -> str:
    caseload = report["caseload"]
    rows = [
        (
            _two(seven["sensitivity"]),
            *(
                words
                for point in (seven, fourteen)
                for words in (_percent(point["flagged"]), _two(point["alerts_per_coach_day"]))
            ),
        )
        for seven, fourteen in zip(*(report["operating_points"][horizon] for horizon in HORIZONS), strict=True)
    ]
    head = ("Sensitivity", "Flagged, 7 days", "Alerts, 7 days", "Flagged, 14 days", "Alerts, 14 days")
    return (
        _heading("What it asks of a coach")
        + _paragraph(
            f"Alerts per coach per day = a caseload of {caseload} × the share of weeks that a cut flags ÷ 7 days."
            " Every flagged week is counted; a week that follows a flagged one joins the alert that is open, so a"
            " coach is asked less often."
        )
        + _table(f"Alerts per coach per day, caseload {caseload}", head, rows)
        + _plot("alerts.png", "Alerts per coach per day against sensitivity, at both horizons.")
    )


def _published(report: Mapping[str, Any]) -> str:
    ours = [
        (
            "This report",
            "logistic model on a client's own record, opioids",
            f"{horizon} days ahead",
            f"{_three(report['all_weeks'][horizon]['auc'][0])}, and"
            f" {_three(report['after_28_days'][horizon]['auc'][0])} after 28 days without use",
        )
        for horizon in HORIZONS
    ]
    return (
        _heading("Beside what others published")
        + _table("AUC", ("Study", "What from", "Horizon", "AUC"), [*PUBLISHED, *ours], words=True)
        + _paragraph(
            "These are not a race. They asked people how they were, several questions a week or several times a day,"
            " and predicted alcohol; the records here hold visits, tests and what people told of past days, and none"
            " of craving, confidence or risky situations. They judged moments in which most people were well; here"
            " more than a third of the weeks are followed by use, mostly by people who used the week before, which"
            " makes a high AUC easy. So ours after 28 days without use is the figure to remember; theirs over all"
            " moments are not its equal."
        )
    )


def _tried(report: Mapping[str, Any]) -> str:
    if not report["tried"]:
        return ""
    places = [change["tried_on"] for change in report["tried"][0]["change"]]
    head = ("Input", *(words for place in places for words in (f"AUC on {place}", f"after 28 days on {place}")))

    def rows(what: str) -> list[tuple[str, ...]]:
        return [
            (
                one["name"].replace("_", " "),
                *(
                    words
                    for change in one["change"]
                    for words in (_signed(change["auc"]), _interval(change["auc_after_28_days"], _signed))
                ),
            )
            for one in report["tried"]
            if one["what"] == what
        ]

    return (
        _heading("Why these inputs")
        + _paragraph(
            "At 7 days, fitted on the other trials and tried on the one named. Doses, injections and visit schedules"
            " differ from trial to trial and from service to service; what did not travel was left out, however well"
            " it did at home."
        )
        + _table("What each input brings (with it, less without it)", head, rows("input"))
        + _table("What was tried and left out (would bring)", head, rows("candidate"))
    )


def _today(report: Mapping[str, Any]) -> str:
    rows = [
        (
            answer["name"].replace("_", " "),
            answer["status"],
            ", ".join(f"{_signed(add)} from {start:g} on" for start, add in answer["steps"]),
        )
        for answer in report["today"]["answers"]
    ]
    return (
        _heading("Today's answers")
        + _paragraph(
            "What a check-in adds to the log-odds of both horizons, by its weight of 0 to 10 (of confidence and"
            " mood, a low answer weighs most). What is assumed was measured by nobody here: it follows the order"
            " that Wyant 2025 found, it never lowers a score, it can be switched off, and nothing above contains it."
        )
        + _table("Steps", ("Answer", "Status", "Log-odds"), rows, words=True)
    )


def _data(report: Mapping[str, Any]) -> str:
    model = report["model"]
    rows = [
        (
            trial["name"],
            f"{trial['people']:,}",
            f"{trial['person_weeks']:,}",
            f"{trial['after_28_days']:,}",
            *(_percent(trial["lapsed"].get(horizon)) for horizon in HORIZONS),
        )
        for trial in report["trials"]
    ]
    fitted = ", ".join(source["name"] for source in model["data"])
    return (
        _heading("Data and model")
        + _table(
            "The panel",
            ("Trial", "People", "Weeks", "After 28 days", "Lapse within 7 days", "within 14 days"),
            rows,
        )
        + _paragraph(
            f"The model is of {model['date']}, fitted on {model['person_weeks']:,} weeks of {model['people']:,}"
            f" people ({fitted}). report.json holds these figures and the fingerprints of the files."
        )
        + _paragraph(CITATION)
    )


def _heading(words: str) -> str:
    return f"<h2>{escape(words)}</h2>\n"


def _paragraph(words: str) -> str:
    return f"<p>{escape(words)}</p>\n"


def _list(items: Iterable[str]) -> str:
    return "<ul>\n" + "".join(f"<li>{escape(item)}</li>\n" for item in items) + "</ul>\n"


def _plot(name: str, words: str) -> str:
    return f'<p><img src="{name}" alt="{escape(words)}"></p>\n'


def _table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], words: bool = False) -> str:
    """The first cell of a row is its heading; ``words``: the others are words too."""
    tag = '<td class="words">' if words else "<td>"
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"{tag}{escape(cell)}</td>" for cell in row[1:])}</tr>\n'
        for row in rows
    )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}">\n<table>\n'
        ""
        f"<caption>{escape(caption)}</caption>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>\n"
    )


def _figure(value: float | None, form: str) -> str:
    return "too few" if value is None else format(value, form)


def _two(value: float | None) -> str:
    return _figure(value, ".2f")


def _three(value: float | None) -> str:
    return _figure(value, ".3f")


def _four(value: float | None) -> str:
    return _figure(value, ".4f")


def _signed(value: float | None) -> str:
    return _figure(value, "+.3f")


def _percent(value: float | None) -> str:
    return _figure(value, ".1%")


def _interval(values: Sequence[float | None] | None, form: Any = _three) -> str:
    if values is None or any(value is None for value in values):
        return "too few"
    value, low, high = map(form, values)
    return f"{value} ({low} to {high})"
