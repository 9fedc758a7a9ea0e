"""What an operator sets: read once, all mistakes at once, and nothing unsafe in production."""

from __future__ import annotations

import base64
import os

import pytest

from gateway.webpush import new_private_key
from infra.settings import BadSettings, read_settings

KEY = base64.b64encode(bytes(32)).decode()
GOOD = {
    "STORE_URL": "mongodb://127.0.0.1:27017/",
    "LOG_URL": "sqlite:///tmp/log.sqlite",
    "SECRET": "x" * 32,
    "VAULT_KEY": KEY,
}
SAFE = {
    **GOOD,
    "ENV": "production",
    "LOG_URL": "kafka://one:9092,two:9092",
    "PUBLIC_URL": "https://alongside.example",
}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("ALONGSIDE_") or name == "FIREBASE_AUTH_EMULATOR_HOST":
            monkeypatch.delenv(name)


def given(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"ALONGSIDE_{name}", value)


def problems(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> list[str]:
    given(monkeypatch, values)
    with pytest.raises(BadSettings) as refused:
        read_settings()
    assert str(refused.value) == "\n".join(refused.value.problems)
    return refused.value.problems


def test_the_least_that_must_be_set_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, GOOD)
    settings = read_settings()
    assert settings.env == "embedded"
    assert settings.vault_key == bytes(32)
    assert settings.listen == ("127.0.0.1", 8000)
    assert settings.alert_seconds == {"urgent": 300, "high": 1800}
    assert settings.waiting_seconds == 300
    assert (settings.follow_up_seconds, settings.alert_budget) == (14400, 6)
    assert (settings.bands, settings.assumed_steps, settings.risk_model) == ({"watch": 0.8, "high": 0.4}, True, None)
    assert settings.rate_limits is True
    assert settings.peers == {}
    assert (settings.firebase_credentials, settings.fcm_endpoint, settings.instruments) == (None, None, None)


def test_everything_is_read_as_it_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    given(
        monkeypatch,
        {
            **GOOD,
            "ENV": "test",
            "STORE_PREFIX": "x_",
            "PEERS": "people=http://127.0.0.1:1,risk=http://127.0.0.1:2",
            "LISTEN": "0.0.0.0:9000",
            "RATE_LIMITS": "off",
            "ALERT_SECONDS_URGENT": "1",
            "WAITING_SECONDS": "2",
            "FOLLOW_UP_SECONDS": "3",
            "ALERT_BUDGET": "4",
            "BANDS": "watch=0.9,high=.5,urgent=0.10",
            "ASSUMED_STEPS": "off",
            "RISK_MODEL": "/etc/alongside/model.json",
            "TOKEN_SECONDS": "60",
            "REGION": "GB",
            "FCM_ENDPOINT": "http://127.0.0.1:9",
            "INSTRUMENTS": "/etc/alongside/instruments",
        },
    )
    settings = read_settings()
    assert (settings.env, settings.store_prefix, settings.region) == ("test", "x_", "GB")
    assert settings.peers == {"people": "http://127.0.0.1:1", "risk": "http://127.0.0.1:2"}
    assert settings.listen == ("0.0.0.0", 9000)
    assert settings.rate_limits is False
    assert settings.alert_seconds["urgent"] == 1
    assert (settings.token_seconds, settings.waiting_seconds) == (60, 2)
    assert (settings.follow_up_seconds, settings.alert_budget) == (3, 4)
    assert settings.bands == {"watch": 0.9, "high": 0.5, "urgent": 0.1}
    assert (settings.assumed_steps, settings.risk_model) == (False, "/etc/alongside/model.json")
    assert settings.fcm_endpoint == "http://127.0.0.1:9"
    assert settings.instruments == "/etc/alongside/instruments"


def test_nothing_set_names_everything_that_is_missing_and_no_secret_has_a_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = "\n".join(problems(monkeypatch, {}))
    for name in GOOD:
        assert f"ALONGSIDE_{name}" in found


def test_all_mistakes_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "ENV": "staging",
        "STORE_URL": "postgres://x",
        "LOG_URL": "redis://x",
        "SECRET": "short",
        "VAULT_KEY": "not base64!",
        "PUBLIC_URL": "ftp://x",
        "LISTEN": "nowhere",
        "RATE_LIMITS": "maybe",
        "ALERT_SECONDS_HIGH": "0",
        "WAITING_SECONDS": "0",
        "FOLLOW_UP_SECONDS": "0",
        "ALERT_BUDGET": "0",
        "BANDS": "high=0.8,watch=0.4",
        "ASSUMED_STEPS": "perhaps",
        "TOKEN_SECONDS": "soon",
        "REGION": "XX",
    }
    found = problems(monkeypatch, wrong)
    assert sorted(problem.split(":")[0] for problem in found) == sorted(f"ALONGSIDE_{name}" for name in wrong)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VAULT_KEY", ""),
        ("VAULT_KEY", base64.b64encode(bytes(31)).decode()),
        ("VAULT_KEY", base64.b64encode(bytes(33)).decode()),
        ("SECRET", "x" * 31),
        ("STORE_URL", ""),
        ("STORE_URL", "mongodb://"),
        ("LISTEN", ":8000"),
        ("LISTEN", "127.0.0.1:99999"),
        ("LISTEN", "127.0.0.1:²"),
        ("LISTEN", "127.0.0.1:-1"),
        ("TOKEN_SECONDS", "0"),
        ("TOKEN_SECONDS", "1e3"),
        ("PEERS", "people"),
        ("BANDS", "high=0.8,watch=0.4"),
        ("BANDS", "watch=0.4,high=0.8"),
        ("BANDS", "watch=1.0"),
        ("BANDS", "watch=0"),
        ("BANDS", "steady=0.5"),
        ("BANDS", ""),
    ],
)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    (problem,) = problems(monkeypatch, {**GOOD, name: value})
    assert problem.startswith(f"ALONGSIDE_{name}: ")


@pytest.mark.parametrize("name", ["SECRET", "VAULT_KEY"])
def test_a_wrong_secret_is_not_repeated_in_what_is_said_of_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (problem,) = problems(monkeypatch, {**GOOD, name: "hush-hush"})
    assert "hush-hush" not in problem


def test_production_takes_what_is_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, SAFE)
    assert read_settings().env == "production"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOG_URL", "sqlite:///tmp/log.sqlite"),
        ("FCM_ENDPOINT", "http://127.0.0.1:9"),
        ("FIREBASE_EMULATOR", "127.0.0.1:9099"),
        ("RATE_LIMITS", "off"),
        ("PUBLIC_URL", "http://alongside.example"),
    ],
)
def test_production_refuses_what_is_fine_only_on_ones_own_machine(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    (problem,) = problems(monkeypatch, {**SAFE, name: value})
    assert problem.startswith(f"ALONGSIDE_{name}: ")


def test_production_refuses_the_default_public_url(monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems(monkeypatch, {name: value for name, value in SAFE.items() if name != "PUBLIC_URL"})
    assert problem.startswith("ALONGSIDE_PUBLIC_URL: ")


def test_production_refuses_the_emulator_that_firebase_itself_would_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIREBASE_AUTH_EMULATOR_HOST", "127.0.0.1:9099")
    (problem,) = problems(monkeypatch, SAFE)
    assert problem.startswith("FIREBASE_AUTH_EMULATOR_HOST: ")


def test_outside_production_all_of_it_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {**GOOD, "FCM_ENDPOINT": "http://x", "FIREBASE_EMULATOR": "x:1", "RATE_LIMITS": "off"})
    assert read_settings().firebase_emulator == "x:1"


def test_settings_do_not_change_once_read(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, GOOD)
    settings = read_settings()
    with pytest.raises(AttributeError):
        settings.env = "production"  # type: ignore[misc]


def test_what_web_push_is_signed_with_is_a_key_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_private_key()
    given(monkeypatch, {**GOOD, "VAPID_PRIVATE_KEY": key})
    assert read_settings().vapid_private_key == key
    given(monkeypatch, {"VAPID_PRIVATE_KEY": ""})
    assert read_settings().vapid_private_key is None


@pytest.mark.parametrize("wrong", ["short", "x" * 44, "+" * 43, "é" * 43])
def test_another_key_of_web_push_is_a_mistake(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    (problem,) = problems(monkeypatch, {**GOOD, "VAPID_PRIVATE_KEY": wrong})
    assert problem.startswith("ALONGSIDE_VAPID_PRIVATE_KEY: needs 32 bytes in base64url")
    assert wrong not in problem


@pytest.mark.parametrize(
    ("contact", "public_url", "said"),
    [
        ("", "https://alongside.example:8443/x", "https://alongside.example"),
        ("", "http://127.0.0.1:8000", "mailto:operator@127.0.0.1"),
        ("mailto:help@alongside.example", "https://alongside.example", "mailto:help@alongside.example"),
    ],
)
def test_whoever_answers_for_what_is_pushed_is_named_or_is_the_place_itself(
    monkeypatch: pytest.MonkeyPatch, contact: str, public_url: str, said: str
) -> None:
    given(monkeypatch, {**GOOD, "VAPID_CONTACT": contact, "PUBLIC_URL": public_url})
    assert read_settings().vapid_contact == said


@pytest.mark.parametrize("wrong", ["help@alongside.example", "mailto:", "http://alongside.example", "mailto:a b@c"])
def test_a_contact_that_no_push_service_would_take_is_a_mistake(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    (problem,) = problems(monkeypatch, {**GOOD, "VAPID_CONTACT": wrong})
    assert problem.startswith("ALONGSIDE_VAPID_CONTACT: must be mailto:")
