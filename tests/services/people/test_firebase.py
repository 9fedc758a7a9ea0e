"""Sign-in with Firebase: tokens of the real Auth emulator, and tokens signed as Google signs them."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.oauth2 import id_token as google_id_token
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.people.firebase import (
    FirebasePerson,
    FirebaseVerifier,
    NotSignedIn,
    SignInUnavailable,
    verifier,
)
from tests.emulator.auth import AuthEmulator, auth_emulator
from tests.fcm import service_account

PROJECT = "our-project"
KEY_ID = "key-1"


@pytest.fixture(scope="module")
def emulator() -> Iterator[AuthEmulator]:
    """One emulator for all the tests that do not break it."""
    with auth_emulator() as running:
        yield running


@pytest.fixture
def people(emulator: AuthEmulator) -> Iterator[FirebaseVerifier]:
    """A verifier of the emulator's tokens."""
    yield from opened(emulator_host=emulator.host)


@pytest.fixture
def google_keys(monkeypatch: pytest.MonkeyPatch) -> rsa.RSAPrivateKey:
    """A key whose certificate is found where Google's would be."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = certificate(key)
    monkeypatch.setattr(google_id_token, "_fetch_certs", lambda *_: {KEY_ID: pem})
    return key


@pytest.fixture
def signed_people() -> Iterator[FirebaseVerifier]:
    """A verifier of signed tokens, which asks nobody about revocation."""
    yield from opened(project_id=PROJECT)


@pytest.fixture
def nowhere() -> Iterator[str]:
    """A ``host:port`` on loopback that refuses every connection."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def google_keys_unreachable(monkeypatch: pytest.MonkeyPatch, nowhere: str) -> None:
    """The network as it is behind a proxy that is down."""
    monkeypatch.setenv("https_proxy", f"http://{nowhere}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def opened(**settings: Any) -> Iterator[FirebaseVerifier]:
    people = verifier(**settings)
    assert people is not None
    yield people
    people.close()


def rewritten(token: str, **claims: Any) -> str:
    """An unsigned token with other claims, as anybody can write one for the emulator."""
    header, payload, signature = token.split(".")
    changed = {**json.loads(base64.urlsafe_b64decode(payload + "==")), **claims}
    return f"{header}.{segment(changed)}.{signature}"


def segment(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def certificate(key: rsa.RSAPrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "securetoken.example")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM).decode()


def signed(key: rsa.RSAPrivateKey, **claims: Any) -> str:
    """A token as Google signs one for a phone."""
    now = int(time.time())
    usual = {
        "iss": f"https://securetoken.google.com/{claims.get('aud', PROJECT)}",
        "aud": PROJECT,
        "sub": "person-1",
        "iat": now,
        "exp": now + 3600,
        "email": "maya@demo.example",
        "email_verified": True,
    }
    return jwt.encode({**usual, **claims}, key, algorithm="RS256", headers={"kid": KEY_ID})


@pytest.mark.emulator
def test_a_new_account_is_signed_in_with_an_address_not_yet_shown_to_be_theirs(
    emulator: AuthEmulator,
    people: FirebaseVerifier,
) -> None:
    account = emulator.sign_up("new@demo.example")
    assert people.verify_id_token(account.id_token) == FirebasePerson(account.uid, "new@demo.example", False)


@pytest.mark.emulator
def test_an_address_that_was_shown_to_be_theirs_is_told_as_verified(
    emulator: AuthEmulator,
    people: FirebaseVerifier,
) -> None:
    account = emulator.sign_up("verified@demo.example")
    emulator.change(account.uid, emailVerified=True)
    again = emulator.sign_in("verified@demo.example")
    assert people.verify_id_token(again.id_token) == FirebasePerson(account.uid, "verified@demo.example", True)


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"sub": "somebody-else"}, "No user record"),
        ({"sub": ""}, "sub"),
        ({"sub": None}, "sub"),
        ({"sub": "x" * 129}, "sub"),
        ({"aud": "demo-other"}, "aud"),
        ({"iss": "https://securetoken.google.com/demo-other"}, "iss"),
        ({"exp": 1_000_000_000}, "expired"),
        ({"exp": None}, "expired"),
        ({"exp": "tomorrow"}, "expired"),
        ({"iat": 1_000_000_000}, "revoked"),
        ({"iat": None}, "unsupported"),
        ({"iat": {}}, "unsupported"),
    ],
    ids=str,
)
def test_a_token_that_was_tampered_with_is_refused(
    emulator: AuthEmulator,
    people: FirebaseVerifier,
    claims: dict[str, Any],
    why: str,
) -> None:
    address = f"tampered-{segment([claims])[:40]}@demo.example"
    token = rewritten(emulator.sign_up(address).id_token, **claims)
    with pytest.raises(NotSignedIn, match=why):
        people.verify_id_token(token)


@pytest.mark.emulator
def test_a_token_of_another_project_is_refused(emulator: AuthEmulator) -> None:
    account = emulator.sign_up("other-project@demo.example")
    for people in opened(emulator_host=emulator.host, project_id="demo-other"):
        with pytest.raises(NotSignedIn, match="demo-other"):
            people.verify_id_token(account.id_token)


@pytest.mark.emulator
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)
@given(
    token=st.text()
    | st.lists(st.recursive(st.none() | st.text() | st.integers(), st.lists), max_size=4).map(
        lambda parts: ".".join(segment(part) for part in parts)
    )
    | st.dictionaries(
        st.sampled_from(["aud", "iss", "sub", "iat", "exp"]),
        st.none() | st.integers() | st.text() | st.just("demo-alongside") | st.lists(st.integers()),
    ).map(lambda claims: f"{segment({'alg': 'none'})}.{segment(claims)}.")
)
@example(token="")
@example(token="..")
@example(token="\ud800")
@example(token="a.b.c")
def test_garbage_is_refused(people: FirebaseVerifier, token: str) -> None:
    with pytest.raises(NotSignedIn):
        people.verify_id_token(token)


@pytest.mark.emulator
def test_a_disabled_account_is_refused(emulator: AuthEmulator, people: FirebaseVerifier) -> None:
    account = emulator.sign_up("disabled@demo.example")
    emulator.change(account.uid, disableUser=True)
    with pytest.raises(NotSignedIn, match="disabled"):
        people.verify_id_token(account.id_token)


@pytest.mark.emulator
def test_a_token_of_before_the_sessions_were_revoked_is_refused(
    emulator: AuthEmulator,
    people: FirebaseVerifier,
) -> None:
    account = emulator.sign_up("revoked@demo.example")
    issued = jwt.decode(account.id_token, options={"verify_signature": False})["iat"]
    emulator.change(account.uid, validSince=str(issued + 1))
    with pytest.raises(NotSignedIn, match="revoked"):
        people.verify_id_token(account.id_token)


@pytest.mark.emulator
def test_an_account_that_was_deleted_is_refused(emulator: AuthEmulator, people: FirebaseVerifier) -> None:
    account = emulator.sign_up("deleted@demo.example")
    emulator.delete(account.uid)
    with pytest.raises(NotSignedIn):
        people.verify_id_token(account.id_token)


@pytest.mark.emulator
def test_while_the_emulator_is_down_nobody_is_refused_but_told_to_wait() -> None:
    with auth_emulator() as mortal:
        account = mortal.sign_up("mortal@demo.example")
        for people in opened(emulator_host=mortal.host):
            assert people.verify_id_token(account.id_token).uid == account.uid
            mortal.kill()
            with pytest.raises(SignInUnavailable):
                people.verify_id_token(account.id_token)


@pytest.mark.emulator
def test_an_unsigned_token_is_refused_wherever_the_emulator_is_not_configured(
    emulator: AuthEmulator,
) -> None:
    account = emulator.sign_up("unsigned@demo.example")
    for people in opened(project_id=emulator.project):
        with pytest.raises(NotSignedIn, match="kid"):
            people.verify_id_token(account.id_token)


def test_a_token_that_google_signed_is_taken(google_keys: rsa.RSAPrivateKey, signed_people: FirebaseVerifier) -> None:
    person = signed_people.verify_id_token(signed(google_keys))
    assert person == FirebasePerson("person-1", "maya@demo.example", True)


def test_an_account_without_an_address_has_none(
    google_keys: rsa.RSAPrivateKey, signed_people: FirebaseVerifier
) -> None:
    token = signed(google_keys, email=None, email_verified=None)
    assert signed_people.verify_id_token(token) == FirebasePerson("person-1", None, False)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another-project"},
        {"iss": "https://accounts.example"},
        {"exp": 1_000_000_000, "iat": 999_999_000},
        {"iat": 9_999_999_000, "exp": 9_999_999_999},
        {"sub": ""},
    ],
    ids=str,
)
def test_a_signed_token_that_is_not_for_us_now_is_refused(
    google_keys: rsa.RSAPrivateKey, signed_people: FirebaseVerifier, claims: dict[str, Any]
) -> None:
    with pytest.raises(NotSignedIn):
        signed_people.verify_id_token(signed(google_keys, **claims))


def test_a_token_signed_with_another_key_is_refused(
    google_keys: rsa.RSAPrivateKey, signed_people: FirebaseVerifier
) -> None:
    forger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert forger is not google_keys
    with pytest.raises(NotSignedIn, match="signature"):
        signed_people.verify_id_token(signed(forger))


def test_a_signed_token_whose_claims_were_changed_is_refused(
    google_keys: rsa.RSAPrivateKey, signed_people: FirebaseVerifier
) -> None:
    with pytest.raises(NotSignedIn, match="signature"):
        signed_people.verify_id_token(rewritten(signed(google_keys), sub="person-2"))


def test_a_refusal_does_not_hold_the_token(signed_people: FirebaseVerifier) -> None:
    token = "secret-part.that-may-still-be-good"
    with pytest.raises(NotSignedIn) as refusal:
        signed_people.verify_id_token(token)
    assert token not in str(refusal.value)
    assert refusal.value.__suppress_context__


@pytest.mark.usefixtures("google_keys_unreachable")
def test_without_a_way_to_googles_keys_nobody_is_refused_but_told_to_wait(signed_people: FirebaseVerifier) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(SignInUnavailable):
        signed_people.verify_id_token(signed(key))


def test_a_good_token_waits_while_nobody_can_say_whether_it_was_revoked(
    google_keys: rsa.RSAPrivateKey, tmp_path: Path, nowhere: str
) -> None:
    path = service_account(tmp_path, f"http://{nowhere}/token")
    for people in opened(credentials_path=path):
        with pytest.raises(SignInUnavailable):
            people.verify_id_token(signed(google_keys))


def test_a_variable_set_from_outside_does_not_open_the_door_to_unsigned_tokens(
    google_keys: rsa.RSAPrivateKey, signed_people: FirebaseVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIREBASE_AUTH_EMULATOR_HOST", "127.0.0.1:9099")
    with pytest.raises(SignInUnavailable):
        signed_people.verify_id_token(signed(google_keys))


def test_the_emulators_variable_is_taken_back_when_its_verifier_closes(nowhere: str) -> None:
    for _ in opened(emulator_host=nowhere):
        assert os.environ["FIREBASE_AUTH_EMULATOR_HOST"] == nowhere
    assert "FIREBASE_AUTH_EMULATOR_HOST" not in os.environ


def test_without_settings_there_is_no_verifier() -> None:
    assert verifier() is None


def test_a_credential_that_is_not_there_fails_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere.json"):
        verifier(credentials_path=str(tmp_path / "nowhere.json"))


def test_an_emulator_named_with_a_scheme_fails_at_once() -> None:
    with pytest.raises(ValueError, match="without a scheme"):
        verifier(emulator_host="http://127.0.0.1:9099")
    assert "FIREBASE_AUTH_EMULATOR_HOST" not in os.environ


def test_importing_the_verifier_does_not_import_firebase() -> None:
    code = "import services.people.firebase, sys; print([name for name in sys.modules if name == 'firebase_admin'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
