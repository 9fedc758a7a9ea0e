"""One app for all tests here that do it no harm."""

from tests.app import app, fcm, the_app

__all__ = ["app", "fcm", "the_app"]
