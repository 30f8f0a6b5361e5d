"""What stands before the page: which requests reach it, and what every answer carries.

A server on 127.0.0.1 is reached by any page that is open in the same browser: by its address, or by
a name that its owner points to 127.0.0.1 (DNS rebinding). Gradio checks neither. Here a request
must name a host of ours (TrustedHostMiddleware), come from a page of ours, and ask for something
that the page needs; uploads, files, and Gradio's other routes are not there.
"""

import json
import re
import secrets
from collections import OrderedDict
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "espejo"
MAX_BODY = 1_000_000  # bytes of a request: more than 100,000 characters of any script
MAX_SESSIONS = 10_000  # open tabs whose owner is remembered

# Below the page of a language; the browser was watched to list them.
_PAGE = r"/(?:en|es)"
_ALLOWED = {
    "GET": re.compile(
        rf"/|/report|{_PAGE}(?:/|/theme\.css|/favicon\.ico|/config/?|/(?:assets|static|svelte)/.+"
        r"|/gradio_api/(?:startup-events|queue/data|heartbeat/\w+))?"
    ),
    "POST": re.compile(rf"{_PAGE}/(?:login/?|gradio_api/(?:queue/join|cancel))"),
}
_ALLOWED["HEAD"] = _ALLOWED["GET"]
_POLICY = (  # Gradio writes scripts and styles into the page, and compiles its templates there
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors "
)


class Gate:
    """ASGI middleware; `framed` where another site shows the page in a frame, as a Space is."""

    def __init__(self, app: ASGIApp, framed: bool = False) -> None:
        self._app, self._framed = app, framed
        self._owners: OrderedDict[str, str] = OrderedDict()  # Gradio's session -> our cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":  # the page needs no websocket
            return await send({"type": "websocket.close", "code": 1008})
        headers = Headers(scope=scope)
        owner = _cookie(headers)
        allowed = _ALLOWED.get(scope["method"])
        if not allowed or not allowed.fullmatch(scope["path"]) or ".." in scope["path"]:
            return await _refuse(404, "Not here.")(scope, receive, send)
        if self._foreign(scope, headers):
            return await _refuse(403, "Not from another site.")(scope, receive, send)
        if scope["method"] == "POST":
            body = await _read(receive)
            if body is None:
                return await _refuse(413, "Too long.")(scope, receive, send)
            receive = _replay(body, receive)
            session = _session_in(body) if "/gradio_api/" in scope["path"] else ""
        else:
            session = _session_of(scope)
        if session is None or (session and not self._owns(owner, session)):
            return await _refuse(403, "Load the page again.")(scope, receive, send)
        return await self._app(scope, receive, self._with_headers(send, owner, scope["path"]))

    def _foreign(self, scope: Scope, headers: Headers) -> bool:
        """Whether a page of another site asks. To follow a link to the page is allowed."""
        origin, hosts = headers.get("origin"), {headers.get("host", "")}
        if self._framed:  # the hub's server stands between
            hosts.add(headers.get("x-forwarded-host", ""))
        if origin is not None and urlsplit(origin).netloc not in hosts - {""}:
            return True
        if headers.get("sec-fetch-site") not in ("cross-site", "same-site"):
            return False
        shown = {"document", "iframe"} if self._framed else {"document"}
        follows = headers.get("sec-fetch-mode") == "navigate"
        return not (follows and headers.get("sec-fetch-dest") in shown and scope["method"] == "GET")

    def _owns(self, owner: str | None, session: str) -> bool:
        """Whether the session belongs to whoever sends the cookie `owner`; the first takes it.

        Gradio would tell everyone who knows a session's name what is written there.
        """
        if owner is None:
            return False
        if self._owners.setdefault(session, owner) != owner:
            return False
        self._owners.move_to_end(session)
        while len(self._owners) > MAX_SESSIONS:
            self._owners.popitem(last=False)
        return True

    def _with_headers(self, send: Send, owner: str | None, path: str) -> Send:
        # No site of ours would need them from elsewhere; the cookie of a frame must say so.
        where = "SameSite=None; Secure; Partitioned" if self._framed else "SameSite=Lax"
        frames = "https://huggingface.co" if self._framed else "'none'"

        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("content-security-policy", f"{_POLICY}{frames}")
                headers["x-content-type-options"] = "nosniff"
                headers["referrer-policy"] = "no-referrer"
                headers["cross-origin-resource-policy"] = "same-origin"
                if "/assets/" not in path and "/static/" not in path:
                    headers["cache-control"] = "no-store"
                if owner is None:
                    cookie = f"{COOKIE}={secrets.token_urlsafe(32)}; Path=/; HttpOnly; {where}"
                    headers.append("set-cookie", cookie)
            await send(message)

        return sender


def _refuse(status: int, reason: str) -> PlainTextResponse:
    return PlainTextResponse(reason, status)


def _cookie(headers: Headers) -> str | None:
    """The browser's own cookie, or None: 43 characters that nobody can guess."""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel and re.fullmatch(r"[\w-]{43}", morsel.value) else None


def _session_of(scope: Scope) -> str:
    """The session in an address; "" where the route has none."""
    if "/heartbeat/" in scope["path"]:
        return scope["path"].rpartition("/")[2]
    if scope["path"].endswith("/queue/data"):
        return parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", ["?"])[-1]
    return ""


def _session_in(body: bytes) -> str | None:
    """The session that a request names in its body; None where it names none."""
    try:
        session = json.loads(body).get("session_hash")
    except (ValueError, AttributeError, RecursionError):
        return None
    return session if isinstance(session, str) and 0 < len(session) <= 100 else None


async def _read(receive: Receive) -> bytes | None:
    """The body of a request; None where it is longer than MAX_BODY."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives `body`, then what the connection goes on with."""
    first = True

    async def replayed() -> Message:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replayed
