"""What the score is, for whoever is judged by it or works with it."""

from __future__ import annotations

from typing import Any

from infra.settings import BadSettings, Settings
from infra.web import needs
from schemas import risk as say
from services.risk import service
from services.risk.outlook import HORIZON, model_of
from services.risk.score import BadModel

api = service.api


@api.get("/reports/model")
@needs("self")
@api.response(200, say.ModelOut.Schema)
def show_model() -> Any:
    """On whom it was fitted, how far it can be trusted, and what each band finds and costs."""
    model, settings = model_of(service.settings), service.settings
    document = model.document
    bands = []
    for name, share in settings.bands.items():
        cut = model.cut(share, HORIZON)
        point = next(point for point in model.points[HORIZON] if point["cut"] == cut)
        bands.append({"band": name, "horizon_days": HORIZON, "wanted_sensitivity": share, **point})
    return {
        "about": document["about"],
        "date": document["date"],
        "people": document["people"],
        "person_weeks": document["person_weeks"],
        "caseload": document["caseload"],
        "inputs": [entry["name"] for entry in document["inputs"]],
        "assumed": [answer.name for answer in model.today if answer.status == "assumed" and settings.assumed_steps],
        "bands": bands,
        "figures": document["figures"],
    }


def check_the_model(settings: Settings) -> None:
    """A model that cannot be used ends the part at its start, and not the first check-in of a bad night.

    Raises:
        BadSettings: what is wrong with the file, or a sensitivity is not in its table.
    """
    try:
        model = model_of(settings)
    except (BadModel, OSError) as error:
        raise BadSettings([f"ALONGSIDE_RISK_MODEL: {error}"]) from None
    try:
        for share in settings.bands.values():
            model.cut(share, HORIZON)
    except ValueError as error:
        raise BadSettings([f"ALONGSIDE_BANDS: {error}"]) from None


service.openings.append(check_the_model)
