"""How many check-ins wait to be read, where an operator looks."""

from __future__ import annotations

from datetime import datetime

from infra import telemetry
from services.risk import service
from services.risk.aside_model import entries


@service.every(10)
def count_what_is_set_aside(_: datetime) -> None:
    telemetry.check_ins_set_aside.set(entries().count_documents({"state": "waiting"}))
