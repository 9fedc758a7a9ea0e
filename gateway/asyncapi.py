"""The AsyncAPI 3 document: what sockets carry and what the log's topics carry, made from the schemas that validate."""

from __future__ import annotations

from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

from gateway.live import NEEDS
from schemas import chat as say
from schemas.base import Shape
from schemas.catalogue import EVENTS, TOPICS

_SPOKEN: dict[str, tuple[type[Shape], str]] = {
    "message.send": (say.SendAsk, "A message. Acknowledged once it is stored."),
    "message.edit": (
        say.EditAsk,
        "Another text for a message of one's own, for 24 hours. Acknowledged like a message.",
    ),
    "message.take_back": (say.TakeBackAsk, "A message of one's own is taken back, for 24 hours."),
    "message.sync": (say.SyncAsk, "What is behind a number."),
    "conversation.delivered": (say.CursorAsk, "The devices of the caller have everything up to a number."),
    "conversation.read": (say.CursorAsk, "The caller has read everything up to a number."),
    "typing": (say.TypingAsk, "The caller is writing, or has stopped; told to the others with who it is."),
    "duty": (say.DutyAsk, "A coach goes on or off duty."),
}
_TOLD = {
    "ready": {"person_id": "string", "server_time": "string"},
    # So much waited for this socket that hints were left out: ask for what was missed, as after ``ready``.
    "sync": {},
    "expired": {},
}


def asyncapi() -> dict[str, Any]:
    """The document as a mapping for JSON."""
    spec = APISpec("Alongside", "v1", "3.1.0", plugins=[MarshmallowPlugin()])
    for event in EVENTS.values():
        spec.components.schema(event.__name__, schema=event.Schema)
    spec.components.schema("Message", schema=say.MessageOut.Schema)
    for shape in {shape for shape, _ in _SPOKEN.values()}:
        spec.components.schema(shape.__name__, schema=shape.Schema)
    channels = {topic: _topic(topic) for topic in TOPICS}
    channels["sockets"] = _sockets()
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Alongside", "version": "v1"},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": _operations(),
        "components": {"schemas": spec.to_dict()["components"]["schemas"]},
    }


def _topic(topic: str) -> dict[str, Any]:
    """CloudEvents 1.0 in binary mode: attributes in ``ce_*`` headers, the data as JSON."""
    events = [event for event in EVENTS.values() if event.topic == topic]
    return {
        "address": topic,
        "description": "A topic of the log. CloudEvents 1.0, binary mode.",
        "messages": {
            event.__name__: {
                "name": event.type_name(),
                "title": (event.__doc__ or "").strip().splitlines()[0],
                "headers": _headers(event.type_name()),
                "payload": {"$ref": f"#/components/schemas/{event.__name__}"},
            }
            for event in events
        },
    }


def _headers(type_name: str) -> dict[str, Any]:
    names = ("ce_id", "ce_source", "ce_time", "ce_subject", "ce_sequence", "ce_requestid")
    properties: dict[str, Any] = {name: {"type": "string"} for name in names}
    properties["ce_type"] = {"const": type_name}
    properties["ce_specversion"] = {"const": "1.0"}
    return {"type": "object", "properties": properties}


def _sockets() -> dict[str, Any]:
    messages: dict[str, Any] = {
        name: {
            "name": name,
            "summary": summary,
            "payload": {"$ref": f"#/components/schemas/{shape.__name__}"},
            "x-needs": NEEDS[name],
        }
        for name, (shape, summary) in _SPOKEN.items()
    }
    messages["message"] = {"name": "message", "payload": {"$ref": "#/components/schemas/Message"}}
    for name, fields in {**_TOLD, **_hints()}.items():
        told = {"type": "object", "properties": {field: {"type": kind} for field, kind in fields.items()}}
        said = messages.setdefault(name, {"name": name}).get("payload")
        # The client's own form and the server's, where both sides say it.
        messages[name]["payload"] = {"anyOf": [said, told]} if said else told
    return {"address": "/socket.io", "description": "Socket.IO, WebSocket transport only.", "messages": messages}


def _hints() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for event in EVENTS.values():
        if event.hint is not None and event.hint.name is not None:
            fields = [*event.hint.fields, *(["change"] if event.hint.change else [])]
            found[event.hint.name] = {field: _KINDS.get(field, "string") for field in fields}
    return found


_KINDS = {"delivered": "integer", "read": "integer", "on": "boolean"}


def _operations() -> dict[str, Any]:
    heard = {f"hear {name}": {"action": "receive", **_on("sockets", name)} for name in _SPOKEN}
    told = {f"tell {name}": {"action": "send", **_on("sockets", name)} for name in ("message", *_TOLD, *_hints())}
    return {**heard, **told}


def _on(channel: str, message: str) -> dict[str, Any]:
    place = f"#/channels/{channel}"
    return {"channel": {"$ref": place}, "messages": [{"$ref": f"{place}/messages/{message}"}]}
