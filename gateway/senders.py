"""How one push leaves the house: a hint with no words of anybody's, to one device.

A sender takes a push and a target and answers what became of it, and may be asked by many threads at once.
``FcmSender`` speaks to Firebase Cloud Messaging (or to a stand-in for it), ``WebPushSender`` (in ``webpush``) to the
push services of browsers, ``NoSender`` says that push is not configured, ``ByKind`` asks the one for the device, and
``RecordingSender`` is what a test holds in their place.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

from infra.access import key_for
from infra.settings import Settings

if TYPE_CHECKING:
    from firebase_admin.exceptions import FirebaseError
    from google.auth.exceptions import GoogleAuthError

Kind = Literal["message", "alert", "session", "goal", "notice", "event"]
State = Literal["sent", "gone", "later", "refused"]

# Several kinds share each phrase on purpose: a phrase that only an alert has would tell whoever sees the screen that
# there is one, so an alert hides among the session reminders, which are everyday.
_PHRASE: dict[Kind, str] = {
    "message": "New message",
    "alert": "Reminder",
    "session": "Reminder",
    "goal": "Update",
    "notice": "Update",
    "event": "Update",
}
_SPANISH = {"New message": "Mensaje nuevo", "Reminder": "Recordatorio", "Update": "Novedades"}

# The app asks for the truth whenever it is opened, so a hint that waited longer than this tells nothing.
LASTS = timedelta(days=1)
_AT_ONCE = 128
_TIMEOUT_SECONDS = 10
# What Google asks for where FCM refuses a rate without saying for how long.
_RATE_PAUSE_SECONDS = 60.0
_LONGEST_PAUSE_SECONDS = 86_400.0
# How long to leave alone what only an operator can mend.
_MENDING_SECONDS = 300.0
# Ours to mend, or the network's: a key that is not taken, a project or a proxy that is not the right one.
_TRY_AGAIN = frozenset({401, 403, 404, 408, 429})
# By the kind of the answer, where it does not say itself; for the others the pauses grow from try to try.
_PAUSES = {429: _RATE_PAUSE_SECONDS, **dict.fromkeys((401, 403, 404), _MENDING_SECONDS)}
# Google never creates a project with this prefix, so a stand-in's pushes have nowhere else to arrive.
_DEMO_PROJECT = "demo-alongside"


class Push(NamedTuple):
    """One hint, the same for every device of a person.

    Attributes:
        kind: what the app should look at.
        ref: the opaque id of it, such as a conversation's.
        badge: how many things wait to be read, 0 or more.
        language: BCP 47 tag of the words shown, such as ``es-MX``; English where there is no translation.
        collapse: opaque key of at most 64 bytes; a later push with the same key replaces the earlier on the screen.
    """

    kind: Kind
    ref: str
    badge: int
    language: str = "en"
    collapse: str | None = None


class Target(NamedTuple):
    """Where a push goes: one device, by the address that its app registered."""

    device_id: str
    kind: Literal["fcm", "webpush"]
    value: str


class Outcome(NamedTuple):
    """What became of a push to one device, sorted by what to do now.

    Attributes:
        state: ``sent``; ``gone``: the address is nobody's any more, end it; ``later``: try again; ``refused``: trying
            again can never work.
        why: what the other side said, for an operator; None when sent. Never holds the address.
        retry_after: seconds that the other side asked to wait, or None.
    """

    device_id: str
    state: State
    why: str | None = None
    retry_after: float | None = None


class Sender(Protocol):
    """Sends a push. Trouble on the way is an outcome, never an exception. Many threads may ask at once."""

    def send(self, push: Push, target: Target) -> Outcome:
        """Blocks until it is known what became of it."""

    def close(self) -> None:
        """Let go of the connections; sending is over."""


def fields_of(push: Push) -> dict[str, str | int]:
    """The only data that leaves: the contract's four fields."""
    return {"v": 1, "kind": push.kind, "ref": push.ref, "badge": push.badge}


def payload(push: Push) -> dict[str, str]:
    """The four fields as the strings that FCM demands."""
    return {name: str(value) for name, value in fields_of(push).items()}


def words(push: Push) -> str:
    """The neutral phrase to show, in the push's language."""
    phrase = _PHRASE[push.kind]
    return _SPANISH[phrase] if push.language.lower().replace("_", "-").split("-")[0] == "es" else phrase


class NoSender:
    """What stands where no push is configured: it refuses aloud, and never pretends that anything was sent."""

    def __init__(self, why: str = "push is not configured") -> None:
        self._why = why

    def send(self, push: Push, target: Target) -> Outcome:
        """Refuse."""
        return Outcome(target.device_id, "refused", self._why)

    def close(self) -> None:
        """Nothing was opened."""


class ByKind:
    """Asks the sender for the kind of the device."""

    def __init__(self, senders: Mapping[str, Sender]) -> None:
        self._senders = senders

    def send(self, push: Push, target: Target) -> Outcome:
        return self._senders[target.kind].send(push, target)

    def close(self) -> None:
        for sender in self._senders.values():
            sender.close()


class RecordingSender:
    """The test's twin: keeps what was sent, and answers what it was told.

    Attributes:
        sent: each push with the one target that it went to, oldest first, whatever the answer was.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[Push, Target]] = []
        self._answers: dict[str, Outcome] = {}

    def answer(self, device_id: str, state: State, why: str | None = None, retry_after: float | None = None) -> None:
        """From now on answer this for a device; devices never named are answered ``sent``."""
        self._answers[device_id] = Outcome(device_id, state, why, retry_after)

    def send(self, push: Push, target: Target) -> Outcome:
        """Keep it, and answer what was told for the device."""
        self.sent.append((push, target))
        return self._answers.get(target.device_id, Outcome(target.device_id, "sent"))

    def close(self) -> None:
        """What was sent is kept."""


class FcmSender:
    """Sends through Firebase Cloud Messaging.

    Args:
        credentials_path: a Google service account key file; not read when there is an endpoint.
        endpoint: base URL of a stand-in for FCM, such as ``http://127.0.0.1:9999``; it never sees the credential.
        project_id: the Firebase project; by default the credential's own, or a demo project at a stand-in.

    Raises ``OSError`` or ``ValueError`` when the key file cannot be read or is not one.
    """

    def __init__(self, credentials_path: str | None, endpoint: str | None, project_id: str | None) -> None:
        import firebase_admin

        credential, project_id = _identity(credentials_path, endpoint, project_id)
        options = {"httpTimeout": _TIMEOUT_SECONDS} | ({"projectId": project_id} if project_id else {})
        self._app = firebase_admin.initialize_app(credential, options, name=f"push-{uuid4()}")
        _wire(self._app, endpoint)

    def close(self) -> None:
        """Let go of the connections; sending is over."""
        import firebase_admin

        firebase_admin.delete_app(self._app)

    def send(self, push: Push, target: Target) -> Outcome:
        """Blocks until FCM has answered, or will not."""
        # Not firebase's `send_each`: there one answer that is not FCM's fails every message beside it, those that had
        # been sent would be sent again, and a new thread for each of them costs more than the request.
        from firebase_admin import messaging
        from firebase_admin.exceptions import FirebaseError
        from google.auth.exceptions import GoogleAuthError

        if not target.value:
            return Outcome(target.device_id, "refused", "the address is empty")
        message = _message(push, target.value)
        try:
            messaging.send(message, app=self._app)
        except FirebaseError as error:
            return _answered(target, error)
        except GoogleAuthError as error:
            return _unauthorised(target, error)
        except (AttributeError, KeyError, TypeError, UnicodeDecodeError) as error:
            # How firebase-admin trips over an answer that is not shaped like FCM's, a proxy's page for one.
            return Outcome(target.device_id, "later", f"not an answer of FCM: {type(error).__name__}")
        return Outcome(target.device_id, "sent")


def open_sender(settings: Settings) -> Sender:
    """The sender that the settings ask for: FCM with a credential or an endpoint, Web Push with a key of one's own.

    Raises:
        OSError, ValueError: the Google key file cannot be read or is not one.
    """
    senders: dict[str, Sender] = {"fcm": NoSender(), "webpush": NoSender("web push is not configured")}
    if settings.firebase_credentials or settings.fcm_endpoint:
        senders["fcm"] = FcmSender(settings.firebase_credentials, settings.fcm_endpoint, settings.firebase_project)
    if settings.vapid_private_key:
        from gateway.webpush import WebPushSender

        senders["webpush"] = WebPushSender(
            settings.vapid_private_key,
            settings.vapid_contact,
            key_for(settings.secret, "topics"),
            loopback=settings.env != "production",
        )
    return ByKind(senders)


def _identity(credentials_path: str | None, endpoint: str | None, project_id: str | None) -> tuple[Any, str | None]:
    """The credential to sign with and the project to name; a stand-in never gets the key."""
    from firebase_admin.credentials import Certificate
    from google.auth.credentials import AnonymousCredentials

    if endpoint:
        return AnonymousCredentials(), project_id or _DEMO_PROJECT  # type: ignore[no-untyped-call]
    return Certificate(credentials_path), project_id


def _wire(app: Any, endpoint: str | None) -> None:
    """Point an app's messaging at the endpoint, and take the waiting out of its transport.

    The one place that touches firebase-admin's private names: it offers no way to name another address, and its own
    retries sleep through any ``Retry-After`` inside the call, holding up every push behind it. Trying again is for
    whoever keeps the delivery.
    """
    from firebase_admin import messaging
    from requests.adapters import HTTPAdapter
    from requests.utils import get_environ_proxies

    service = messaging._get_messaging_service(app)
    if endpoint:
        service._fcm_url = endpoint.rstrip("/") + urlsplit(service._fcm_url).path
    session = service._client.session
    session.mount(service._fcm_url, HTTPAdapter(pool_maxsize=_AT_ONCE))
    # A proxy that the operator's environment names, looked up now and not for each request, which takes as long again.
    session.proxies.update(get_environ_proxies(service._fcm_url))
    session.trust_env = False


def _message(push: Push, value: str) -> Any:
    """The FCM message of a push, for the device with this address."""
    from firebase_admin import messaging

    message = messaging.Message(
        data=payload(push),
        notification=messaging.Notification(body=words(push)),
        android=messaging.AndroidConfig(
            priority="high",
            ttl=LASTS,
            collapse_key=push.collapse,
            notification=messaging.AndroidNotification(
                tag=push.collapse, notification_count=push.badge, default_sound=True
            ),
        ),
        apns=messaging.APNSConfig(
            headers=_apns_headers(push),
            payload=messaging.APNSPayload(messaging.Aps(badge=push.badge, sound="default")),
        ),
    )
    # Apps of before mid-2026 register a token, which is an installation id, a colon and a secret; newer ones register
    # the bare id. In the wrong field FCM may call either unregistered, and a good address would be ended. The
    # constructor warns that tokens are deprecated; setting the field does not.
    if ":" in value:
        message.token = value
    else:
        message.fid = value
    return message


def _apns_headers(push: Push) -> dict[str, str]:
    headers = {
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": str(int(time.time() + LASTS.total_seconds())),
    }
    return headers | ({"apns-collapse-id": push.collapse} if push.collapse else {})


def _answered(target: Target, error: FirebaseError) -> Outcome:
    """The outcome that an error of FCM, or of the way there, stands for."""
    from firebase_admin.messaging import SenderIdMismatchError, UnregisteredError

    response = error.http_response
    if isinstance(error, (UnregisteredError, SenderIdMismatchError)):
        return Outcome(target.device_id, "gone", _plain(error, target))
    if response is None:
        return Outcome(target.device_id, "later", _plain(error, target))
    if response.status_code in _TRY_AGAIN or response.status_code >= 500:
        return Outcome(target.device_id, "later", _plain(error, target), pause_of(response))
    return Outcome(target.device_id, "refused", _plain(error, target))


def _unauthorised(target: Target, error: GoogleAuthError) -> Outcome:
    """The outcome of our own credential: Google is out of reach, or it takes our key no more."""
    from google.auth.exceptions import TransportError

    passing = isinstance(error, TransportError) or error.retryable
    # An operator can mend a key within the day for which a push is kept.
    return Outcome(target.device_id, "later", _plain(error, target), None if passing else _MENDING_SECONDS)


def pause_of(response: Any) -> float | None:
    """Seconds that an answer asks to wait, from a ``Retry-After`` of seconds or of a date; None where it is silent."""
    asked = response.headers.get("Retry-After", "")
    if asked.isdecimal():
        return min(float(asked), _LONGEST_PAUSE_SECONDS)
    try:
        seconds = (parsedate_to_datetime(asked).astimezone(UTC) - datetime.now(UTC)).total_seconds()
    except ValueError:
        return _PAUSES.get(response.status_code)
    return min(max(seconds, 0.0), _LONGEST_PAUSE_SECONDS)


def _plain(error: Exception, target: Target) -> str:
    """An error on one short line, without the address of the device."""
    return f"{getattr(error, 'code', type(error).__name__)}: {line_of(str(error), target.value)}"


def line_of(said: str, *secrets: str) -> str:
    """What somebody said as one short line, without these secrets in it."""
    for secret in secrets:
        if secret:
            said = said.replace(secret, "(address)")
    return " ".join(said.split())[:200]
