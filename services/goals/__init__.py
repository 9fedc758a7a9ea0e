"""Goals that are the client's own and agreed together."""

from infra.service import Service

service = Service("goals", home=__name__)
