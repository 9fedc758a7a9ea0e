"""REST of the push: where a person's devices are reached, what was sent to them, and how far a notice has come."""

from __future__ import annotations

import re
from typing import Any

from gateway.crowd import progress
from gateway.devices import keep_device
from gateway.post import look_again, opened
from gateway.webpush import BadSubscription, public_key, read_subscription
from infra.access import NotYours
from infra.service import Service
from infra.store import Raw
from infra.web import Blueprint, needs, page, refuse, who
from schemas import chat as say
from schemas.fields import ID_PATTERN


def device_routes(service: Service) -> Blueprint:
    """Devices and deliveries."""
    api = Blueprint("devices", __name__)

    @api.put("/devices/<device_id>")
    @needs("self")
    @api.arguments(say.NewDevice.Schema)
    @api.response(200, say.DeviceOut.Schema)
    def put_device(body: say.NewDevice, device_id: str) -> Any:
        """Register a device, and again whenever the app starts: what was not seen for 270 days is forgotten."""
        if not re.fullmatch(ID_PATTERN, device_id):
            refuse("id", "Must be an id: 1 to 64 of A-Z, a-z, 0-9, '.', '_', ':' and '-'.")
        if body.kind == "webpush":
            _check_subscription(body.value, loopback=service.settings.env != "production")
        asked = {
            "timezone": body.timezone,
            "quiet_hours": body.quiet_hours.dump() if body.quiet_hours else None,
            "do_not_disturb_until": body.do_not_disturb_until,
            "language": body.language,
        }
        device, changed = keep_device(who().person_id, device_id, {"kind": body.kind, "value": body.value, **asked})
        if changed:
            look_again(device["_id"])
        return {"id": device_id, "kind": body.kind, "seen_at": device["seen_at"], **asked}

    @api.delete("/devices/<device_id>")
    @needs("self")
    @api.response(204)
    def delete_device(device_id: str) -> None:
        service.store.collection("devices").delete_one({"_id": f"{who().person_id}/{device_id}"})

    @api.get("/deliveries")
    @needs("self")
    @api.response(200, say.DeliveryPage.Schema)
    def list_deliveries() -> Any:
        """The caller's own, newest first."""
        asked = page(device=())
        where: Raw = {"person": who().person_id}
        if "device" in asked.filters:
            where["device"] = f"{who().person_id}/{asked.filters['device']}"
        found = service.store.collection("deliveries").find(where).sort([("at", -1), ("_id", -1)])
        items, following = asked.cut(list(found.limit(asked.limit + 1)), lambda delivery: str(delivery["_id"]))
        return {"items": [_delivery(delivery) for delivery in items], "next": following}

    @api.post("/deliveries/<delivery_id>/opened")
    @needs("self")
    @api.response(200, say.DeliveryOut.Schema)
    def open_delivery(delivery_id: str) -> Any:
        """The person opened what the push was about. Repeating it changes nothing."""
        delivery = opened(delivery_id, who().person_id)
        if delivery is None:
            raise NotYours(delivery_id)
        return _delivery(delivery)

    @api.get("/push/key")
    @needs("public")
    @api.response(200, say.PushKey.Schema)
    def push_key() -> Any:
        """What a browser subscribes with; 404 where browsers are not pushed to."""
        if service.settings.vapid_private_key is None:
            raise NotYours("key")
        return {"key": public_key(service.settings.vapid_private_key)}

    @api.get("/networks/<network_id>/notices/<notice_id>/progress")
    @needs("organiser")
    @api.response(200, say.NoticeProgress.Schema)
    def notice_progress(network_id: str, notice_id: str) -> Any:
        """For whoever posted the notice, as long as its deliveries are kept, which is 30 days."""
        found = progress(network_id, notice_id, who().person_id)
        if found is None:
            raise NotYours(notice_id)
        return found

    return api


def _check_subscription(value: str, loopback: bool) -> None:
    try:
        read_subscription(value, loopback)
    except BadSubscription as error:
        refuse(f"value.{error.field}" if error.field else "value", str(error))


def _delivery(delivery: Raw) -> Raw:
    return {
        "id": delivery["_id"],
        "device_id": delivery["device"].partition("/")[2],
        "kind": delivery["kind"],
        "ref": delivery["ref"],
        "state": delivery["state"],
        "why": delivery["why"],
        "at": delivery["at"],
        "opened_at": delivery.get("opened_at"),
    }
