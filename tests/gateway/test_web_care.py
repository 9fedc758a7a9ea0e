"""What a client says and is given, and what a coach does about it, in a real browser against the whole system."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.app import App, a_rough_day, running, until
from tests.gateway.pages import DESK, PHONE, OpenPage, is_fit, new_couple, sign_in

pytestmark = pytest.mark.browser

PLAN = {
    "coping_strategies": ["Walk by the river", "Cold water"],
    "people_to_ask": [{"name": "Anna", "phone": "+44 20 7946 0000"}],
    "reasons": ["My dog"],
}


@pytest.fixture(scope="module")
def app(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app whose parts come back when they die; not started where there is no browser to look at it."""
    assert browser.is_connected()
    with running(tmp_path_factory.mktemp("care"), restart=True) as app:
        yield app


def press(page: Any, label: str, key: str, times: int = 1) -> None:
    page.get_by_label(label).focus()
    for _ in range(times):
        page.keyboard.press(key)


def unfold(place: Any, words: str) -> None:
    place.locator("summary", has_text=words).first.click()


def go_to(page: Any, tab: str) -> None:
    page.get_by_role("navigation").get_by_role("button", name=tab).click()


def choose(page: Any, question: str, answer: str) -> None:
    page.get_by_role("group", name=question).get_by_label(answer, exact=True).check()


def test_a_very_hard_day_with_every_answer_brings_the_clients_own_plan_first(app: App, open_page: OpenPage) -> None:
    client, _ = new_couple(app)
    phone = app.phone(client)
    phone.put("/v1/safety-plan", PLAN)
    phone.post("/v1/check-ins", {"id": f"calm-{client[-12:]}", "craving": 1, "mood": 9})
    robin = sign_in(open_page(PHONE), client)
    robin.get_by_text("Say more, if you like").click()
    robin.get_by_text("A rule of thumb, not a test").wait_for()
    press(robin, "How strong is the craving?", "End")
    press(robin, "How sure are you", "Home")
    press(robin, "How is your mood?", "Home")
    press(robin, "How lonely do you feel?", "End")
    robin.get_by_label("Hours of sleep").fill("3.5")
    robin.get_by_label("somewhere that makes it hard?").select_option("Yes")
    robin.get_by_label("unwell from not using?").select_option("Quite a lot")
    robin.get_by_label("Medication taken?").select_option("No")
    robin.get_by_label("Did you use anything?").fill("wine")
    robin.get_by_label("On how many days since").fill("2")
    is_fit(robin)
    robin.get_by_role("button", name="Check in").click()

    robin.get_by_role("heading", name="A very hard day").wait_for()
    main = robin.locator("main")
    main.get_by_text("Your craving is higher than in your own last week").wait_for()
    titles = main.locator(".card h2").all_text_contents()
    assert titles[:4] == [
        "What I can do by myself", "People I can ask for help", "What is worth living for", "Somebody is there now",
    ]  # fmt: skip
    steps = main.locator(".card.plan p").first
    assert steps.text_content() == "Walk by the river\nCold water"
    assert steps.evaluate("one => getComputedStyle(one).whiteSpaceCollapse") == "preserve-breaks"
    assert main.get_by_role("link", name="Call +44 20 7946 0000").get_attribute("href") == "tel:+442079460000"
    is_fit(robin)
    kept = phone.get("/v1/check-ins").body["items"][0]
    said = {"craving": 10, "confidence": 0, "mood": 0, "lonely": 10, "sleep_hours": 3.5, "risky_situation": True,
            "withdrawal": 2, "medication_taken": False, "used": {"what": "wine", "days": 2}}  # fmt: skip
    assert {name: kept[name] for name in said} == said
    assert (kept["hungry"], kept["angry"], kept["tired"], kept["note"]) == (None, None, None, None)


def test_what_a_client_says_against_a_band_is_seen_by_the_coach_on_the_alert_and_beside_the_check_in(
    app: App, open_page: OpenPage
) -> None:
    client, coach = new_couple(app)
    robin = sign_in(open_page(PHONE), client)
    press(robin, "How strong is the craving?", "End")
    robin.get_by_role("button", name="Check in").click()
    robin.get_by_role("heading", name="A hard day").wait_for()
    unfold(robin, "That is not how it is")
    robin.get_by_label("How is it, in your own words?").fill("I only meant the morning")
    robin.get_by_role("button", name="Say so").click()
    robin.get_by_text("You said that this is not how it is").wait_for()

    kim = sign_in(open_page(DESK), coach)
    alert = kim.locator(".alert", has_text="Robin")
    alert.get_by_text("The client says that this is not how it is: “I only meant the morning”").wait_for()
    alert.get_by_text("Asked as the client's own coach. Since").wait_for()
    alert.get_by_text("Please be in touch by").wait_for()
    unfold(alert, "What was done")
    alert.get_by_text("The client says: that is not how it is, by Robin").wait_for()
    alert.get_by_role("button", name="Write").click()
    unfold(kim, "Check-ins")
    kim.locator(".entry").get_by_text("“I only meant the morning”").wait_for()
    is_fit(kim)
    go_to(robin, "More")
    unfold(robin, "What my coach sees")
    robin.get_by_text("A person was asked to be in touch, and nobody has said yet").wait_for()
    robin.locator("main").get_by_text("“I only meant the morning”").locator("visible=true").wait_for()
    is_fit(robin)


def test_a_correction_counts_and_both_are_kept_to_be_seen_by_client_and_coach(app: App, open_page: OpenPage) -> None:
    client, coach = new_couple(app)
    robin = sign_in(open_page(PHONE), client)
    press(robin, "How strong is the craving?", "End")
    robin.get_by_label("A note for your coach").fill("A slip of the finger")
    robin.get_by_role("button", name="Check in").click()
    robin.get_by_role("heading", name="A hard day").wait_for()
    robin.get_by_role("button", name="Correct it").click()
    assert robin.get_by_label("How strong is the craving?").input_value() == "10"
    assert robin.get_by_label("A note for your coach").input_value() == "A slip of the finger"
    press(robin, "How strong is the craving?", "Home")
    robin.get_by_role("button", name="Correct it").click()
    robin.get_by_role("heading", name="A steady day").wait_for()

    unfold(robin, "Earlier check-ins")
    robin.get_by_text("A correction: it counts").wait_for()
    robin.get_by_text("Corrected: it stays here as it was said").wait_for()
    robin.get_by_text("Craving: 0 of 10").wait_for(state="attached")
    is_fit(robin)
    assert [bool(one["corrected_by"]) for one in app.phone(client).get("/v1/check-ins").body["items"]].count(True) == 1
    kim = sign_in(open_page(DESK), coach)
    kim.locator(".person", has_text="Robin").click()
    unfold(kim, "Check-ins")
    kim.get_by_text("Corrected: it stays here as it was said").wait_for()
    kim.get_by_text("Last check-in").wait_for()


def test_earlier_days_name_what_could_not_be_read_and_go_on_page_by_page(app: App, open_page: OpenPage) -> None:
    client, _ = new_couple(app)
    phone = app.phone(client)
    for number in range(12):
        phone.post("/v1/check-ins", {"id": f"{client[-12:]}-{number}", "craving": 1})
    phone.post("/v1/check-ins", {"id": f"{client[-12:]}-odd", "craving": 66})
    robin = sign_in(open_page(PHONE), client)
    unfold(robin, "Earlier check-ins")
    robin.get_by_text("It is kept; a person will look at it.").wait_for()
    assert robin.locator("ol.history .entry").count() == 10
    robin.get_by_role("button", name="Show earlier ones").click()
    until(lambda: robin.locator("ol.history .entry").count() == 12, "the others are there")


def test_an_alert_is_handed_over_by_name_and_closed_with_what_the_contact_gave(app: App, open_page: OpenPage) -> None:
    client, coach = new_couple(app)
    other = app.enrol("coach", display_name="Lou")
    app.hang_up()
    robin = app.phone(client)
    robin.post("/v1/check-ins", a_rough_day())
    kim, lou = sign_in(open_page(DESK), coach), sign_in(open_page(DESK), f"coach-{other.id}")
    alert = kim.locator(".alert", has_text="Robin")
    unfold(alert, "Hand over")
    alert.get_by_label("To whom?").select_option("Lou, not on duty")
    is_fit(kim)
    alert.get_by_role("button", name="Hand it over").click()
    taken = lou.locator(".alert")
    taken.get_by_role("button", name="I am on it").click()
    taken.get_by_text("You are on it").wait_for()
    alert.get_by_text("Somebody is on it").wait_for()

    unfold(taken, "Finish")
    taken.get_by_label("How it ended").select_option("We talked")
    taken.get_by_label("How you were in touch").select_option("By phone")
    taken.get_by_label("Listening and care").check()
    taken.get_by_label("Company of others").check()
    is_fit(lou)
    taken.get_by_role("button", name="Close").click()

    lou.get_by_text("Nobody is waiting for you now.").wait_for()
    kim.get_by_text("Nobody is waiting for you now.").wait_for()
    (closed,) = app.phone(coach).get("/v1/alerts?state=closed").body["items"]
    assert (closed["outcome"], closed["contact"]) == ("talked", "phone")
    assert sorted(closed["support"]) == ["affiliational", "emotional"]
    unfold(lou, "How much is asked of me")
    lou.get_by_role("row", name="You").wait_for()


def test_an_urgent_alert_cannot_be_finished_as_unanswered(app: App, open_page: OpenPage) -> None:
    client, coach = new_couple(app)
    app.phone(client).post("/v1/check-ins", a_rough_day(confidence=0, withdrawal=3))
    kim = sign_in(open_page(DESK), coach)
    alert = kim.locator(".alert.urgent")
    alert.get_by_role("button", name="I am on it").click()
    unfold(alert, "Finish")
    alert.get_by_text("hand it over, or call for help").wait_for()
    assert "No answer" not in alert.get_by_label("How it ended").locator("option").all_text_contents()
    is_fit(kim)


def test_a_plan_is_written_shared_seen_by_the_coach_and_gone_once_it_is_withdrawn(
    app: App, open_page: OpenPage
) -> None:
    client, coach = new_couple(app)
    robin, kim = sign_in(open_page(PHONE), client), sign_in(open_page(DESK), coach)
    go_to(robin, "Plan")
    robin.get_by_label("What I can do by myself").fill("Walk by the river\n\nCold water")
    robin.get_by_label("People I can ask for help, no. 1: name or place").fill("Anna")
    robin.get_by_label("People I can ask for help, no. 1: number").fill("not a number")
    is_fit(robin)
    robin.get_by_role("button", name="Save my plan").click()
    robin.get_by_text("People I can ask for help, no. 1, number: Must be a number to call").wait_for()
    robin.get_by_label("People I can ask for help, no. 1: number").fill("020 7946 0000")
    robin.get_by_role("button", name="Save my plan").click()
    robin.locator("main").get_by_text("Cold water").wait_for()
    kim.locator(".person", has_text="Robin").click()
    unfold(kim, "Safety plan")
    kim.get_by_text("Not shared with you, or not written").wait_for()

    robin.get_by_label("My coach may read my plan").check()
    robin.get_by_text("Your coach can read it from now on.").wait_for()
    unfold(kim, "Safety plan")
    unfold(kim, "Safety plan")
    kim.get_by_text("Cold water").wait_for()
    assert kim.get_by_role("link", name="Call 020 7946 0000").get_attribute("href") == "tel:02079460000"
    is_fit(kim)

    robin.get_by_label("My coach may read my plan").uncheck()
    robin.get_by_text("Nobody but you can read it").wait_for()
    unfold(kim, "Safety plan")
    unfold(kim, "Safety plan")
    kim.get_by_text("Not shared with you, or not written").wait_for()
    assert "Cold water" not in kim.content()
    is_fit(robin)


def test_a_plan_that_was_changed_elsewhere_is_shown_before_it_is_written_over(app: App, open_page: OpenPage) -> None:
    client, _ = new_couple(app)
    phone = app.phone(client)
    first = phone.put("/v1/safety-plan", PLAN)
    robin = sign_in(open_page(PHONE), client)
    go_to(robin, "Plan")
    robin.get_by_role("button", name="Change it").click()
    robin.get_by_label("What is worth living for").fill("My dog\nThe sea")
    phone.put("/v1/safety-plan", {"reasons": ["The garden"]}, If_Match=first.headers["ETag"])
    robin.get_by_role("button", name="Save my plan").click()
    robin.get_by_text("Your plan was changed elsewhere").wait_for()
    robin.locator("main").get_by_text("The garden").wait_for()

    robin.get_by_role("button", name="Save my plan").click()
    robin.locator("main").get_by_text("The sea").wait_for()
    assert phone.get("/v1/safety-plan").body["reasons"] == ["My dog", "The sea"]
    unfold(robin, "Earlier versions")
    unfold(robin, "Version 2")
    robin.locator("main").get_by_text("The garden").wait_for()


def test_a_person_who_was_named_may_be_named_no_more(app: App, open_page: OpenPage) -> None:
    client, coach = new_couple(app)
    phone = app.phone(client)
    phone.put("/v1/safety-plan", PLAN)
    phone.put("/v1/safety-plan/sharing", {"coach": False, "people": [app.phone(coach).id]})
    robin = sign_in(open_page(PHONE), client)
    go_to(robin, "Plan")
    robin.get_by_role("listitem").filter(has_text="Kim").get_by_role("button", name="Stop sharing").click()
    robin.get_by_text("They cannot read it any more.").wait_for()
    assert phone.get("/v1/safety-plan").body["sharing"] == {"coach": False, "people": []}


def test_a_plan_is_shared_with_somebody_one_writes_with_and_with_a_peer_by_code_and_taken_back(
    app: App, open_page: OpenPage
) -> None:
    client, coach = new_couple(app)
    peer, _ = new_couple(app)
    phone, kim_id, pia_id = app.phone(client), app.phone(coach).id, app.phone(peer).id
    phone.put("/v1/safety-plan", PLAN)
    phone.post("/v1/conversations", {"id": f"talk-{client[-12:]}", "with": kim_id})
    pia = sign_in(open_page(PHONE), peer)
    go_to(pia, "More")
    unfold(pia, "Plans shared with me")
    pia.get_by_text("Nobody has done so yet.").wait_for()
    code = pia.locator(".code").inner_text()
    is_fit(pia)
    robin = sign_in(open_page(PHONE), client)
    go_to(robin, "Plan")
    unfold(robin, "Let somebody else read it")
    robin.get_by_label("Somebody you have written with").select_option("Kim")
    is_fit(robin)
    robin.get_by_role("button", name="Let them read it").first.click()
    robin.get_by_text("Kim can read it from now on").wait_for()
    assert robin.evaluate("document.activeElement.textContent") == "Who may read it"
    unfold(robin, "Let somebody else read it")
    by_code = robin.get_by_label("Or somebody by their code")
    robin.get_by_label("Somebody you have written with").wait_for(state="detached")
    by_code.fill("no code at all")
    by_code.press("Enter")
    robin.get_by_text("The code, no. 2: Must be an id").wait_for()
    by_code.fill(app.phone(client).id)
    by_code.press("Enter")
    robin.get_by_text("That is your own code.").wait_for()
    by_code.fill(code)
    by_code.press("Enter")
    robin.get_by_text(f"Whoever has the code ending in {code[-4:]} can read it from now on").wait_for()
    is_fit(robin)
    assert phone.get("/v1/safety-plan").body["sharing"] == {"coach": False, "people": [kim_id, pia_id]}

    unfold(pia, "Plans shared with me")
    unfold(pia, "Plans shared with me")
    unfold(pia, f"The plan of somebody, code ending in {phone.id[-4:]}")
    pia.get_by_text("Cold water").wait_for()
    is_fit(pia)
    kim = sign_in(open_page(DESK), coach)
    unfold(kim, "Plans shared with me")
    unfold(kim, "The plan of Robin")
    kim.get_by_text("Cold water").wait_for()
    is_fit(kim)

    robin.get_by_role("button", name=f"Stop sharing with Somebody you named, code ending in {code[-4:]}").click()
    robin.get_by_text("They cannot read it any more.").wait_for()
    robin.get_by_role("button", name="Stop sharing with Kim").wait_for()
    unfold(pia, "Plans shared with me")
    unfold(pia, "Plans shared with me")
    pia.get_by_text("Nobody has done so yet.").wait_for()
    assert "Cold water" not in pia.content()


def test_a_coach_takes_a_questionnaire_together_with_a_client_and_both_find_what_came_of_it(
    app: App, open_page: OpenPage
) -> None:
    client, coach = new_couple(app)
    kim = sign_in(open_page(DESK), coach)
    kim.locator(".person", has_text="Robin").click()
    unfold(kim, "Take a questionnaire together")
    kim.get_by_text("Robin says what fits").wait_for()
    is_fit(kim)
    kim.get_by_role("button", name="Answer GAD-7").click()
    heading = kim.get_by_role("heading", name="with Robin")
    assert heading.evaluate("one => one === document.activeElement")
    for group in kim.locator(".question fieldset").all():
        group.get_by_label("Not at all").check()
    is_fit(kim)
    kim.get_by_role("button", name="Send the answers").click()
    kim.get_by_role("heading", name="Thank you", exact=True).wait_for()
    assert "answers." not in kim.evaluate("JSON.stringify(Object.keys(sessionStorage))")
    kim.get_by_role("button", name="Back to the questionnaires").click()
    kim.get_by_text("Robin says what fits").wait_for()
    assert not kim.get_by_role("button", name="Answer GAD-7").is_visible()

    unfold(kim, "Questionnaires")
    kim.locator(".entry", has_text="GAD-7").get_by_text("Taken together with you.").wait_for()
    (taken,) = app.phone(client).get("/v1/assessments").body["items"]
    assert (taken["instrument"], taken["taken_by"]) == ("gad-7", app.phone(coach).id)
    robin = sign_in(open_page(PHONE), client)
    go_to(robin, "More")
    unfold(robin, "What you answered")
    robin.locator(".entry", has_text="GAD-7").get_by_text("Taken together with Kim.").wait_for()
    is_fit(robin)


def test_a_crisis_that_shows_while_two_look_at_the_questions_asks_for_a_person_and_shows_what_helps(
    app: App, open_page: OpenPage
) -> None:
    client, coach = new_couple(app)
    kim = sign_in(open_page(DESK), coach)
    kim.locator(".person", has_text="Robin").click()
    unfold(kim, "Take a questionnaire together")
    unfold(kim, "All others")
    kim.get_by_role("button", name="Answer Columbia screener").click()
    for question in ("Have you wished you were dead", "Have you actually had any thoughts"):
        choose(kim, question, "Yes")
    for question in ("how you might do this", "intention", "details", "Have you ever done anything"):
        choose(kim, question, "No" if question == "Have you ever done anything" else "Yes")
    kim.get_by_role("button", name="Send the answers").click()
    kim.get_by_role("heading", name="Please stay with Robin").wait_for()
    shown = kim.locator(".chosen")
    shown.get_by_text("an alert was raised").wait_for()
    assert shown.get_by_role("link", name="Call 988").is_visible()
    is_fit(kim)

    alert = kim.locator(".alert.urgent", has_text="Robin")
    alert.get_by_role("button", name="I am on it").click()
    alert.get_by_text("You are on it").wait_for()
    assert shown.get_by_role("heading", name="Please stay with Robin").is_visible()
    unfold(kim, "Questionnaires")
    entry = kim.locator(".entry", has_text="Columbia")
    entry.get_by_text("You answered that").first.wait_for()


def test_a_questionnaire_asks_what_its_file_says_and_a_crisis_brings_numbers_first_and_a_human(
    app: App, open_page: OpenPage
) -> None:
    client, coach = new_couple(app)
    robin = sign_in(open_page(PHONE), client)
    go_to(robin, "More")
    unfold(robin, "All others")
    robin.get_by_role("button", name="Answer Columbia screener").click()
    robin.get_by_text("The Columbia Lighthouse Project says").wait_for()
    deeper = robin.get_by_role("group", name="Have you been thinking about how you might do this?")
    choose(robin, "Have you wished you were dead", "No")
    choose(robin, "Have you actually had any thoughts", "No")
    assert not deeper.is_visible()
    choose(robin, "Have you actually had any thoughts", "Yes")
    deeper.wait_for()
    robin.get_by_role("button", name="Send my answers").click()
    robin.get_by_text("They are marked.").wait_for()
    assert robin.locator(".question .problem", has_text="Needs an answer.").count() == 4
    is_fit(robin)
    robin.get_by_role("button", name="Go on later").click()
    unfold(robin, "All others")
    robin.get_by_role("button", name="Answer Columbia screener").click()
    deeper.wait_for()
    deeper.get_by_label("Yes").check()
    choose(robin, "intention", "Yes")
    robin.get_by_role("button", name="Send my answers").click()

    robin.get_by_role("heading", name="Thank you for telling us").wait_for()
    robin.get_by_text("You answered that you have had some intention").wait_for()
    robin.get_by_text("A person should be with you in this today").wait_for()
    main = robin.locator("main")
    assert main.locator(".card.crisis").is_visible()
    assert main.get_by_role("link", name="Call 988").is_visible()
    assert "answers." not in robin.evaluate("JSON.stringify(Object.keys(sessionStorage))")
    is_fit(robin)
    kim = sign_in(open_page(DESK), coach)
    kim.locator(".alert.urgent").get_by_text("You answered that you have had some intention").wait_for()
    kim.locator(".person", has_text="Robin").click()
    unfold(kim, "Questionnaires")
    kim.get_by_text("A person should be with you in this today").wait_for()
    unfold(kim, "Answers")
    kim.get_by_text("Have you been thinking about how you might do this?").wait_for()
    is_fit(kim)


def test_a_questionnaire_that_is_due_ends_in_words_and_is_due_no_more(app: App, open_page: OpenPage) -> None:
    client, _ = new_couple(app)
    robin = sign_in(open_page(PHONE), client)
    go_to(robin, "More")
    robin.get_by_role("button", name="Answer GAD-7").click()
    for group in robin.locator(".question fieldset").all():
        group.get_by_label("Not at all").check()
    robin.get_by_role("button", name="Send my answers").click()
    robin.get_by_role("heading", name="Thank you", exact=True).wait_for()
    assert robin.locator("main .card.crisis").count() == 0
    robin.get_by_role("button", name="Back to the questionnaires").click()
    unfold(robin, "What you answered")
    robin.locator(".entry", has_text="GAD-7").wait_for()
    assert not robin.get_by_role("button", name="Answer GAD-7").is_visible()
    is_fit(robin)


def test_help_shows_the_plan_first_says_who_is_there_and_goes_on_while_risk_is_away(
    app: App, open_page: OpenPage
) -> None:
    client, _ = new_couple(app)
    app.phone(client).put("/v1/safety-plan", PLAN)
    robin = sign_in(open_page(PHONE), client)
    help_now = robin.locator("#help")
    robin.get_by_text("Help now", exact=True).click()
    help_now.get_by_text("Cold water").wait_for()
    titles = help_now.locator(".card h2").all_text_contents()
    assert titles[:3] == ["What I can do by myself", "People I can ask for help", "What is worth living for"]
    assert titles.index("Somebody is there now") < titles.index("Nobody is on duty right now")
    assert help_now.get_by_role("link", name="Call 988").count() == 1
    is_fit(robin)
    robin.get_by_text("Help now", exact=True).click()
    app.part("risk").suspend()
    try:
        robin.get_by_text("Help now", exact=True).click()
        help_now.get_by_text("We cannot read all of Alongside right now").wait_for()
        assert help_now.get_by_text("Cold water").is_visible()
        assert help_now.get_by_role("link", name="Call 988").is_visible()
        assert help_now.get_by_text("Nobody is on duty right now").count() == 0
    finally:
        app.part("risk").resume()
    assert robin.evaluate("localStorage.length") == 0


def test_a_plan_is_kept_on_a_phone_only_for_whoever_asks_and_is_there_without_anything_else(
    app: App, open_page: OpenPage
) -> None:
    client, _ = new_couple(app)
    app.phone(client).put("/v1/safety-plan", PLAN)
    robin = sign_in(open_page(PHONE), client)
    go_to(robin, "Plan")
    robin.get_by_label("Keep my plan on this phone").check()
    robin.get_by_text("It is kept here").wait_for()
    robin.get_by_role("button", name="Sign out").click()
    robin.get_by_role("heading", name="Welcome").wait_for()
    robin.context.route("**/v1/**", lambda route: route.abort())
    robin.reload()
    robin.get_by_text("Help now", exact=True).click()
    robin.locator("#help").get_by_text("Cold water").wait_for()
    assert robin.get_by_role("link", name="Call 988").is_visible()

    robin.context.unroute("**/v1/**")
    robin.reload()
    another, _ = new_couple(app)
    sign_in(robin, another)
    robin.get_by_text("Help now", exact=True).click()
    robin.get_by_text("You have no safety plan yet.").wait_for()
    assert "Cold water" not in robin.locator("#help").inner_text()
    robin.get_by_role("button", name="Sign out").click()
    sign_in(robin, client)
    go_to(robin, "Plan")
    robin.get_by_label("Keep my plan on this phone").uncheck()
    robin.get_by_text("It is not kept here any more.").wait_for()
    assert robin.evaluate("localStorage.length") == 0


def test_somebody_who_offered_is_asked_says_yes_and_the_two_write_to_each_other(app: App, open_page: OpenPage) -> None:
    client, _ = new_couple(app)
    peer, _ = new_couple(app)
    pia = sign_in(open_page(PHONE), peer)
    go_to(pia, "More")
    unfold(pia, "Be there for others")
    pia.get_by_label("People near me may ask me").check()
    pia.get_by_label("Roughly where are you?").locator("visible=true").fill("SW1A")
    pia.get_by_role("button", name="Save").locator("visible=true").click()
    pia.get_by_text("You may be asked.").wait_for()
    is_fit(pia)
    robin = sign_in(open_page(PHONE), client)
    robin.get_by_text("Help now", exact=True).click()
    robin.get_by_role("button", name="Ask people who offered").click()
    robin.get_by_text("People who offered were asked: 1").wait_for()
    is_fit(robin)

    pia.get_by_text("Who it is you see if you say yes").wait_for()
    is_fit(pia)
    pia.get_by_role("button", name="Yes, I am here").click()
    robin.get_by_role("button", name="Write to them").click()
    robin.get_by_label("Write to Somebody who said yes").fill("Thank you for being there")
    robin.get_by_role("button", name="Send").click()
    pia.get_by_role("button", name="Write to them").click()
    pia.get_by_text("Thank you for being there").wait_for()


def test_an_aim_and_a_reminder_are_saved_and_read_back(app: App, open_page: OpenPage) -> None:
    client, coach = new_couple(app)
    robin = sign_in(open_page(PHONE, timezone_id="America/New_York"), client)
    unfold(robin, "Remind me")
    robin.get_by_label("At what time?").fill("21:30")
    robin.get_by_role("button", name="Save").click()
    robin.get_by_text("Saved. The next one is at").wait_for()
    is_fit(robin)
    kept = app.phone(client).get("/v1/me/reminder").body
    assert (kept["at"], kept["timezone"], kept["on"]) == ("21:30", "America/New_York", True)

    go_to(robin, "Goals")
    assert not robin.get_by_label("On how many days of a week, at most?").is_visible()
    robin.get_by_label("To use less").check()
    robin.get_by_label("Alcohol").check()
    robin.get_by_label("On how many days of a week, at most?").fill("2")
    for _ in range(2):
        robin.get_by_role("button", name="Save").locator("visible=true").click()
        robin.get_by_text("Saved.", exact=True).locator("visible=true").wait_for()
    robin.get_by_text("To use less: alcohol, on at most 2 days of a week.").wait_for()
    is_fit(robin)
    kim = sign_in(open_page(DESK), coach)
    kim.locator(".person", has_text="Robin").click()
    unfold(kim, "Aim")
    kim.get_by_text("To use less: alcohol, on at most 2 days of a week.").wait_for()


def test_a_supervisor_sees_how_much_is_asked_of_whom_and_names_who_is_on_call(app: App, open_page: OpenPage) -> None:
    client, _ = new_couple(app)
    other = app.enrol("supervisor", display_name="Nia").id
    app.phone(client).post("/v1/check-ins", a_rough_day())
    until(lambda: other in app.phone("ines").get("/v1/on-call").body["supervisors"], "risk knows her")
    ines = sign_in(open_page(DESK), "ines")
    unfold(ines, "How much is asked of whom")
    ines.get_by_role("row", name="Sam").wait_for()
    unfold(ines, "On call")
    named = ines.get_by_role("group", name="Whoever is asked when nobody else answers")
    named.get_by_label("Sam").check()
    named.get_by_label("Nia, supervisor").check()
    ines.get_by_role("button", name="Save").click()
    ines.get_by_text("Saved.", exact=True).wait_for()
    is_fit(ines)
    assert sorted(app.phone("ines").get("/v1/on-call").body["people"]) == sorted([app.phone("sam").id, other])
    ines.reload()
    unfold(ines, "On call")
    named.get_by_label("Nia, supervisor").uncheck()
    ines.get_by_role("button", name="Save").click()
    ines.get_by_text("Saved.", exact=True).wait_for()
    assert app.phone("ines").get("/v1/on-call").body["people"] == [app.phone("sam").id]
