"""Push to a browser, through the push service that the browser chose (RFC 8030, 8291 and 8292).

The address comes from a browser, so from anybody: it may name a machine of our own network, answer for ever, or lead
elsewhere. So a request goes only to an address of the public internet, the one that was looked at; nothing that is
answered leads anywhere; and whoever is slow is hung up on.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import json
import os
import re
import socket
import threading
import time
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import urllib3
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from gateway.senders import LASTS, Outcome, Push, Target, fields_of, line_of, pause_of

_POINT_BYTES, _AUTH_BYTES, _KEY_BYTES = 65, 16, 32
_ENDPOINT_LONGEST = 2048
_TIMEOUT = urllib3.Timeout(connect=5.0, read=10.0)
# From the first byte out to the last byte in, however slowly they come.
ALTOGETHER_SECONDS = 20.0
_ANSWER_LONGEST = 2048
_KEPT_OPEN = 64
# The longest payload there can be; shorter ones are filled up with spaces, so that the length tells nothing.
_PAYLOAD_BYTES = 160
# 64:ff9b::/96, behind which the whole of IPv4 lies for a machine that has IPv6 only.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class BadSubscription(ValueError):
    """Not what a browser's ``PushSubscription`` is. ``field`` names the part that is wrong."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field


class NotPublic(ValueError):
    """The endpoint's name stands for an address that is not of the public internet."""


class Subscription(NamedTuple):
    """Where a browser is reached, and the keys that only it can read with."""

    endpoint: str
    p256dh: str
    auth: str


def read_subscription(value: str, loopback: bool) -> Subscription:
    """The subscription in the JSON that a browser makes of its ``PushSubscription``.

    Args:
        value: the JSON.
        loopback: whether an endpoint on this very machine will do, for tests.
    Raises:
        BadSubscription: naming ``endpoint``, ``keys.p256dh`` or ``keys.auth``, or nothing where it is no such JSON.
    """
    try:
        said = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise BadSubscription("", "Must be the JSON of a PushSubscription.") from error
    if not isinstance(said, dict) or not isinstance(said.get("keys"), dict):
        raise BadSubscription("", "Must be the JSON of a PushSubscription, with an endpoint and keys.")
    keys, endpoint = said["keys"], _checked_endpoint(said.get("endpoint"), loopback)
    _check_point(_bytes_of(keys.get("p256dh"), "keys.p256dh", _POINT_BYTES))
    _bytes_of(keys.get("auth"), "keys.auth", _AUTH_BYTES)
    return Subscription(endpoint, keys["p256dh"], keys["auth"])


def _checked_endpoint(endpoint: Any, loopback: bool) -> str:
    if not isinstance(endpoint, str) or not re.fullmatch(r"https?://[!-~]+", endpoint):
        raise BadSubscription("endpoint", "Must be an https address.")
    if len(endpoint) > _ENDPOINT_LONGEST:
        raise BadSubscription("endpoint", f"Must be at most {_ENDPOINT_LONGEST} characters.")
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadSubscription("endpoint", "Must be an https address.") from error
    # Whoever signs the claims for it knows no other names.
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", host) or "@" in parts.netloc or "\\" in endpoint:
        raise BadSubscription("endpoint", "Must name a host, and nobody who signs in there.")
    here = loopback and _is_loopback(host)
    if parts.scheme != "https" and not here:
        raise BadSubscription("endpoint", "Must be an https address.")
    if re.fullmatch(r"[0-9.]+|localhost", host) and not here:
        raise BadSubscription("endpoint", "Must name a host of the public internet.")
    return endpoint


def _is_loopback(host: str) -> bool:
    return re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


def _bytes_of(written: Any, field: str, length: int) -> bytes:
    """Bytes from base64url, with or without padding, as browsers of both kinds write them."""
    try:
        found = base64.urlsafe_b64decode(written.rstrip("=") + "=" * (-len(written.rstrip("=")) % 4))
    except (AttributeError, ValueError, binascii.Error):
        found = b""
    if len(found) != length or not re.fullmatch(r"[A-Za-z0-9_-]+=*", written):
        raise BadSubscription(field, f"Must be {length} bytes in base64url.")
    return found


def _check_point(point: bytes) -> None:
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError as error:
        raise BadSubscription("keys.p256dh", "Must be an uncompressed point of the curve P-256.") from error


def new_private_key() -> str:
    """A private key for VAPID: 32 bytes in base64url without padding."""
    number = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    return _base64url(number.to_bytes(_KEY_BYTES, "big"))


def public_key(private_key: str) -> str:
    """What a browser subscribes with (``applicationServerKey``): an uncompressed point in base64url."""
    raw = base64.urlsafe_b64decode(private_key + "=" * (-len(private_key) % 4))
    key = ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1()).public_key()
    form = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    return _base64url(key.public_bytes(*form))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class WebPushSender:
    """Sends to browsers.

    Args:
        private_key: for VAPID, as ``new_private_key`` makes it.
        contact: who answers for what is sent: ``mailto:`` or ``https:``.
        topic_key: makes of a thing's id a topic from which nobody learns the id.
        loopback: whether push services on this very machine will do, for tests.
    """

    def __init__(self, private_key: str, contact: str, topic_key: bytes, loopback: bool = False) -> None:
        from py_vapid import Vapid

        self._vapid = Vapid.from_raw(private_key.encode())
        self._contact = contact
        self._topic_key = topic_key
        self._loopback = loopback
        self._door = _Door(loopback)

    def send(self, push: Push, target: Target) -> Outcome:
        """Blocks until the push service has answered, or will not."""
        from pywebpush import WebPushException, webpush

        try:
            subscription = read_subscription(target.value, self._loopback)
        except BadSubscription as error:
            return Outcome(target.device_id, "refused", f"not a subscription: {error}")
        try:
            webpush(
                {"endpoint": subscription.endpoint, "keys": {"p256dh": subscription.p256dh, "auth": subscription.auth}},
                data=_padded(push),
                vapid_private_key=self._vapid,
                vapid_claims={"sub": self._contact},
                ttl=int(LASTS.total_seconds()),
                headers=self._headers(push),
                requests_session=self._door,
            )
        except WebPushException as error:
            return _answered(target, error.response)
        except NotPublic as error:
            return Outcome(target.device_id, "refused", str(error))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return Outcome(target.device_id, "later", f"no answer: {type(error).__name__}")
        return Outcome(target.device_id, "sent")

    def close(self) -> None:
        """Let go of the connections; sending is over."""
        self._door.close()

    def _headers(self, push: Push) -> dict[str, str | int | float]:
        # The same urgency for all: one of its own would tell the push service which is an alert.
        headers: dict[str, str | int | float] = {"urgency": "high", "content-type": "application/octet-stream"}
        if push.collapse is not None:
            digest = hmac.digest(self._topic_key, push.collapse.encode(), hashlib.sha256)
            headers["topic"] = _base64url(digest)[:32]
        return headers


def _padded(push: Push) -> str:
    return json.dumps(fields_of(push), separators=(",", ":")).ljust(_PAYLOAD_BYTES)


def _answered(target: Target, answer: Any) -> Outcome:
    """The outcome that an answer other than a success stands for."""
    if answer is None:
        return Outcome(target.device_id, "refused", "the subscription cannot be encrypted for")
    why = line_of(f"{answer.status_code}: {answer.text}", target.value, urlsplit(answer.url).path)
    if answer.status_code in (404, 410):
        return Outcome(target.device_id, "gone", why)
    if answer.status_code in (401, 403, 408, 429) or answer.status_code >= 500:
        return Outcome(target.device_id, "later", why, pause_of(answer))
    return Outcome(target.device_id, "refused", why)


class _Answer(NamedTuple):
    """As much of a response as pywebpush looks at."""

    status_code: int
    reason: str
    headers: Any
    text: str
    url: str


class _Door:
    """What pywebpush takes for a ``requests`` session: the one way out."""

    def __init__(self, loopback: bool) -> None:
        self._pools = urllib3.PoolManager(num_pools=32, maxsize=_KEPT_OPEN, retries=False, timeout=_TIMEOUT)
        self._pools.pool_classes_by_scheme = {"https": _SecurePool} | ({"http": _PlainPool} if loopback else {})

    def post(self, endpoint: str, data: bytes, headers: dict[str, str], timeout: object = None) -> _Answer:
        with _patience:
            answer = self._pools.request(
                "POST", endpoint, body=data, headers=dict(headers), redirect=False, preload_content=False
            )
            try:
                said = answer.read(_ANSWER_LONGEST, decode_content=False) or b""
                if answer.read(1, decode_content=False):
                    # Reading on would be for the other side to end.
                    answer.close()
            finally:
                answer.release_conn()
        text = said.decode("utf-8", "replace")
        return _Answer(answer.status, answer.reason or "", answer.headers, text, endpoint)

    def close(self) -> None:
        self._pools.clear()


class _Patience:
    """Hangs up on whoever takes too long altogether: a byte now and then would satisfy every other timeout."""

    def __init__(self) -> None:
        self._until: dict[int, float] = {}
        self._lines: dict[int, int] = {}
        self._lock = threading.Lock()
        self._watch: threading.Thread | None = None

    def __enter__(self) -> None:
        with self._lock:
            self._until[threading.get_ident()] = time.monotonic() + ALTOGETHER_SECONDS
            if self._watch is None:
                self._watch = threading.Thread(target=self._hang_up_on_the_slow, name="patience", daemon=True)
                self._watch.start()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            del self._until[threading.get_ident()]
            self._let_go()

    def on(self, connection: socket.socket) -> None:
        """The request of this thread is on this connection."""
        with self._lock:
            self._let_go()
            # A descriptor of our own: TLS takes the socket's away, and a closed one may be somebody else's by now.
            self._lines[threading.get_ident()] = os.dup(connection.fileno())

    def _let_go(self) -> None:
        if (line := self._lines.pop(threading.get_ident(), None)) is not None:
            os.close(line)

    def _hang_up_on_the_slow(self) -> None:
        while True:
            time.sleep(0.5)
            with self._lock:
                slow = [thread for thread, until in self._until.items() if until < time.monotonic()]
                for line in [self._lines[thread] for thread in slow if thread in self._lines]:
                    with socket.socket(fileno=os.dup(line)) as connection, suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)


_patience = _Patience()


class _Plain(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self, loopback=True)

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:
            _patience.on(self.sock)
        super().request(*args, **kwargs)


class _Secure(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self, loopback=False)

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:
            _patience.on(self.sock)
        super().request(*args, **kwargs)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


def _connect(connection: HTTPConnection, loopback: bool) -> socket.socket:
    """Connect to the very address that was looked at, so that a name cannot stand for another one a moment later."""
    address = public_address(connection.host, connection.port or 443, loopback)
    opened = socket.create_connection((address, connection.port), connection.timeout)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _patience.on(opened)
    return opened


def public_address(host: str, port: int, loopback: bool = False) -> str:
    """An address of the host, which has none outside of the public internet.

    Raises:
        NotPublic: one of them is not public.
        OSError: the name is not known now.
    """
    found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for address in found:
        plain = _plain(ipaddress.ip_address(address.partition("%")[0]))
        if not (plain.is_global and not plain.is_multicast) and not (loopback and plain.is_loopback):
            raise NotPublic("the endpoint's name stands for an address that is not public")
    return found[0]


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address of IPv4 that one of IPv6 stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or address
