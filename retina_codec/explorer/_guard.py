"""Whoever asks must know the token: a gate before everything that a server answers."""

from hmac import compare_digest
from typing import Any

from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.routing import Router
from tornado.web import Application, RequestHandler

COOKIE = "retina_codec_explorer"


class Guard(Router):
    """Hand requests with the token on to an application; answer 403 to all others.

    The token may be in the address (then a cookie keeps it, so that scripts of the page and its
    websocket have it too) or in that cookie.

    Parameters
    ----------
    application
        That is guarded.
    token
        The secret.
    port
        Of the server; cookies do not tell ports apart, so it is part of the cookie's name.
    """

    def __init__(self, application: Application, token: str, port: int):
        self.application, self.token, self.cookie = application, token, f"{COOKIE}_{port}"

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> HTTPMessageDelegate | None:
        """Return what answers a request."""
        kept = request.cookies.get(self.cookie)
        if kept is not None and self._is_token(kept.value.encode()):
            return self.application.find_handler(request, **kwargs)
        given = request.query_arguments.get("token", [b""])[-1]
        handler = Welcome if self._is_token(given) else Refused
        arguments = {"cookie": self.cookie, "token": self.token}
        return self.application.get_handler_delegate(request, handler, arguments)

    def _is_token(self, given: bytes) -> bool:
        return compare_digest(given, self.token.encode())


class Refused(RequestHandler):
    """Answer 403."""

    def initialize(self, cookie: str, token: str) -> None:
        """Take what `Welcome` takes."""

    def prepare(self) -> None:
        """Answer before anything else is done."""
        self.set_status(403)
        self.finish("403: the address needs the token that was printed at the start.\n")


class Welcome(RequestHandler):
    """Keep the token in a cookie and come again."""

    def initialize(self, cookie: str, token: str) -> None:
        """Take the name of the cookie and the token."""
        self.cookie, self.token = cookie, token

    def get(self) -> None:
        """Send the browser to the same address, with the cookie."""
        self.set_cookie(self.cookie, self.token, httponly=True, samesite="Lax")
        self.redirect(self.request.path + "?" + self.request.query)
