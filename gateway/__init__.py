"""The only door for phones and browsers: REST, live sockets, chat and push."""

from infra.service import Service

service = Service("gateway", home=__name__, rooms=("push", "duty"))
