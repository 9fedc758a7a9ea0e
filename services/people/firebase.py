"""Sign-in with Firebase: who a person is, by the ID token that their phone got from Google.

Asked once at sign-in, so each check also asks Google whether the account was disabled or its sessions were revoked.
"""

from __future__ import annotations

import os
import time
from typing import Any, NamedTuple
from uuid import uuid4

_EMULATOR = "FIREBASE_AUTH_EMULATOR_HOST"
# No real Firebase project can have this prefix.
_DEMO_PROJECT = "demo-alongside"
_TIMEOUT_SECONDS = 10
# A token is often used in the second of its issue, by Google's clock and not by ours.
_SKEW_SECONDS = 10


class FirebasePerson(NamedTuple):
    """Whom a token speaks for.

    Attributes:
        uid: Firebase's own opaque id, 1 to 128 characters, the same for ever within one project.
        email: None where the account has none, as with a sign-in by phone number.
        email_verified: whether the person showed that the address is theirs; without that it proves nothing.
    """

    uid: str
    email: str | None
    email_verified: bool


class NotSignedIn(Exception):  # noqa: N818
    """The token proves nothing: garbled, forged, expired, revoked, or of another project or a disabled account."""


class SignInUnavailable(Exception):  # noqa: N818
    """The token could not be judged now; the same one may be good in a moment."""


class FirebaseVerifier:
    """Judges ID tokens of one Firebase project. Made by ``verifier``."""

    def __init__(self, credential: Any, project_id: str | None, emulated: bool, check_revoked: bool) -> None:
        import firebase_admin

        options = {"httpTimeout": _TIMEOUT_SECONDS} | ({"projectId": project_id} if project_id else {})
        self._app = firebase_admin.initialize_app(credential, options, name=f"sign-in-{uuid4()}")
        if not self._app.project_id:
            raise ValueError("The Firebase credential names no project: set the project's id.")
        self._emulated = emulated
        self._check_revoked = check_revoked

    def verify_id_token(self, token: str) -> FirebasePerson:
        """The person that a token speaks for. Raises ``NotSignedIn`` or ``SignInUnavailable``."""
        # firebase-admin reads this variable at every call, and takes unsigned tokens while it is set.
        if (_EMULATOR in os.environ) is not self._emulated:
            raise SignInUnavailable(f"{_EMULATOR} was changed from outside: no token can be judged")
        claims = self._claims(token)
        # Google's keys are checked together with the time; an emulator's token is checked for neither.
        if not isinstance(claims.get("exp"), int) or claims["exp"] + _SKEW_SECONDS <= time.time():
            raise NotSignedIn("Token expired")
        return FirebasePerson(claims["uid"], claims.get("email"), claims.get("email_verified") is True)

    def close(self) -> None:
        """Let go of the connections and, where this was the emulator's verifier, of its environment variable."""
        import firebase_admin

        firebase_admin.delete_app(self._app)
        if self._emulated:
            os.environ.pop(_EMULATOR, None)

    def _claims(self, token: str) -> dict[str, Any]:
        from firebase_admin import auth
        from firebase_admin.exceptions import FirebaseError
        from google.auth.exceptions import GoogleAuthError

        try:
            return auth.verify_id_token(
                token, app=self._app, check_revoked=self._check_revoked, clock_skew_seconds=_SKEW_SECONDS
            )
        except (auth.InvalidIdTokenError, auth.UserDisabledError, auth.UserNotFoundError) as error:
            raise _not_signed_in(error, token) from None
        except (FirebaseError, GoogleAuthError) as error:
            raise SignInUnavailable(str(error)) from error
        except (TypeError, ValueError) as error:
            # Empty, or forged for the emulator with claims of the wrong type: Google's keys would have stopped those.
            raise _not_signed_in(error, token) from None


def _not_signed_in(error: Exception, token: str) -> NotSignedIn:
    """The refusal without the token, which the libraries quote: a log must not hold what may be used again."""
    reason = str(error).replace(token, "(token)") if token else "The token is empty."
    return NotSignedIn(reason)


def verifier(
    credentials_path: str | None = None, project_id: str | None = None, emulator_host: str | None = None
) -> FirebaseVerifier | None:
    """The verifier that the settings ask for, or None where sign-in with Firebase is not configured.

    Args:
        credentials_path: a Google service account key file. Without it tokens are still verified by Google's public
            keys, but nobody can be asked whether an account was disabled or revoked.
        project_id: the Firebase project; by default the credential's own.
        emulator_host: ``host:port`` of an Auth emulator. Its tokens are unsigned, so anyone can be anybody: production
            refuses this setting. It holds for the whole process until ``close``.

    Raises ``OSError`` or ``ValueError`` when the key file cannot be read, is not one or names no project.
    """
    from firebase_admin.credentials import Certificate
    from google.auth.credentials import AnonymousCredentials

    nobody: Any = AnonymousCredentials()  # type: ignore[no-untyped-call]
    if emulator_host:
        if "/" in emulator_host:
            raise ValueError(f"The emulator is a host and a port without a scheme, not {emulator_host!r}.")
        os.environ[_EMULATOR] = emulator_host
        return FirebaseVerifier(nobody, project_id or _DEMO_PROJECT, True, True)
    if credentials_path:
        return FirebaseVerifier(Certificate(credentials_path), project_id, False, True)
    if project_id:
        return FirebaseVerifier(nobody, project_id, False, False)
    return None
