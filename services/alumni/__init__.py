"""Alumni networks, their members and their notices."""

from infra.service import Service

service = Service("alumni", home=__name__)
