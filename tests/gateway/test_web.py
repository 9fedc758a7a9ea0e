"""The phone app and the coach's desk in a real browser, against the whole system."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from infra.runner import answers
from tests.app import PASSWORD, App, running, until
from tests.gateway.pages import DESK, PALE_WORDS, PHONE, UNNAMED_CONTROLS, OpenPage, is_fit, new_couple, sign_in, write

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def app(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app whose parts come back when they die; not started where there is no browser to look at it."""
    assert browser.is_connected()
    with running(tmp_path_factory.mktemp("web"), restart=True) as app:
        yield app


def say_that_today_is_rough(page: Any) -> None:
    page.get_by_label("How strong is the craving?").focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.get_by_label("A note for your coach").fill("Friday is hard")
    page.get_by_role("button", name="Check in").click()
    page.get_by_role("heading", name="A hard day").wait_for()


def messages(page: Any) -> list[str]:
    """What the conversation shows, in order, without who said it and when."""
    return [item.split(": ", 1)[1] for item in page.locator(".messages li p").all_text_contents()]


def test_a_bad_day_appears_on_the_coachs_desk_without_a_reload_and_the_two_chat(app: App, open_page: OpenPage) -> None:
    client, coach = new_couple(app)
    kim = sign_in(open_page(DESK), coach)
    kim.get_by_text("Nobody is waiting for you now.").wait_for()
    robin = sign_in(open_page(PHONE), client)

    say_that_today_is_rough(robin)

    alert = kim.locator(".alert", has_text="Robin")
    alert.get_by_text("Craving is strong today").wait_for()
    assert kim.title() == "(1) Alongside"
    alert.get_by_role("button", name="I am on it").click()
    alert.get_by_text("You are on it").wait_for()
    alert.get_by_role("button", name="Write").click()
    write(kim, "Robin", "I saw it. I am here.")
    robin.get_by_role("button", name="Talk").click()
    robin.get_by_text("I saw it. I am here.").wait_for()
    write(robin, "Kim", "Thank you")
    kim.locator(".theirs", has_text="Thank you").wait_for()
    robin.locator(".mine", has_text="Thank you").get_by_text("Read").wait_for()
    alert.get_by_text("Finish").click()
    alert.get_by_label("How it ended").select_option("talked")
    alert.get_by_role("button", name="Close").click()
    kim.get_by_text("Nobody is waiting for you now.").wait_for()
    assert kim.title() == "Alongside"


def test_words_are_edited_taken_back_and_found_again(app: App, open_page: OpenPage) -> None:
    client, coach = new_couple(app)
    robin, kim = sign_in(open_page(PHONE), client), sign_in(open_page(DESK), coach)
    robin.get_by_role("button", name="Talk").click()
    for words in ("See you on Sunday by the river", "I said too much"):
        write(robin, "Kim", words)
        robin.locator(".mine", has_text=words).get_by_text("Sent").wait_for()
    kim.get_by_role("button", name="Robin").click()
    kim.get_by_text("I said too much").wait_for()

    first, second = robin.locator(".mine").nth(0), robin.locator(".mine").nth(1)
    first.get_by_text("Change").click()
    first.get_by_role("button", name="Edit").click()
    assert robin.get_by_label("Write to Kim").input_value() == "See you on Sunday by the river"
    write(robin, "Kim", "See you on Monday by the river")
    kim.locator(".theirs", has_text="See you on Monday by the river").get_by_text("Edited").wait_for()
    second.get_by_text("Change").click()
    second.get_by_role("button", name="Take back").click()
    kim.locator(".theirs", has_text="Taken back").wait_for()
    assert messages(kim) == messages(robin) == ["See you on Monday by the river", "Taken back"]
    assert "I said too much" not in kim.content()

    kim.get_by_text("Search", exact=True).first.click()
    kim.get_by_label("Words to look for").fill("RIVER monday")
    kim.locator(".looking").get_by_role("button", name="Search").click()
    kim.locator(".found").get_by_text("Robin: See you on Monday by the river").wait_for()
    kim.reload()
    kim.get_by_role("button", name="Robin").click()
    kim.locator(".theirs", has_text="See you on Monday by the river").get_by_text("Edited").wait_for()


def test_a_message_typed_while_the_gateway_is_away_arrives_once_and_in_order(app: App, open_page: OpenPage) -> None:
    client, coach = new_couple(app)
    robin = sign_in(open_page(PHONE), client)
    kim = sign_in(open_page(DESK), coach)
    robin.get_by_role("button", name="Talk").click()
    write(robin, "Kim", "before")
    robin.locator(".mine", has_text="before").get_by_text("Sent").wait_for()
    kim.get_by_role("button", name="Robin").click()
    kim.get_by_text("before").wait_for()

    app.part("gateway").kill()
    robin.get_by_text("Connecting again").wait_for()
    write(robin, "Kim", "while it was away")
    write(robin, "Kim", "and after that")
    assert "while it was away" in robin.evaluate("JSON.stringify({...localStorage})")

    kim.get_by_text("and after that").wait_for(timeout=60_000)
    robin.locator(".mine", has_text="and after that").get_by_text("Sent").or_(
        robin.locator(".mine", has_text="and after that").get_by_text("Read")
    ).wait_for(timeout=60_000)
    said = ["before", "while it was away", "and after that"]
    assert messages(kim) == said
    assert messages(robin) == said
    assert robin.evaluate("localStorage.length") == 0
    phone = app.phone(client)
    talk = phone.get("/v1/conversations").body["items"][0]["id"]
    assert [one["text"] for one in phone.get(f"/v1/conversations/{talk}/messages").body["items"]] == said


def test_whoever_is_told_to_sync_asks_for_the_hints_that_were_left_out(app: App, open_page: OpenPage) -> None:
    client, coach = new_couple(app)
    robin, kim = app.phone(client), app.phone(coach)
    talk = app.talk(robin, kim)
    left_out: list[str] = []

    def too_slow(page_side: Any) -> None:
        def pass_on(packet: str) -> None:
            if packet.startswith(('42["message"', '42["alert"')):
                left_out.append(packet[4:9])
                packet = '42["sync",{}]'
            page_side.send(packet)

        page_side.connect_to_server().on_message(pass_on)

    desk = open_page(DESK)
    desk.route_web_socket("**/socket.io/**", too_slow)
    desk.reload()
    sign_in(desk, coach)
    desk.get_by_role("button", name="Robin").click()
    for words in ("are you there", "it is a hard day"):
        robin.post(f"/v1/conversations/{talk}/messages", {"client_message_id": words.split()[-1], "text": words})
        desk.locator(".theirs", has_text=words).wait_for()
    robin.post("/v1/check-ins", {"id": "rough-day", "craving": 9})

    desk.get_by_role("button", name="I am on it").wait_for()
    assert left_out == ["messa", "messa", "alert"]


def test_an_unsent_message_outlives_the_page_and_is_sent_when_it_is_opened_again(app: App, open_page: OpenPage) -> None:
    client, coach = new_couple(app)
    robin = sign_in(open_page(PHONE), client)
    robin.get_by_role("button", name="Talk").click()
    # Only what was connected can be lost.
    write(robin, "Kim", "before")
    robin.locator(".mine", has_text="before").get_by_text("Sent").wait_for()
    # A browser that goes offline keeps a socket open, so first what is behind it goes; it takes longer to come back.
    app.part("gateway").kill()
    robin.get_by_text("Connecting again").wait_for()
    robin.context.set_offline(True)
    write(robin, "Kim", "typed in a tunnel")
    robin.locator(".mine", has_text="typed in a tunnel").get_by_text("Sending").wait_for()
    until(lambda: answers(f"{app.url}/readyz"), "the gateway came back")

    robin.context.set_offline(False)
    robin.reload()

    kim = app.phone(coach)
    until(lambda: kim.get("/v1/conversations").body["items"], "the conversation is there")
    talk = kim.get("/v1/conversations").body["items"][0]["id"]
    sent = ["before", "typed in a tunnel"]
    path = f"/v1/conversations/{talk}/messages"
    until(lambda: [one["text"] for one in kim.get(path).body["items"]] == sent, "the message arrived, once")


def test_a_check_in_made_while_its_service_is_away_is_sent_once_it_is_back(app: App, open_page: OpenPage) -> None:
    client, coach = new_couple(app)
    robin = sign_in(open_page(PHONE), client)
    robin.get_by_role("heading", name="How is today?").wait_for()
    app.part("risk").kill()

    say_that_today_is_rough(robin)

    assert len(app.phone(client).get("/v1/check-ins").body["items"]) == 1
    alerts = app.phone(coach).get("/v1/alerts?state=open").body["items"]
    assert len(alerts) == 1


def check_in(page: Any, note: str) -> None:
    page.get_by_label("How strong is the craving?").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_label("A note for your coach").fill(note)
    page.get_by_role("button", name="Check in", exact=True).click()


def notes_of(app: App, client: str) -> list[tuple[str, str]]:
    """What the client noted, the oldest first, each with its id."""
    items = app.phone(client).get("/v1/check-ins").body["items"]
    return [(item["note"], item["id"]) for item in reversed(items)]


def kept_on_the_phone(page: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate("""() => Object.entries(localStorage)
        .filter(([name]) => name.startsWith("check-ins.")).flatMap(([, kept]) => JSON.parse(kept))""")
    return found


def test_check_ins_made_without_a_connection_outlive_the_page_and_arrive_in_order_at_their_own_moments(
    app: App, open_page: OpenPage
) -> None:
    client, _ = new_couple(app)
    robin = sign_in(open_page(PHONE), client)
    robin.context.route("**/v1/check-ins", lambda route: route.abort())
    for note in ("in the first tunnel", "in the second"):
        check_in(robin, note)
        robin.get_by_role("button", name="Check in again").click()
    robin.get_by_text("2 check-ins are kept here").wait_for()
    made = kept_on_the_phone(robin)
    assert [said["note"] for said in made] == ["in the first tunnel", "in the second"]
    robin.reload()
    robin.get_by_text("2 check-ins are kept here").wait_for()
    assert kept_on_the_phone(robin) == made
    assert notes_of(app, client) == []

    robin.context.unroute("**/v1/check-ins")
    robin.reload()

    until(lambda: len(notes_of(app, client)) == 2, "both arrived")
    assert notes_of(app, client) == [(said["note"], said["id"]) for said in made]
    arrived = app.phone(client).get("/v1/check-ins").body["items"]
    assert [item["at"] for item in reversed(arrived)] == [said["at"] for said in made]
    until(lambda: kept_on_the_phone(robin) == [], "the phone lets go of what is safe")
    assert robin.get_by_role("heading", name="A steady day").count() == 2
    robin.get_by_role("heading", name="How is today?").wait_for()


def test_a_check_in_that_cannot_be_read_is_kept_for_a_person_and_the_next_one_goes_on(
    app: App, open_page: OpenPage
) -> None:
    client, _ = new_couple(app)
    robin = sign_in(open_page(PHONE), client)

    def spoil(route: Any) -> None:
        if "cannot be read" in (route.request.post_data or ""):
            route.continue_(post_data=route.request.post_data.replace('"craving":6', '"craving":66'))
        else:
            route.continue_()

    robin.context.route("**/v1/check-ins", spoil)
    check_in(robin, "this cannot be read")
    robin.locator("main").get_by_text("We could not read it. It is kept whole").wait_for()
    robin.get_by_role("button", name="Check in again").click()
    check_in(robin, "and this can")
    robin.get_by_role("heading", name="A steady day").wait_for()

    assert [note for note, _ in notes_of(app, client)] == ["and this can"]
    (aside,) = app.phone(client).get("/v1/check-ins/aside").body["items"]
    assert aside["fields"] == ["craving"]
    assert kept_on_the_phone(robin) == []


def test_a_check_in_that_nobody_keeps_stays_on_the_phone_blocks_nothing_and_is_tried_with_the_next_page(
    app: App, open_page: OpenPage
) -> None:
    client, _ = new_couple(app)
    robin = sign_in(open_page(PHONE), client)
    refusal = {"status": 422, "content_type": "application/problem+json", "body": '{"status": 422, "detail": "No."}'}

    def refuse(route: Any) -> None:
        if "nobody keeps" in (route.request.post_data or ""):
            route.fulfill(**refusal)
        else:
            route.continue_()

    robin.context.route("**/v1/check-ins", refuse)
    check_in(robin, "this nobody keeps")
    robin.locator("main").get_by_text("Your check-in stays on this phone").wait_for()
    robin.get_by_role("button", name="Check in again").click()
    check_in(robin, "the next")
    robin.get_by_role("heading", name="A steady day").wait_for()
    assert [said["note"] for said in kept_on_the_phone(robin)] == ["this nobody keeps"]
    assert [note for note, _ in notes_of(app, client)] == ["the next"]

    robin.context.unroute("**/v1/check-ins")
    robin.reload()

    robin.get_by_role("heading", name="A steady day").wait_for()
    assert sorted(note for note, _ in notes_of(app, client)) == ["the next", "this nobody keeps"]
    assert kept_on_the_phone(robin) == []


def test_help_is_there_before_anybody_signs_in_and_when_every_service_is_away(open_page: OpenPage) -> None:
    page = open_page(PHONE)
    page.route("**/v1/**", lambda route: route.abort())
    page.reload()

    page.get_by_text("Help now").click()

    assert page.get_by_role("link", name="Call 988").get_attribute("href") == "tel:988"
    assert page.get_by_role("link", name="Text 741741").get_attribute("href") == "sms:741741"
    assert page.get_by_role("link", name="Call 116 123").is_visible()


def test_help_shows_the_lines_of_the_operators_region_when_the_server_answers(app: App, open_page: OpenPage) -> None:
    page = open_page(PHONE)

    page.get_by_text("Help now").click()
    page.get_by_role("link", name="Call 116 123").wait_for(state="hidden")

    shown = page.locator("#lines li span").all_text_contents()
    assert shown == [line["name"] for line in app.stranger().get("/v1/crisis-lines").body["items"]]


def test_help_needs_no_script(open_page: OpenPage) -> None:
    page = open_page(PHONE, java_script_enabled=False)

    page.get_by_text("Help now").click()

    assert page.get_by_role("link", name="Call 988").is_visible()


def test_a_lapse_is_answered_with_kind_words_and_with_numbers_to_call(app: App, open_page: OpenPage) -> None:
    client, _ = new_couple(app)
    page = sign_in(open_page(PHONE), client)
    page.get_by_text("Say more, if you like").click()
    page.get_by_label("Did you use anything?").fill("heroin")
    page.get_by_label("How strong is the craving?").focus()
    page.keyboard.press("End")
    page.get_by_role("button", name="Check in").click()

    page.get_by_role("heading", name="A very hard day").wait_for()
    assert page.locator("main").get_by_text("After a break, the same amount can be too much").is_visible()
    assert page.locator("main").get_by_role("link", name="Call 988").is_visible()


def test_a_check_in_says_only_what_was_answered(app: App, open_page: OpenPage) -> None:
    client, _ = new_couple(app)
    page = sign_in(open_page(PHONE), client)
    assert page.get_by_role("button", name="Check in").is_disabled()
    page.get_by_label("How strong is the craving?").focus()
    page.keyboard.press("Home")
    page.get_by_role("button", name="Check in").click()
    page.get_by_role("heading", name="A steady day").wait_for()

    kept = app.phone(client).get("/v1/check-ins").body["items"][0]
    said = {name for name, value in kept.items() if value not in (None, [])}
    assert said == {"id", "at", "client_id", "band", "craving"}
    assert kept["craving"] == 0


def test_a_goal_is_proposed_by_one_and_agreed_by_the_other(app: App, open_page: OpenPage) -> None:
    client, coach = new_couple(app)
    kim = sign_in(open_page(DESK), coach)
    kim.get_by_role("button", name="Robin").click()
    kim.get_by_text("No goals yet").wait_for()
    robin = sign_in(open_page(PHONE), client)
    robin.get_by_role("button", name="Goals").click()
    robin.get_by_label("A goal").fill("Walk by the river")
    robin.get_by_role("button", name="Propose").click()

    kim.get_by_text("Walk by the river").wait_for()
    kim.get_by_role("button", name="Agree").click()

    robin.get_by_role("button", name="I did it").click()
    robin.get_by_text("Well done").wait_for()
    assert app.phone(client).get("/v1/goals").body["items"][0]["state"] == "completed"


def test_a_coach_goes_on_duty_and_a_client_reaches_whoever_is_there(app: App, open_page: OpenPage) -> None:
    client, coach = new_couple(app)
    kim = sign_in(open_page(DESK), coach)
    kim.get_by_role("switch", name="On duty").click()
    until(lambda: kim.get_by_role("switch").get_attribute("aria-checked") == "true", "on duty")
    until(lambda: app.phone(coach).get("/v1/me/availability").body["on_duty"], "coaching knows")
    robin = sign_in(open_page(PHONE), client)
    robin.get_by_role("button", name="Talk").click()
    robin.get_by_role("button", name="Whoever is on duty").click()
    write(robin, "the coach on duty", "Is somebody there?")

    kim.get_by_role("button", name="while on duty").click()
    kim.get_by_text("Is somebody there?").wait_for()


def test_a_client_to_whom_nobody_comes_is_told_so_and_is_taken_by_a_supervisor(
    browser: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running(tmp_path_factory.mktemp("nobody"), waiting_seconds="1") as app:
        client, desk = browser.new_page(viewport=PHONE), browser.new_page(viewport=DESK)
        wrong: list[str] = []
        for page in (client, desk):
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.goto(f"{app.url}/app/")
        sign_in(client, "maya")
        sign_in(desk, "ines")
        desk.get_by_text("Nobody is waiting.").wait_for()
        client.get_by_role("button", name="Talk").click()
        client.get_by_role("button", name="Whoever is on duty").click()
        client.get_by_text("we do not know when somebody will be").wait_for()
        assert client.locator("main .panel .lines").get_by_text("988").first.is_visible()
        assert client.evaluate(UNNAMED_CONTROLS) == []
        assert client.evaluate(PALE_WORDS) == []

        desk.get_by_role("button", name="Take it").click()
        write(desk, "A client", "I am here now")
        client.get_by_text("I am here now").wait_for()
        client.get_by_text("we do not know when").wait_for(state="detached")
        assert desk.evaluate(UNNAMED_CONTROLS) == []
        desk.get_by_role("button", name="End this conversation").click()
        client.get_by_text("This conversation has ended.").wait_for()
        assert wrong == []


def test_a_coach_sets_hours_and_is_told_where_they_cannot_be_meant(app: App, open_page: OpenPage) -> None:
    _, coach = new_couple(app)
    kim = sign_in(open_page(DESK), coach)
    kim.get_by_text("My hours").click()
    kim.get_by_label("Monday").fill("09:00-12:00, 11:00-17:00")
    kim.get_by_label("Time zone").fill("Europe/London")
    kim.get_by_label("Conversations at once").fill("3")
    kim.get_by_role("button", name="Save").click()
    kim.get_by_text("Monday, no. 2, start: Must not be before the end of another one.").wait_for()
    kim.get_by_label("Monday").fill("09:00-12:00, 13:00-17:00")
    kim.get_by_label("Days off").fill("2026-12-24 to 2026-12-26, 2027-01-01")
    kim.get_by_role("button", name="Save").click()
    kim.get_by_text("Saved.").wait_for()
    assert kim.evaluate(UNNAMED_CONTROLS) == []
    assert kim.evaluate(PALE_WORDS) == []
    kept = app.phone(coach).get("/v1/me/availability").body
    assert kept["hours"]["monday"] == [{"start": "09:00", "end": "12:00"}, {"start": "13:00", "end": "17:00"}]
    assert kept["holidays"] == [
        {"first": "2026-12-24", "last": "2026-12-26"},
        {"first": "2027-01-01", "last": "2027-01-01"},
    ]
    assert (kept["zone"], kept["capacity"]) == ("Europe/London", 3)


def test_an_alert_that_nobody_answered_appears_on_the_supervisors_desk(
    browser: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running(tmp_path_factory.mktemp("late"), alert_seconds_high="1") as app:
        page = browser.new_page(viewport=DESK)
        page.goto(f"{app.url}/app/")
        sign_in(page, "ines")
        app.phone("maya").post("/v1/check-ins", {"id": "rough", "craving": 9})

        page.get_by_role("button", name="I am on it").click()

        page.locator(".alert").get_by_text("You are on it").wait_for()
        assert app.phone("ines").get("/v1/alerts?state=acknowledged").body["items"][0]["rung"] == "supervisor"
        page.close()


def test_nothing_of_a_person_is_left_in_the_address_the_title_or_the_browser(app: App, open_page: OpenPage) -> None:
    client, coach = new_couple(app)
    robin = sign_in(open_page(PHONE), client)
    say_that_today_is_rough(robin)
    robin.get_by_role("button", name="Talk").click()
    write(robin, "Kim", "some words of mine")
    robin.locator(".mine", has_text="some words").get_by_text("Sent").wait_for()

    assert robin.url == f"{app.url}/app/"
    assert robin.title() == "Alongside"
    assert robin.evaluate("localStorage.length") == 0
    kept = robin.evaluate("({...sessionStorage})")
    # The words there are the same for everybody, but for a plan.
    help_kept = kept.pop("help")
    for word in ("Robin", "Kim", client, coach, "words of mine", "Friday"):
        assert word not in help_kept + str(kept)
    assert "craving" not in str(kept)


def test_leaving_the_page_goes_elsewhere_at_once_and_the_way_back_shows_nothing(app: App, open_page: OpenPage) -> None:
    client, _ = new_couple(app)
    robin = open_page(PHONE)
    robin.context.route("https://**/*", lambda route: route.fulfill(body="the weather", content_type="text/plain"))
    sign_in(robin, client)

    robin.get_by_role("button", name="Leave this page").click()
    robin.get_by_text("the weather").wait_for()

    assert "alongside" not in robin.title().lower()
    robin.goto(f"{app.url}/app/")
    robin.get_by_role("heading", name="Welcome").wait_for()


def test_words_of_a_person_are_shown_as_words_and_never_as_markup(app: App, open_page: OpenPage) -> None:
    client, coach = new_couple(app)
    words = "<img src=x onerror=\"document.title='gone'\"><b>hi</b>"
    robin, kim = app.phone(client), app.phone(coach)
    talk = app.talk(robin, kim)
    robin.post(f"/v1/conversations/{talk}/messages", {"client_message_id": "m", "text": words})
    desk = sign_in(open_page(DESK), coach)

    desk.get_by_role("button", name="Robin").click()

    desk.get_by_text("<b>hi</b>").wait_for()
    assert desk.title() == "Alongside"


def test_a_session_goes_on_when_the_access_token_ends(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(tmp_path_factory.mktemp("short"), token_seconds="8") as app:
        page = browser.new_page(viewport=PHONE)
        renewed: list[int] = []
        page.on("response", lambda answer: answer.url.endswith("/auth/refresh") and renewed.append(answer.status))
        page.goto(f"{app.url}/app/")
        sign_in(page, "maya")
        page.get_by_role("button", name="Talk").click()
        page.get_by_label("Write to Sam").wait_for()
        until(lambda: page.evaluate("1") and len(renewed) >= 2, "renewed twice")

        write(page, "Sam", "still here")

        page.locator(".mine", has_text="still here").get_by_text("Sent").wait_for()
        assert set(renewed) == {200}
        page.close()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_every_view_can_be_read_named_and_held_in_one_hand(app: App, open_page: OpenPage, colours: str) -> None:
    client, coach = new_couple(app)
    robin, kim = open_page(PHONE, color_scheme=colours), open_page(PHONE, color_scheme=colours)

    robin.get_by_text("Help now").click()
    is_fit(robin)
    robin.get_by_text("Help now").click()
    sign_in(robin, client)
    robin.get_by_text("Say more, if you like").click()
    is_fit(robin)
    robin.get_by_text("Say more, if you like").click()
    say_that_today_is_rough(robin)
    is_fit(robin)
    robin.get_by_role("button", name="Talk").click()
    write(robin, "Kim", "https://a-very-long-word-without-any-place-to-break-it-into-two-lines-of-a-phone.example")
    robin.locator(".mine").get_by_text("Sent").wait_for()
    is_fit(robin)
    for tab, heading in (("Plan", "My safety plan"), ("Goals", "My aim"), ("More", "Questionnaires")):
        robin.get_by_role("navigation").get_by_role("button", name=tab).click()
        robin.get_by_role("heading", name=heading).wait_for()
        is_fit(robin)
    sign_in(kim, coach)
    kim.get_by_role("button", name="I am on it").click()
    for part, words in (("Finish", "What it gave"), ("Hand over", "To whom?"), ("What was done", "Taken on, by Kim")):
        kim.locator(".alert summary", has_text=part).click()
        kim.locator(".alert").get_by_text(words).wait_for()
    is_fit(kim)
    kim.get_by_role("button", name="Write", exact=True).click()
    kim.get_by_text("a-very-long-word").wait_for()
    kim.locator(".chosen summary", has_text="Check-ins").click()
    kim.locator(".entry").get_by_text("Craving is strong today").wait_for()
    is_fit(kim)


def test_a_client_can_do_everything_with_the_keyboard(app: App, open_page: OpenPage) -> None:
    client, _ = new_couple(app)
    page = open_page(PHONE)

    def press_until(name: str, key: str = "Tab") -> None:
        for _ in range(40):
            focused = "document.activeElement.labels?.[0]?.textContent || document.activeElement.textContent"
            if (page.evaluate(focused) or "").strip().startswith(name):
                return
            page.keyboard.press(key)
        pytest.fail(f"{name} cannot be reached with {key}")

    press_until("Help now")
    page.keyboard.press("Enter")
    assert page.get_by_role("link", name="Call 988").is_visible()
    press_until("Your sign-in name")
    page.keyboard.type(client)
    press_until("Password")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="How is today?").wait_for()
    press_until("How strong is the craving?")
    page.keyboard.press("ArrowRight")
    press_until("Check in")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="A bit harder today").or_(
        page.get_by_role("heading", name="A steady day")
    ).wait_for()
