"""The page without a network, in a real browser: what opens, what waits, and no phone between two releases."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from gateway import pages
from infra.web import make_app
from tests.app import PASSWORD, App, running, until
from tests.gateway.pages import PHONE, OpenPage, is_fit, new_couple, sign_in

pytestmark = pytest.mark.browser

PLAN = {"coping_strategies": ["Walk by the river", "Cold water"]}
KEPT_PAGES = """async () => {
    const names = await caches.keys();
    const kept = await Promise.all(names.map(async (name) => (await (await caches.open(name)).keys())));
    return kept.flat().map((request) => new URL(request.url).pathname);
}"""


@pytest.fixture(scope="module")
def app(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """Not started where there is no browser to look at it."""
    assert browser.is_connected()
    with running(tmp_path_factory.mktemp("offline"), restart=True) as app:
        yield app


def open_once(open_page: OpenPage, **options: Any) -> Any:
    """The page, once it is kept."""
    page = open_page(PHONE, service_workers="allow", **options)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    return page


def lose_the_network(page: Any) -> None:
    page.context.set_offline(True)
    assert page.evaluate("fetch('/livez').then(() => 'there', () => 'away')") == "away"


def help_now(page: Any) -> Any:
    page.get_by_text("Help now", exact=True).click()
    return page.locator("#help")


def check_in(page: Any, note: str, words: str = "Check in") -> None:
    page.get_by_label("How strong is the craving?").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_label("A note for your coach").fill(note)
    page.get_by_role("button", name=words, exact=True).click()


def notes_of(app: App, client: str) -> list[str]:
    return [one["note"] for one in app.phone(client).get("/v1/check-ins").body["items"]]


def test_whoever_opened_the_page_once_finds_the_crisis_lines_without_a_network(app: App, open_page: OpenPage) -> None:
    page = open_once(open_page)
    lines = [line["name"] for line in app.stranger().get("/v1/crisis-lines").body["items"]]
    lose_the_network(page)

    page.close()
    page = page.context.new_page()
    answer = page.goto(f"{app.url}/app/")

    assert answer.headers["content-security-policy"] == pages.HEADERS["Content-Security-Policy"]
    found = help_now(page)
    until(lambda: page.locator("#lines li span").all_text_contents() == lines, "the lines of the operator's region")
    assert found.get_by_role("link", name="Call 988").is_visible()
    page.get_by_label("Your sign-in name").fill("maya")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("We cannot reach Alongside right now.").wait_for()
    is_fit(page)


def test_a_browser_finds_nothing_wrong_with_how_the_page_is_put_on_a_home_screen(open_page: OpenPage) -> None:
    page = open_once(open_page)
    found = page.context.new_cdp_session(page).send("Page.getAppManifest")
    assert found["errors"] == []
    assert '"short_name": "Alongside"' in found["data"]


def test_a_phone_without_a_network_has_the_persons_help_and_keeps_the_check_in_until_it_is_back(
    app: App, open_page: OpenPage
) -> None:
    client, _ = new_couple(app)
    app.phone(client).put("/v1/safety-plan", PLAN)
    robin = sign_in(open_once(open_page), client)
    help_now(robin).get_by_text("Cold water").wait_for()
    cards = robin.locator("#own-help .card:not(.coach):not(.peers) h2").all_text_contents()
    assert len(cards) > 1
    lose_the_network(robin)

    robin.reload()

    robin.get_by_text("Connecting again").wait_for()
    found = help_now(robin)
    found.get_by_text("We cannot reach Alongside right now").wait_for()
    assert found.get_by_text("Cold water").is_visible()
    assert robin.locator("#own-help .card h2").all_text_contents() == cards
    is_fit(robin)
    robin.get_by_text("Help now", exact=True).click()
    check_in(robin, "made in a tunnel")
    robin.get_by_text("Your check-in is kept here").wait_for()
    robin.reload()
    robin.get_by_text("A check-in is kept here").wait_for()
    shown = {"Plan": "is under “Help now”", "Talk": "as soon as we reach Alongside", "Today": "kept here"}
    for tab, words in shown.items():
        robin.get_by_role("navigation").get_by_role("button", name=tab).click()
        robin.get_by_text(words).wait_for()
    assert notes_of(app, client) == []
    is_fit(robin)

    robin.context.set_offline(False)

    robin.get_by_role("heading", name="A steady day").wait_for()
    assert notes_of(app, client) == ["made in a tunnel"]


def test_the_worker_keeps_the_page_and_the_lines_and_nothing_of_a_person(app: App, open_page: OpenPage) -> None:
    client, _ = new_couple(app)
    app.phone(client).put("/v1/safety-plan", PLAN)
    robin = open_once(open_page)
    robin.reload()
    sign_in(robin, client)
    help_now(robin).get_by_text("Cold water").wait_for()
    assert "Cold water" in robin.evaluate("JSON.stringify({...sessionStorage})")
    kept = robin.evaluate(KEPT_PAGES)
    files = {"", *(file.name for file in pages.WEB.iterdir())} - {"index.html", pages.WORKER}
    assert sorted(kept) == sorted([*(f"/app/{name}" for name in files), "/v1/crisis-lines"])

    robin.get_by_role("button", name="Sign out").click()
    robin.get_by_role("heading", name="Welcome").wait_for()

    assert robin.evaluate("[sessionStorage.length, localStorage.length]") == [0, 0]
    assert robin.evaluate(KEPT_PAGES) == kept
    lose_the_network(robin)
    robin.reload()
    assert "Cold water" not in help_now(robin).inner_text()
    assert robin.get_by_role("link", name="Call 988").is_visible()


def test_a_check_in_made_where_nobody_could_sign_in_is_sent_by_whoever_says_that_it_is_theirs(
    app: App, open_page: OpenPage
) -> None:
    client, _ = new_couple(app)
    other, _ = new_couple(app)
    page = open_once(open_page)
    lose_the_network(page)
    page.reload()
    page.get_by_text("Check in without signing in").click()
    is_fit(page)
    check_in(page, "before I could sign in", "Keep my check-in")
    page.get_by_role("heading", name="Your check-in is kept").wait_for()
    is_fit(page)
    page.get_by_role("button", name="Check in again").click()
    check_in(page, "a slip of the finger", "Keep my check-in")
    made = page.evaluate("JSON.parse(localStorage.getItem('check-ins.-nobody'))")
    page.context.set_offline(False)

    sign_in(page, other)
    page.get_by_text("Is it yours?").first.wait_for()
    assert "before I could" not in page.content()
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, client)
    is_fit(page)
    page.get_by_role("button", name="It is mine, send it").first.click()
    page.get_by_role("heading", name="A steady day").wait_for()
    page.get_by_role("button", name="Throw it away").click()
    page.get_by_text("Is it yours?").wait_for(state="detached")

    (arrived,) = app.phone(client).get("/v1/check-ins").body["items"]
    assert (arrived["note"], arrived["id"]) == ("before I could sign in", made[0]["id"])
    assert arrived["at"] == made[0]["at"]
    assert notes_of(app, other) == []
    assert page.evaluate("localStorage.length") == 0


class Release:
    """The files of the page alone, on a port of the loopback, to be changed as a new release changes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(shutil.copytree(pages.WEB, folder))
        app = make_app("gateway", lambda: None, dict)
        pages.page_routes(app, self.folder)
        self.server = make_server("127.0.0.1", 0, app, threaded=True)
        self.url = f"http://127.0.0.1:{self.server.port}/app/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def mark(self, name: str, words: str) -> None:
        """The file says at the end which release it is of."""
        said = f"globalThis.releases = {{ ...globalThis.releases, {name[:-3]}: '{words}' }};"
        (self.folder / name).write_text(f"{(pages.WEB / name).read_text()}\n{said}\n")


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Release]:
    release = Release(tmp_path / "web")
    yield release
    release.server.shutdown()
    release.server.server_close()


def open_release(browser: Any, release: Release) -> Any:
    page = browser.new_context(viewport=PHONE).new_page()
    page.goto(release.url)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    return page


def releases(page: Any) -> Any:
    """Of which release the two marked files of the page are, of an opening that is over."""
    page.get_by_role("heading", name="Welcome").wait_for()
    return page.evaluate("globalThis.releases")


def open_again(page: Any) -> Any:
    """Not before the last opening is long over, as the worker counts it."""
    until(lambda: page.evaluate("performance.now() > 3000"), "it is over")
    page.reload()
    return releases(page)


def kept_releases(page: Any) -> list[str]:
    return [name for name in page.evaluate("caches.keys()") if name.startswith("page ")]


def test_a_new_release_is_taken_whole_and_works_without_the_network_at_once(browser: Any, release: Release) -> None:
    for name in ("app.js", "page.js"):
        release.mark(name, "first")
    page = open_release(browser, release)
    assert open_again(page) == {"app": "first", "page": "first"}
    for name in ("app.js", "page.js"):
        release.mark(name, "second")
    page.evaluate("navigator.serviceWorker.getRegistration().then((one) => one.update()).then(() => true)")
    until(lambda: page.evaluate("navigator.serviceWorker.getRegistration().then((one) => one.waiting?.state)"), "kept")
    assert len(kept_releases(page)) == 2
    release.server.shutdown()
    release.server.server_close()

    assert open_again(page) == {"app": "second", "page": "second"}

    until(lambda: len(kept_releases(page)) == 1, "the old one is let go")
    page.context.close()


def test_of_a_release_that_is_only_half_there_nothing_is_taken(
    browser: Any, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("app.js", "page.js"):
        release.mark(name, "first")
    page = open_release(browser, release)
    # One of two gateways is of the new release already, and names the files that the other has not got yet.
    release.mark("page.js", "second")
    new = pages.worker_of(release.folder)
    release.mark("page.js", "first")
    asked: list[str] = []
    monkeypatch.setattr(pages, "worker_of", lambda _: asked.append(new) or new)
    release.mark("app.js", "second")

    assert open_again(page) == {"app": "first", "page": "first"}
    until(lambda: asked, "the browser asked for the new one")
    assert open_again(page) == {"app": "first", "page": "first"}
    assert page.evaluate("navigator.serviceWorker.getRegistration().then((one) => one.waiting)") is None

    monkeypatch.undo()
    release.mark("page.js", "second")
    until(lambda: open_again(page) == {"app": "second", "page": "second"}, "the whole of it")
    page.context.close()
