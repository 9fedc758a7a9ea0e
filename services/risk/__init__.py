"""Check-ins, bands, and alerts that end at a human."""

from infra.service import Service

rooms = ("model", "plan_model", "peers_model", "handlers", "api", "help_api", "plan_api", "peers_api")
service = Service("risk", home=__name__, rooms=rooms)
