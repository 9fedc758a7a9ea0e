"""REST of the push: where a person's devices are reached, and what was sent to them."""

from __future__ import annotations

import re
from typing import Any

from gateway.push import keep_device
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
        if not re.fullmatch(ID_PATTERN, device_id):
            refuse("id", "Must be an id: 1 to 64 of A-Z, a-z, 0-9, '.', '_', ':' and '-'.")
        keep_device(
            who().person_id,
            device_id,
            {
                "kind": body.kind,
                "value": body.value,
                "timezone": body.timezone,
                "quiet_hours": body.quiet_hours.dump() if body.quiet_hours else None,
            },
        )
        return {"id": device_id, "kind": body.kind, "timezone": body.timezone, "quiet_hours": body.quiet_hours}

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

    return api


def _delivery(delivery: Raw) -> Raw:
    return {
        "id": delivery["_id"],
        "device_id": delivery["device"].partition("/")[2],
        "kind": delivery["kind"],
        "ref": delivery["ref"],
        "state": delivery["state"],
        "why": delivery["why"],
        "at": delivery["at"],
    }
