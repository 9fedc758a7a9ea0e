"""Check-ins, instruments, bands, and alerts that end at a human."""

from infra.service import Service

service = Service(
    "risk",
    home=__name__,
    rooms=("model", "handlers", "api", "instruments", "assessment_model", "assessment_api"),
)
