"""What an operator wants to know when something feels wrong."""

from __future__ import annotations

from typing import NamedTuple

from infra.log import LogDown, open_log
from infra.runner import answers
from infra.settings import Settings
from infra.store import STORE_DOWN, connect
from schemas.catalogue import SERVICES, TOPICS
from schemas.crisis import LINES


class Finding(NamedTuple):
    """One thing that was looked at. ``words`` say what was found, and what to do when it is not well."""

    what: str
    well: bool
    words: str


def examine(settings: Settings) -> list[Finding]:
    """Look at everything that can be looked at without changing it."""
    return [
        Finding("settings", True, f"env {settings.env}, region {settings.region}"),
        _store(settings),
        _log(settings),
        *(_service(name, settings) for name in SERVICES),
        *_letters(settings),
        *_set_aside(settings),
        _push(settings),
        _lines(settings),
    ]


def _store(settings: Settings) -> Finding:
    store = connect("doctor", settings)
    try:
        store.ping()
    except STORE_DOWN as error:
        return Finding("store", False, f"no answer ({type(error).__name__}); is it running at ALONGSIDE_STORE_URL?")
    finally:
        store.close()
    return Finding("store", True, "answers")


def _log(settings: Settings) -> Finding:
    log = open_log(settings.log_url)
    try:
        log.ping()
        log.tail(sorted(TOPICS)).close()
    except LogDown as error:
        return Finding("log", False, f"no answer ({error}); is it running at ALONGSIDE_LOG_URL?")
    except KeyError as error:
        return Finding("log", False, f"topic {error} is missing; run `alongside topics`")
    finally:
        log.close()
    return Finding("log", True, f"answers, {len(TOPICS)} topics")


def _service(name: str, settings: Settings) -> Finding:
    url = settings.peers.get(name)
    if url is None:
        return Finding(name, False, "ALONGSIDE_PEERS does not name it")
    if not answers(f"{url}/readyz"):
        return Finding(name, False, f"not ready; look at {url}/readyz and at its log")
    return Finding(name, True, "ready")


def _letters(settings: Settings) -> list[Finding]:
    findings: list[Finding] = []
    for name in (*SERVICES, "gateway"):
        store = connect(name, settings)
        try:
            count = store.collection("dead").count_documents({})
        except STORE_DOWN:
            # Said above, once.
            return findings
        finally:
            store.close()
        if count:
            findings.append(Finding(name, False, f"{count} dead letters; see `alongside dead list`"))
    return findings or [Finding("dead letters", True, "none")]


def _set_aside(settings: Settings) -> list[Finding]:
    store = connect("risk", settings)
    try:
        count = store.collection("set_aside").count_documents({"state": "waiting"})
    except STORE_DOWN:
        # Said above, once.
        return []
    finally:
        store.close()
    words = f"{count} could not be read and are set aside; see `alongside check-ins aside list`"
    return [Finding("check-ins", False, words)] if count else []


def _lines(settings: Settings) -> Finding:
    since = min(line.checked_on for line in LINES[settings.region])
    return Finding(
        "crisis lines", True, f"{settings.region}, compared with what they publish on {since}: do so once a year"
    )


def _push(settings: Settings) -> Finding:
    phones, browsers = bool(settings.firebase_credentials or settings.fcm_endpoint), bool(settings.vapid_private_key)
    if phones and browsers:
        return Finding("push", True, "configured for phones and for browsers")
    if phones or browsers:
        return Finding("push", True, f"configured for {'phones' if phones else 'browsers'} alone")
    return Finding("push", settings.env != "production", "no credentials: phones that are asleep are not woken")
