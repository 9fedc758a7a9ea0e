"""What an operator sets, read once from the environment. All mistakes are reported at once."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from environs import Env, EnvValidationError, ValidationError
from marshmallow.validate import Length, OneOf, Range

from schemas.crisis import LINES


class BadSettings(Exception):
    """The configuration cannot be used. ``problems`` has one sentence for each mistake."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Settings:
    """Everything that a part needs to know of its surroundings.

    Attributes:
        env: ``embedded`` (one machine, ``alongside up``), ``test`` or ``production``.
        store_url: ``mongodb://...``; each service has its own databases there, named with ``store_prefix`` in front.
        log_url: ``kafka://...`` or ``sqlite:///...``.
        secret: what tokens are signed with, at least 32 characters.
        vault_key: 32 bytes that wrap every person's key.
        public_url: where phones reach the gateway.
        listen: host and port of this part.
        peers: name of a service to its base URL.
        firebase_credentials: path of a Google service account file, or None.
        firebase_project: the Firebase project whose sign-ins are taken.
        firebase_emulator: ``host:port`` of an Auth emulator, whose tokens nobody signs.
        fcm_endpoint: base URL of a stand-in for FCM.
        vapid_private_key: what Web Push is signed with, 32 bytes in base64url, or None: no push to browsers.
        vapid_contact: ``mailto:`` or ``https:`` address of whoever answers for what is pushed.
        rate_limits: whether too many requests are refused.
        proxies: how many proxies in front of the gateway are ours, so that the caller's address is believed from them.
        alert_seconds: by band, how long an alert waits for a human before the next one is asked.
        follow_up_seconds: how long after it was acknowledged an alert that nobody closed is asked about again.
        alert_budget: how many alerts a day are thought enough for one coach; beyond it others are asked first.
        bands: by band, the sensitivity at which the weeks behind a client are called by it.
        assumed_steps: whether today's answers move the score by steps that are assumed and not fitted.
        risk_model: path of the operator's own model file, or None for the one that ships.
        waiting_seconds: how long a conversation waits for whoever is on duty before the supervisors are told.
        token_seconds: how long an access token holds.
        region: whose crisis lines are shown first.
        instruments: folder of an operator's own instruments, beside those that ship, or None.
    """

    env: Literal["embedded", "test", "production"]
    store_url: str
    store_prefix: str
    log_url: str
    secret: str
    vault_key: bytes
    public_url: str
    listen: tuple[str, int]
    peers: Mapping[str, str]
    firebase_credentials: str | None
    firebase_project: str | None
    firebase_emulator: str | None
    fcm_endpoint: str | None
    vapid_private_key: str | None
    vapid_contact: str
    rate_limits: bool
    proxies: int
    alert_seconds: Mapping[str, int]
    follow_up_seconds: int
    alert_budget: int
    bands: Mapping[Literal["steady", "watch", "high", "urgent"], float]
    assumed_steps: bool
    risk_model: str | None
    waiting_seconds: int
    token_seconds: int
    region: str
    instruments: str | None


def read_settings() -> Settings:
    """Settings from the ``ALONGSIDE_*`` variables of the environment.

    Raises:
        BadSettings: with every mistake in it, not just the first.
    """
    env = Env(eager=False, prefix="ALONGSIDE_")
    settings = Settings(
        env=env.str("ENV", "embedded", validate=OneOf(("embedded", "test", "production"))),  # type: ignore[arg-type]
        store_url=env.str("STORE_URL", validate=_starts("mongodb://", "mongodb+srv://")),
        store_prefix=env.str("STORE_PREFIX", ""),
        log_url=env.str("LOG_URL", validate=_starts("kafka://", "sqlite://")),
        secret=env.str("SECRET", validate=Length(min=32, error="needs 32 characters or more: `openssl rand -hex 32`")),
        vault_key=_key(env.str("VAULT_KEY", validate=_is_key)),
        public_url=env.str("PUBLIC_URL", "http://127.0.0.1:8000", validate=_starts("http://", "https://")),
        listen=_address(env.str("LISTEN", "127.0.0.1:8000", validate=_is_address)),
        peers=_peers(env.str("PEERS", "", validate=_are_peers)),
        firebase_credentials=env.str("FIREBASE_CREDENTIALS", None) or None,
        firebase_project=env.str("FIREBASE_PROJECT", None) or None,
        firebase_emulator=env.str("FIREBASE_EMULATOR", None) or None,
        fcm_endpoint=env.str("FCM_ENDPOINT", None) or None,
        vapid_private_key=env.str("VAPID_PRIVATE_KEY", "", validate=_is_vapid_key) or None,
        vapid_contact=_contact(
            env.str("VAPID_CONTACT", "", validate=_is_contact), env.str("PUBLIC_URL", "http://127.0.0.1:8000")
        ),
        rate_limits=env.str("RATE_LIMITS", "on", validate=OneOf(("on", "off"))) == "on",
        proxies=env.int("PROXIES", 0, validate=Range(min=0, max=5)),
        alert_seconds={
            "urgent": env.int("ALERT_SECONDS_URGENT", 300, validate=Range(min=1)),
            "high": env.int("ALERT_SECONDS_HIGH", 1800, validate=Range(min=1)),
        },
        follow_up_seconds=env.int("FOLLOW_UP_SECONDS", 14400, validate=Range(min=1)),
        alert_budget=env.int("ALERT_BUDGET", 6, validate=Range(min=1)),
        bands=_bands(env.str("BANDS", "watch=0.80,high=0.40", validate=_are_bands)),
        assumed_steps=env.str("ASSUMED_STEPS", "on", validate=OneOf(("on", "off"))) == "on",
        risk_model=env.str("RISK_MODEL", None) or None,
        waiting_seconds=env.int("WAITING_SECONDS", 300, validate=Range(min=1)),
        token_seconds=env.int("TOKEN_SECONDS", 900, validate=Range(min=1)),
        region=env.str("REGION", "US", validate=OneOf(tuple(LINES))),
        instruments=env.str("INSTRUMENTS", None) or None,
    )
    problems = _mistakes(env)
    if settings.env == "production":
        problems += _unsafe(settings)
        if "FIREBASE_AUTH_EMULATOR_HOST" in os.environ:
            problems.append(
                "FIREBASE_AUTH_EMULATOR_HOST: makes firebase-admin take unsigned tokens; refused in production"
            )
    if problems:
        raise BadSettings(problems)
    return settings


def _mistakes(env: Env) -> list[str]:
    try:
        env.seal()
    except EnvValidationError as error:
        by_name = error.error_messages
        assert isinstance(by_name, Mapping)
        return [f"{name}: {' '.join(messages)}" for name, messages in by_name.items()]
    return []


def _unsafe(settings: Settings) -> list[str]:
    """What is fine on one's own machine and not where people's records are."""
    refused = {
        "ALONGSIDE_LOG_URL: sqlite:// is for one machine; production needs kafka://": (
            settings.log_url or ""
        ).startswith("sqlite:"),
        "ALONGSIDE_FCM_ENDPOINT: a stand-in for FCM is refused in production": bool(settings.fcm_endpoint),
        "ALONGSIDE_FIREBASE_EMULATOR: nobody signs its tokens; refused in production": bool(settings.firebase_emulator),
        "ALONGSIDE_RATE_LIMITS: off is refused in production": not settings.rate_limits,
        "ALONGSIDE_PUBLIC_URL: production needs https://": not (settings.public_url or "").startswith("https://"),
    }
    return [problem for problem, found in refused.items() if found]


def _starts(*beginnings: str) -> Callable[[str], None]:
    def check(value: str) -> None:
        if not value.startswith(beginnings) or not urlsplit(value).path + urlsplit(value).netloc:
            raise ValidationError(f"must start with {' or '.join(beginnings)}")

    return check


def _is_key(value: str) -> None:
    try:
        right = len(base64.b64decode(value, validate=True)) == 32
    except (binascii.Error, ValueError):
        right = False
    if not right:
        raise ValidationError("needs 32 bytes in base64: `openssl rand -base64 32`")


def _key(value: str | None) -> bytes:
    # A value that was found wrong above arrives here as None: environs reports all mistakes at the end.
    return base64.b64decode(value) if isinstance(value, str) else b""


def _is_vapid_key(value: str) -> None:
    if value and not re.fullmatch(r"[A-Za-z0-9_-]{43}=?", value):
        raise ValidationError("needs 32 bytes in base64url: `openssl rand -base64 32 | tr '+/' '-_' | tr -d '='`")


def _is_contact(value: str) -> None:
    if value and not re.fullmatch(r"mailto:[^@\s]+@[^@\s]+|https://\S+", value):
        raise ValidationError("must be mailto: and an address, or start with https://")


def _contact(contact: str | None, public_url: str | None) -> str:
    """Where nobody was named: the place itself, which a push service takes only where it has https."""
    if contact:
        return contact
    parts = urlsplit(public_url or "")
    return f"https://{parts.hostname}" if parts.scheme == "https" else f"mailto:operator@{parts.hostname}"


def _is_address(value: str) -> None:
    host, _, port = value.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValidationError("must be host:port")


def _address(value: str | None) -> tuple[str, int]:
    host, _, port = (value if isinstance(value, str) else ":0").rpartition(":")
    return host, int(port)


def _are_peers(value: str) -> None:
    if not all(name and url.startswith(("http://", "https://")) for name, url in _pairs(value)):
        raise ValidationError("must be name=http://host:port, with commas between")


def _peers(value: str | None) -> dict[str, str]:
    return {name: url.rstrip("/") for name, url in _pairs(value or "")}


def _are_bands(value: str) -> None:
    names, shares = [name for name, _ in _pairs(value)], [share for _, share in _pairs(value)]
    known = ["watch", "high", "urgent"]
    if not names or [name for name in known if name in names] != names:
        raise ValidationError("must be like watch=0.80,high=0.40, of watch, high and urgent in this order")
    if not all(re.fullmatch(r"0?\.\d+", share, re.ASCII) for share in shares):
        raise ValidationError("each share must be between 0 and 1, such as 0.80")
    found = [float(share) for share in shares]
    if found != sorted(found, reverse=True) or 0 in found:
        raise ValidationError("a heavier band cannot find more than a lighter one, and each must find something")


def _bands(value: str | None) -> dict[Any, float]:
    # Like the key above: a value that was found wrong is None here.
    return {name: float(share) for name, share in _pairs(value)} if isinstance(value, str) else {}


def _pairs(value: str) -> list[tuple[str, str]]:
    parts = [pair.partition("=") for pair in value.split(",") if pair.strip()]
    return [(name.strip(), url.strip()) for name, _, url in parts]
