"""The page in a real browser: Chromium, people who open it, and what has to hold on every view."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from infra.runner import answers
from tests.app import PASSWORD, App, until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MISSING = (
    "Chromium is not installed"
    if CHROMIUM is None
    else "playwright is not installed"
    if importlib.util.find_spec("playwright") is None
    else None
)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
OpenPage = Callable[..., Any]

PHONE = {"width": 360, "height": 740}
DESK = {"width": 1200, "height": 800}

# Every control that a person cannot know the name of without seeing it.
UNNAMED_CONTROLS = """() => [...document.querySelectorAll("input, select, textarea, button, a")]
    .filter((one) => one.offsetParent !== null)
    .filter((one) => !(one.labels?.length || one.getAttribute("aria-label") || one.textContent.trim()))
    .map((one) => one.outerHTML)"""

# Words whose colour is too close to what is behind them, by the formula of WCAG 2; disabled controls are exempt there.
PALE_WORDS = """() => {
    const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = (colour) => numbers(colour).slice(0, 3).map((one) => one / 255)
        .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
        .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = getComputedStyle(at).backgroundColor;
            if ((numbers(colour)[3] ?? 1) > 0) return colour;
        }
        return "rgb(255, 255, 255)";
    };
    const isWords = (node) => node.nodeType === 3 && node.textContent.trim();
    const hasWords = (element) => [...element.childNodes].some(isWords);
    return [...document.body.querySelectorAll("*")]
        .filter((one) => one.offsetParent !== null && hasWords(one) && !one.closest(":disabled"))
        .map((one) => {
            const pair = [light(getComputedStyle(one).color), light(behind(one))].sort((a, b) => b - a);
            return [one.textContent.trim().slice(0, 40), (pair[0] + 0.05) / (pair[1] + 0.05)];
        })
        .filter(([, contrast]) => contrast < 4.5);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, with a profile that is thrown away."""
    if MISSING is not None:
        if os.environ.get("ALONGSIDE_REQUIRE_BROWSER") == "1":
            pytest.fail(f"ALONGSIDE_REQUIRE_BROWSER=1, but {MISSING}")
        pytest.skip(MISSING)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any, app: App) -> Iterator[OpenPage]:
    """Opens the page as a person of its own, and fails the test when the page threw or broke its own content policy."""
    # A test before this one may have killed a part.
    until(lambda: answers(f"{app.url}/readyz"), "the gateway is there")
    contexts: list[Any] = []
    wrong: list[str] = []

    def open_one(size: dict[str, int], **options: Any) -> Any:
        # With a service worker what a test puts in the place of an answer may not be asked; some tests want one.
        contexts.append(browser.new_context(viewport=size, **{"service_workers": "block", **options}))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: "Content Security Policy" in said.text and wrong.append(said.text))
        page.goto(f"{app.url}/app/")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert wrong == []


def sign_in(page: Any, login: str) -> Any:
    page.get_by_label("Your sign-in name").fill(login)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()
    return page


def new_couple(app: App) -> tuple[str, str]:
    """The sign-in names of a new client, called Robin, and of Robin's new coach, called Kim."""
    client, coach = app.enrol("client", display_name="Robin"), app.enrol("coach", display_name="Kim")
    app.assign(client, coach)
    logins = (f"client-{client.id}", f"coach-{coach.id}")
    app.hang_up()
    return logins


def write(page: Any, to: str, words: str) -> None:
    page.get_by_label(f"Write to {to}").fill(words)
    page.get_by_role("button", name="Send").click()


def is_fit(page: Any) -> None:
    """Whatever is on the page can be named, read, and held in one hand."""
    wide = page.evaluate("document.scrollingElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0
    assert page.evaluate(UNNAMED_CONTROLS) == []
    assert page.evaluate(PALE_WORDS) == []
