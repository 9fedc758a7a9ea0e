"""What answers say: scores against what is published, and within their ranges whatever is answered."""

from __future__ import annotations

import itertools
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.assessments import Instrument, Item, ScaleScore, Schedule
from services.risk.assessment_rules import Finding, WrongAnswers, assess, bounds, due_since, holds
from tests.services.risk.forms import SHIPPED_FILES, a_bam, a_phq_9, a_screener, an_own_instrument, numbered, shipped

ALL = {path.stem: shipped(path.stem) for path in SHIPPED_FILES}
PHQ_9, GAD_7, AUDIT_C, BARC_10 = (ALL[key] for key in ("phq-9-1", "gad-7-1", "audit-c-1", "barc-10-1"))
SCREENER, STEPS, IN_DAYS = (ALL[key] for key in ("c-ssrs-screener-1", "bam-likert-1", "bam-continuous-1"))
OWN = Instrument.load(an_own_instrument())


def total(instrument: Instrument, *numbers: int) -> ScaleScore:
    """The only scale of an instrument whose questions are answered with these."""
    (score,) = assess(instrument, numbered(numbers)).scales
    return score


def adding_up_to(sum_: int, count: int, most: int, least: int = 0) -> list[int]:
    """``count`` answers from ``least`` to ``most`` with this sum."""
    answers = [least] * count
    for place in range(count):
        answers[place] += min(most - least, sum_ - sum(answers))
    assert sum(answers) == sum_
    return answers


def problems(instrument: Instrument, answers: dict[str, Any]) -> dict[str, list[str]]:
    with pytest.raises(WrongAnswers) as refused:
        assess(instrument, answers)
    return refused.value.problems


def found_or_refused(instrument: Instrument, answers: dict[str, Any]) -> Finding | dict[str, list[str]]:
    try:
        return assess(instrument, answers)
    except WrongAnswers as error:
        return error.problems


# -- against what is published


@pytest.mark.parametrize("sum_", range(28))
def test_phq_9_is_called_as_published(sum_: int) -> None:
    """Kroenke, Spitzer and Williams 2001 (doi:10.1046/j.1525-1497.2001.016009606.x): 5, 10, 15 and 20 begin mild,
    moderate, moderately severe and severe."""
    score = total(PHQ_9, *adding_up_to(sum_, 9, 3))
    words = ["Minimal", "Mild", "Moderate", "Moderately severe", "Severe"][min(sum_ // 5, 4)]
    assert (score.value, score.range, score.complete) == (sum_, [0, 27], True)
    assert score.reading == f"{words} signs of depression"


@pytest.mark.parametrize("sum_", range(22))
def test_gad_7_is_called_as_published(sum_: int) -> None:
    """Spitzer, Kroenke, Williams and Löwe 2006 (doi:10.1001/archinte.166.10.1092): 5, 10 and 15 begin mild, moderate
    and severe."""
    score = total(GAD_7, *adding_up_to(sum_, 7, 3))
    words = ["Minimal", "Mild", "Moderate", "Severe"][min(sum_ // 5, 3)]
    assert (score.value, score.range) == (sum_, [0, 21])
    assert score.reading == f"{words} signs of anxiety"


@pytest.mark.parametrize("answers", list(itertools.product(range(5), repeat=3)), ids=str)
def test_audit_c_tells_both_cut_offs(answers: tuple[int, int, int]) -> None:
    """Bush and others 1998 (doi:10.1001/archinte.158.16.1789), 4 for men; Bradley and others 2003
    (doi:10.1001/archinte.163.7.821), 3 for women."""
    score = total(AUDIT_C, *answers)
    assert (score.value, score.range) == (sum(answers), [0, 12])
    assert score.reading is not None
    women, men = sum(answers) >= 3, sum(answers) >= 4
    assert score.reading.startswith("At or above" if men else "At the cut-off for women" if women else "Below")


@pytest.mark.parametrize(("sum_", "reached"), [(10, False), (46, False), (47, True), (60, True)])
def test_barc_10_is_cut_at_47(sum_: int, reached: bool) -> None:
    """Vilsaint and others 2017 (doi:10.1016/j.drugalcdep.2017.03.022): ten answers of 1 to 6, cut-off 47. The PhenX
    Toolkit's protocol 590502 gives the same 10 to 60."""
    score = total(BARC_10, *adding_up_to(sum_, 10, 6, least=1))
    assert (score.value, score.range) == (sum_, [10, 60])
    assert score.reading is not None
    assert score.reading.startswith("47 or more") is reached


def test_the_bam_in_steps_is_scored_as_its_department_says() -> None:
    """Use is 4, 5 and 6; Risk 1, 2, 3, 8, 11 and 15; Protection 9, 10, 12, 13, 14 and 16 (Department of Veterans
    Affairs). Blueprint's page gives 0 to 12, 0 to 24 and 0 to 24, cut at 1, 12 and 12. This one is worked by hand."""
    said = {"1": 3, "2": 2, "3": 4, "4": 1, "5": 0, "6": 2, "7A": 2, "8": 2, "9": 3}
    said |= {"10": 1, "11": 1, "12": 2, "13": 0, "14": 4, "15": 1, "16": 2, "17": 1}
    found = assess(STEPS, said)
    assert [(score.name, score.value, score.range) for score in found.scales] == [
        ("use", 1 + 0 + 2, [0, 12]),
        ("risk", 3 + 2 + 4 + 2 + 1 + 1, [0, 24]),
        ("protective", 3 + 1 + 2 + 0 + 4 + 2, [0, 24]),
    ]
    assert [str(score.reading).split(":")[0] for score in found.scales] == ["Some use", "12 or more", "12 or less"]


@pytest.mark.parametrize(
    ("changed", "readings"),
    [
        ({}, ["No day of use in these 30", "Below 12", "12 or less"]),
        ({"6": 1}, ["Some use", "Below 12", "12 or less"]),
        ({"1": 4, "2": 4, "3": 3}, ["No day of use in these 30", "Below 12", "12 or less"]),
        ({"1": 4, "2": 4, "3": 4}, ["No day of use in these 30", "12 or more", "12 or less"]),
        ({"9": 4, "10": 4, "12": 4}, ["No day of use in these 30", "Below 12", "12 or less"]),
        ({"9": 4, "10": 4, "12": 4, "13": 1}, ["No day of use in these 30", "Below 12", "More than 12"]),
    ],
    ids=str,
)
def test_the_bam_in_steps_is_cut_at_1_12_and_12(changed: dict[str, int], readings: list[str]) -> None:
    found = assess(STEPS, a_bam(changed)["answers"])
    assert [str(score.reading).split(":")[0] for score in found.scales] == readings


def test_the_bam_in_days_reaches_90_180_and_180_and_reads_nothing_into_it() -> None:
    """Kipu's page on the BAM: each item 0 to 30, Use 0 to 90, Risk and Protection 0 to 180."""
    most = {item.id: bounds(item)[1] for item in IN_DAYS.items}
    assert set(most.values()) == {30}
    found = assess(IN_DAYS, most)
    assert [(score.value, score.range, score.reading) for score in found.scales] == [
        (90, [0, 90], None),
        (180, [0, 180], None),
        (180, [0, 180], None),
    ]


def the_triage_of_columbia(yes: set[str]) -> str | None:
    """The Columbia Lighthouse Project: most worrying is a recent yes to 4 or 5, or behaviour in the past 3 months; then
    3, or behaviour longer ago; then 1 or 2."""
    if yes & {"4", "5", "6a"}:
        return "high"
    if yes & {"3", "6"}:
        return "moderate"
    return "low" if yes & {"1", "2"} else None


def test_every_way_to_answer_the_columbia_screener_is_asked_for_refused_or_triaged_as_published() -> None:
    """All 2187 ways to say yes, no or nothing to its seven questions."""
    ends = {"triaged": 0, "in a crisis, though not finished": 0, "not finished": 0, "not asked": 0}
    for said in itertools.product((True, False, None), repeat=7):
        answers = {id: it for id, it in zip(("1", "2", "3", "4", "5", "6", "6a"), said, strict=True) if it is not None}
        yes = {id for id, it in answers.items() if it}
        closed = {"3", "4", "5"} if answers.get("1") is False and answers.get("2") is False else set()
        closed |= {"6a"} if answers.get("6") is False else set()
        asked = {"1", "2", "6", *(["3", "4", "5"] if yes & {"1", "2"} else []), *(["6a"] if "6" in yes else [])}
        missing = asked - set(answers)
        crisis = bool(yes & {"4", "5", "6a"})
        if unasked := closed & set(answers):
            assert set(problems(SCREENER, answers)) == unasked
            ends["not asked"] += 1
        elif missing and not crisis:
            assert set(problems(SCREENER, answers)) == missing
            ends["not finished"] += 1
        else:
            found = assess(SCREENER, answers)
            assert found.triage == the_triage_of_columbia(yes)
            assert bool(found.reasons) is crisis is (found.triage == "high")
            assert len(found.reasons) == len(yes & {"4", "5", "6a"})
            ends["in a crisis, though not finished" if missing else "triaged"] += 1
    assert sum(ends.values()) == 3**7
    assert all(ends.values())
    # Of the first five questions 1 way without a yes to 1 or 2, and 3 * 8 with one; of the last two, 3.
    assert ends["triaged"] == (1 + 3 * 8) * 3


# -- a crisis


@pytest.mark.parametrize("answer", [1, 2, 3])
def test_any_answer_but_not_at_all_to_the_ninth_question_is_a_crisis(answer: int) -> None:
    found = assess(PHQ_9, a_phq_9(0, 0, 0, 0, 0, 0, 0, 0, answer)["answers"])
    assert found.reasons == [
        "You answered that thoughts of being better off dead, or of hurting yourself, have been near"
    ]
    assert found.fuller_screen == "c-ssrs-screener"


def test_the_highest_score_without_the_ninth_question_is_none() -> None:
    found = assess(PHQ_9, a_phq_9(3, 3, 3, 3, 3, 3, 3, 3, 0)["answers"])
    assert (found.reasons, found.fuller_screen) == ([], None)


def test_whoever_says_that_is_not_sent_back_to_fill_in_the_rest() -> None:
    found = assess(PHQ_9, {"9": 3})
    assert found.reasons
    assert [(score.value, score.reading, score.complete) for score in found.scales] == [(None, None, False)]
    plan = assess(SCREENER, {"5": True})
    assert (plan.triage, len(plan.reasons)) == ("high", 1)


def test_an_answer_that_cannot_be_is_refused_in_a_crisis_too() -> None:
    assert set(problems(PHQ_9, {"9": 3, "1": 4})) == {"1"}


def test_no_instrument_but_the_two_screens_has_a_crisis() -> None:
    assert {key for key, one in ALL.items() if one.crisis} == {"phq-9-1", "c-ssrs-screener-1"}


# -- answers that are missing


@pytest.mark.parametrize(
    ("answers", "value"),
    [
        # Seven of nine with the sum 14: the mean 2 for the other two.
        ({str(n): 2 for n in range(1, 8)}, 18),
        # Eight with the sum 9: 9 * 9 / 8 is 10.125.
        ({"1": 2, **{str(n): 1 for n in range(2, 9)}}, 10),
        # Eight with the sum 4: 4 * 9 / 8 is 4.5, and a half goes up.
        ({**{str(n): 1 for n in range(1, 5)}, **{str(n): 0 for n in range(5, 9)}}, 5),
        ({str(n): 3 for n in range(1, 9)}, 27),
        ({str(n): 0 for n in range(1, 8)}, 0),
    ],
)
def test_up_to_two_missing_answers_of_the_phq_9_are_as_the_others_are(answers: dict[str, int], value: int) -> None:
    (score,) = assess(PHQ_9, answers).scales
    assert (score.value, score.complete) == (value, False)


def test_a_third_missing_answer_is_asked_for() -> None:
    assert problems(PHQ_9, {str(n): 1 for n in range(1, 7)}) == {n: ["Needs an answer."] for n in ("7", "8", "9")}
    assert set(problems(GAD_7, {str(n): 1 for n in range(1, 5)})) == {"5", "6", "7"}


@pytest.mark.parametrize("instrument", [BARC_10, AUDIT_C, STEPS, IN_DAYS], ids=lambda one: one.key)
def test_where_no_rule_is_known_each_answer_of_a_scale_is_needed(instrument: Instrument) -> None:
    whole = {item.id: bounds(item)[1] for item in instrument.items}
    scored = {id for scale in instrument.scales for id in scale.items}
    assert scored
    for id in whole:
        rest = {other: answer for other, answer in whole.items() if other != id}
        if id in scored:
            # Without 6 nothing is known of 7A to 7G, which nobody has to answer.
            assert set(problems(instrument, rest)) == {id}
        else:
            assert all(score.complete for score in assess(instrument, rest).scales)


def test_nothing_answered_is_everything_that_is_missing() -> None:
    assert set(problems(AUDIT_C, {})) == {"1", "2", "3"}
    assert set(problems(SCREENER, {})) == {"1", "2", "6"}


# -- answers that do not fit


@pytest.mark.parametrize(
    ("instrument", "item", "answer"),
    [
        (PHQ_9, "1", 4),
        (PHQ_9, "1", -1),
        (PHQ_9, "1", "2"),
        (PHQ_9, "1", 1.5),
        (PHQ_9, "1", True),
        (PHQ_9, "1", None),
        (PHQ_9, "1", [1]),
        (PHQ_9, "10", 1),
        (BARC_10, "3", 0),
        (BARC_10, "3", 7),
        (STEPS, "14", 2),
        (STEPS, "4", 5),
        (IN_DAYS, "4", 31),
        (IN_DAYS, "1", 4),
        (SCREENER, "1", 1),
        (SCREENER, "1", "yes"),
        (OWN, "rest", 11),
        (OWN, "walks", 8),
        (OWN, "company", 2),
        (OWN, "more", 3),
        (OWN, "more", ""),
        (OWN, "more", "x" * 8001),
        (OWN, "more", "\x00"),
        (OWN, "more", "\ud800"),
    ],
)
def test_an_answer_that_does_not_fit_its_question_is_named(instrument: Instrument, item: str, answer: Any) -> None:
    good = {one.id: an_answer(one) for one in instrument.items}
    assert set(problems(instrument, {**good, item: answer})) == {item}


def an_answer(item: Item) -> Any:
    if item.kind == "text":
        return "words"
    return True if item.kind == "yes-no" else bounds(item)[1]


def test_answers_of_the_other_variant_are_refused_by_name() -> None:
    in_days = a_bam({"4": 12, "10": 30})["answers"]
    assert set(problems(STEPS, in_days)) == {"4", "10"}
    assert set(problems(IN_DAYS, a_bam({"8": 3, "14": 4})["answers"])) == {"8", "14"}


def test_every_wrong_answer_is_named_at_once() -> None:
    assert set(problems(PHQ_9, {"1": 9, "2": "x", "colour": 1})) == {"1", "2", "colour"}


def test_an_answer_to_a_question_that_is_not_asked_is_refused_by_name() -> None:
    assert problems(SCREENER, {"1": False, "2": False, "3": False, "6": False}) == {
        "3": ["It is not asked after the answers before it."]
    }
    assert set(problems(STEPS, a_bam({"6": 0, "7C": 1})["answers"])) == {"7C"}
    assert assess(STEPS, a_bam({"6": 1, "7C": 1})["answers"]).numbers["7C"] == 1


# -- what an operator's own may say


def test_some_answers_count_the_other_way_round_and_what_is_not_asked_counts_as_little_as_it_can() -> None:
    (alone,) = assess(OWN, {"rest": 2, "walks": 3, "alone": True, "company": 3}).scales
    assert (alone.value, alone.reading, alone.complete) == ((10 - 2) + 3 + 3, "High", True)
    (not_alone,) = assess(OWN, {"rest": 9, "walks": 3, "alone": False}).scales
    assert (not_alone.value, not_alone.reading, not_alone.complete) == ((10 - 9) + 3 + 1, "Low", True)


def test_words_are_kept_apart_from_numbers() -> None:
    found = assess(OWN, {"rest": 1, "walks": 1, "alone": False, "more": "the kettle sang"})
    assert found.words == {"more": "the kettle sang"}
    assert found.numbers == {"rest": 1, "walks": 1, "alone": 0}


def test_withheld_scores_are_not_made_and_a_crisis_is_acted_on_all_the_same() -> None:
    withheld = Instrument.load({**SCREENER.dump(), "scores_withheld": True})
    found = assess(withheld, a_screener("1", "4")["answers"])
    assert (found.scales, found.triage, len(found.reasons)) == ([], None, 1)


def test_of_several_conditions_one_is_enough_and_a_missing_answer_meets_none() -> None:
    conditions = SCREENER.items[2].asked_when
    assert [holds(conditions, numbers) for numbers in ({"1": 1}, {"1": 0, "2": 1}, {"1": 0}, {})] == [
        True,
        True,
        False,
        False,
    ]


# -- whatever is answered


def any_answer(item: Item) -> st.SearchStrategy[Any]:
    if item.kind == "text":
        return st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1, max_size=20)
    if item.kind == "yes-no":
        return st.booleans()
    if item.kind == "options":
        return st.sampled_from([option.value for option in item.options])
    return st.integers(*bounds(item))


@st.composite
def any_answers(draw: st.DrawFn, instrument: Instrument) -> dict[str, Any]:
    """An answer to each question that is asked, but for a few that are left out."""
    skipped = draw(st.sets(st.sampled_from([item.id for item in instrument.items]), max_size=3))
    answers: dict[str, Any] = {}
    for item in instrument.items:
        if item.id not in skipped and (not item.asked_when or holds(item.asked_when, answers)):
            answers[item.id] = draw(any_answer(item))
    return answers


every_instrument = pytest.mark.parametrize("instrument", [*ALL.values(), OWN], ids=lambda one: one.key)


@every_instrument
@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.data())
def test_scores_stay_within_their_ranges_for_every_answer_set(instrument: Instrument, data: st.DataObject) -> None:
    answers = data.draw(any_answers(instrument))
    found = found_or_refused(instrument, answers)
    if isinstance(found, Finding):
        is_sound(instrument, found)
    else:
        assert set(found).isdisjoint(answers), "only what is missing may be asked for"


@every_instrument
@pytest.mark.parametrize("which", [0, 1], ids=["the least", "the most"])
def test_the_ends_of_a_range_are_reached(instrument: Instrument, which: int) -> None:
    answers: dict[str, Any] = {}
    for item in instrument.items:
        if item.kind != "text" and (not item.asked_when or holds(item.asked_when, answers)):
            least_or_most = bounds(item)[which]
            reverse = any(item.id in scale.reverse for scale in instrument.scales)
            chosen = bounds(item)[1 - which] if reverse else least_or_most
            answers[item.id] = bool(chosen) if item.kind == "yes-no" else chosen
    found = assess(instrument, answers)
    assert [score.value for score in found.scales] == [score.range[which] for score in found.scales]


def is_sound(instrument: Instrument, found: Finding) -> None:
    assert [score.name for score in found.scales] == [scale.name for scale in instrument.scales]
    for scale, score in zip(instrument.scales, found.scales, strict=True):
        assert score.range == [scale.min, scale.max]
        assert score.value is not None or found.reasons, "no score, and nobody was told of what is missing"
        if score.value is not None:
            assert scale.min <= score.value <= scale.max
            assert (score.reading is not None) is bool(scale.cut_offs)
    assert bool(found.reasons) is any(holds(crisis.when, found.numbers) for crisis in instrument.crisis)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.sampled_from(list(ALL.values())),
    st.dictionaries(
        st.sampled_from([*"123456789", "6a", "7A", "x", ""]),
        st.none()
        | st.booleans()
        | st.integers(-1, 5)
        | st.floats()
        | st.text(max_size=2)
        | st.lists(st.none(), max_size=1),
    ),
)
def test_any_json_is_scored_or_refused_and_nothing_else_is_raised(instrument: Instrument, said: dict[str, Any]) -> None:
    assert found_or_refused(instrument, said)


# -- when it is due

JOINED = date(2026, 1, 10)
WEEKLY, MILESTONES = Schedule(every_days=7), Schedule(on_days=[1, 30, 90, 180])


def due(schedule: Schedule, today: int, latest: int | None) -> int | None:
    """Since which of the client's days it is due; day 1 is the one on which the client joined."""
    since = due_since(schedule, JOINED, None if latest is None else day(latest), day(today))
    return None if since is None else (since - JOINED).days + 1


def day(number: int) -> date:
    return JOINED + timedelta(days=number - 1)


@pytest.mark.parametrize(
    ("today", "latest", "since"),
    [
        (1, None, 1),
        (20, None, 1),
        (7, 1, None),
        (8, 1, 8),
        (11, 1, 8),
        (11, 11, None),
    ],
)
def test_a_weekly_one_is_due_seven_days_after_the_last(today: int, latest: int | None, since: int | None) -> None:
    assert due(WEEKLY, today, latest) == since


@pytest.mark.parametrize(
    ("today", "latest", "since"),
    [
        (1, None, 1),
        (1, 1, None),
        (29, 1, None),
        (29, None, 1),
        (30, 1, 30),
        (30, 29, 30),
        (45, 31, None),
        (100, None, 90),
        (100, 89, 90),
        (400, 179, 180),
        (400, 180, None),
        (400, 399, None),
    ],
)
def test_one_with_days_is_due_from_the_last_of_them_that_was_reached(
    today: int, latest: int | None, since: int | None
) -> None:
    assert due(MILESTONES, today, latest) == since


def test_before_its_first_day_nothing_is_due() -> None:
    assert due(Schedule(on_days=[30]), 29, None) is None
