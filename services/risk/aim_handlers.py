"""Risk keeps a copy of what each client aims at, so that a lapse is judged by the client's own aim."""

from __future__ import annotations

from infra.store import keep_newer
from schemas.goals import AimChosen
from services.risk import service
from services.risk.aim_rules import Aim


@service.on(AimChosen)
def know_the_aim(event: AimChosen) -> None:
    state = {"aim": event.aim, "substances": event.substances, "days_per_week": event.days_per_week}
    keep_newer(service.store.collection("aims"), event.client_id, event.version, state)


def aim_of(client_id: str) -> Aim | None:
    """What the client aims at, as far as is known here."""
    kept = service.store.collection("aims").find_one({"_id": client_id})
    return None if kept is None else Aim(kept["aim"], frozenset(kept["substances"]), kept["days_per_week"])
