"""The bare relay: the least that this stack can do for a chat. It acknowledges and passes on, and keeps nothing.

The product is measured against it, on the same server, with the same load generator. ``python -m bench.relay PORT``.
"""

# ruff: noqa: E402 - gevent patches the standard library before anything else is imported.
from gevent import monkey

monkey.patch_all()

import socket
import sys
from typing import Any

import orjson
from flask import Flask
from flask_socketio import SocketIO
from gevent.pywsgi import WSGIHandler, WSGIServer


class Json:
    """The product's JSON library, in the form that Socket.IO asks for."""

    @staticmethod
    def dumps(data: Any, **_: Any) -> str:
        return orjson.dumps(data).decode()

    @staticmethod
    def loads(text: str | bytes, **_: Any) -> Any:
        return orjson.loads(text)


class Handler(WSGIHandler):  # type: ignore[misc]
    """Small packets leave at once, as they do in the product."""

    def handle(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().handle()


def relay_app() -> Flask:
    """Two connections whose tokens are ``NAME/a`` and ``NAME/b`` are a pair."""
    app = Flask("relay")
    sockets = SocketIO(app, async_mode="gevent", async_handlers=False, transports=["websocket"], json=Json)
    server = sockets.server
    sids: dict[str, str] = {}
    others: dict[str, str] = {}

    def connect(sid: str, _: Any, auth: dict[str, str]) -> None:
        name, _, side = auth["token"].rpartition("/")
        sids[f"{name}/{side}"] = sid
        others[sid] = f"{name}/{'b' if side == 'a' else 'a'}"

    def send(sid: str, message: dict[str, Any]) -> dict[str, Any]:
        server.emit("message", message, to=sids[others[sid]])
        return {"ok": True}

    server.on("connect", connect)
    server.on("message.send", send)
    return app


if __name__ == "__main__":
    WSGIServer(("127.0.0.1", int(sys.argv[1])), relay_app(), log=None, handler_class=Handler).serve_forever()
