"""Check-ins, instruments, bands, and alerts that end at a human."""

from infra.service import Service

service = Service(
    "risk",
    home=__name__,
    rooms=(
        "model",
        "on_call_model",
        "aside_model",
        "reminder_model",
        "instruments",
        "assessment_model",
        "plan_model",
        "peers_model",
        "handlers",
        "aim_handlers",
        "aside_handlers",
        "reminder_handlers",
        "api",
        "help_api",
        "plan_api",
        "peers_api",
        "alert_api",
        "aside_api",
        "reminder_api",
        "assessment_api",
        "model_api",
    ),
)
