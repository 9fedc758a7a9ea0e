"""One app for all tests here that do it no harm, and one browser."""

from tests.app import app, fcm, the_app
from tests.gateway.pages import browser, open_page

__all__ = ["app", "browser", "fcm", "open_page", "the_app"]
