"""Logs and figures. Lines are JSON and carry ids only; what a person wrote never passes through here."""

from __future__ import annotations

import logging
import os
import sys
from contextvars import ContextVar
from typing import Any

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

handled = Counter("alongside_events_handled_total", "Events by how they ended", ["service", "event", "end"])
unknown = Counter("alongside_events_unknown_total", "Records of a type this version has no class for", ["service"])
# Where several processes of a part add their figures up, each gauge says how.
dead = Gauge("alongside_dead_letters", "Dead letters waiting for an operator", ["service"], multiprocess_mode="max")
untold = Gauge(
    "alongside_outbox_waiting", "Events that the relay has not told yet", ["service"], multiprocess_mode="max"
)
ticks_failed = Counter("alongside_ticks_failed_total", "Deadline rounds that failed and will be tried again", ["tick"])
requests = Histogram("alongside_request_seconds", "HTTP requests", ["method", "route", "status"])
alerts_unrouted = Gauge(
    "alongside_alerts_unrouted", "Open alerts for which no human is known; page somebody", multiprocess_mode="max"
)
check_ins_set_aside = Gauge(
    "alongside_check_ins_set_aside",
    "Check-ins that could not be read and wait for an operator",
    multiprocess_mode="max",
)
check_ins_not_set_aside = Counter(
    "alongside_check_ins_not_set_aside_total", "Unreadable check-ins left with the phone: too many of the client's wait"
)
pushes = Counter("alongside_pushes_total", "Pushes by outcome", ["kind", "state"])
conversations_waiting = Gauge(
    "alongside_conversations_waiting", "Conversations that no coach has taken yet", multiprocess_mode="max"
)
longest_wait = Gauge(
    "alongside_conversation_longest_wait_seconds", "How long the oldest of them has waited", multiprocess_mode="max"
)
sockets = Gauge("alongside_sockets", "Connected sockets", [], multiprocess_mode="livesum")
messages = Counter("alongside_messages_total", "Messages stored", [])


def figures() -> bytes:
    """All figures as Prometheus reads them; of all processes of this part, where there are several."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    everybody = CollectorRegistry()
    MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]
    return generate_latest(everybody)


def _with_request(_: Any, __: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if (current := request_id.get()) is not None:
        entry.setdefault("request_id", current)
    return entry


def log_as_json(part: str) -> None:
    """Write every log line of this process to stderr as one JSON object, the libraries' own included."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_request,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(part=part)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)


def logger(name: str) -> Any:
    """A logger whose lines are a static name and keyword ids: ``log.warning("event_dead", event_id=...)``."""
    return structlog.stdlib.get_logger(name)
