"""Coaches, who is on duty, and which client is with which coach."""

from infra.service import Service

service = Service("coaching", home=__name__)
