"""Serving the page: on this machine, or with a password on an address that the user names."""

import asyncio
import contextlib
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, RedirectResponse, Response
from starlette.middleware.trustedhost import TrustedHostMiddleware

from espejo.chat.conversation import Conversation
from espejo.chat.decline import Blocklist
from espejo.chat.engine import Engine
from espejo.chat.pauses import typical_pause
from espejo.model.config import GenerateConfig
from espejo.web.gate import Gate
from espejo.web.page import ICON, LANGUAGES, STYLE, Page, PageWording, blocks
from espejo.web.sessions import Sessions

_REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; sandbox"
)
_WRONG_SECONDS = 1  # after a wrong password: a thousand tries take a quarter of an hour
_SWEEP_SECONDS = 60


def application(
    engine: Engine,
    generate: GenerateConfig,
    blocklist: Blocklist,
    hosts: Sequence[str],
    *,
    pauses: bool = True,
    language: str | None = None,
    password: str | None = None,
    report: Path | None = None,
    framed: bool = False,
) -> FastAPI:
    """The whole site: the page in each language (or in one `language`) behind its gate.

    `hosts` are the names under which it may be asked for. Without a `password` everybody who
    reaches it is let in; with one the `report` is not shown, since only Gradio's pages ask for it.
    `framed`: see `Gate`.
    """
    sessions = Sessions(lambda: Conversation(engine, generate, blocklist))
    languages = (language,) if language else LANGUAGES
    report = None if password else report
    check = _checked(password) if password else None  # one for all pages: it slows guesses down

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sweeper = asyncio.create_task(_sweep(sessions))
        yield
        sweeper.cancel()

    site = FastAPI(lifespan=lifespan, openapi_url=None)
    site.state.sessions = sessions

    @site.get("/")
    def root(request: Request) -> Response:
        return RedirectResponse(f"/{preferred(request.headers.get('accept-language'), languages)}/")

    @site.get("/report")
    def show_report() -> Response:
        if report is None:
            return Response(status_code=404)
        return FileResponse(
            report, media_type="text/html", headers={"content-security-policy": _REPORT_POLICY}
        )

    theme = gr.themes.Base(
        primary_hue="emerald",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    for name in languages:
        page = Page(
            sessions=sessions,
            manifest=engine.manifest,
            generate=generate,
            has_base=engine.has_base,
            pause=typical_pause(engine.manifest),
            pauses=pauses,
            others=tuple(other for other in languages if other != name),
            report=report is not None,
        )
        demo = blocks(page, name)
        demo.queue(max_size=1000, api_open=False)
        gr.mount_gradio_app(
            site,
            demo,
            path=f"/{name}",
            footer_links=[],
            run_history=False,
            auth=check,
            auth_message=PageWording(name).text("login"),
            ssr_mode=False,
            enable_monitoring=False,
            mcp_server=False,
            pwa=False,
            show_error=True,
            max_file_size=0,
            theme=theme,
            css_paths=[STYLE],
            head=ICON,
            js=f"() => {{ document.documentElement.lang = '{name}'; }}",
        )
    site.add_middleware(Gate, framed=framed)
    site.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    return site


def preferred(accepted: str | None, languages: Sequence[str]) -> str:
    """The one of `languages` that an Accept-Language header names first; English without one."""
    for part in (accepted or "").lower().split(","):
        name = part.split(";")[0].strip().split("-")[0]
        if name in languages:
            return name
    return languages[0]


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # It cuts the connections that open pages hold, and would report each as an error.
        logging.getLogger("uvicorn.error").disabled = True
        await super().shutdown(sockets)


def run(site: FastAPI, listening: socket.socket) -> None:
    """Serve until Ctrl-C."""
    config = uvicorn.Config(
        site,
        log_level="warning",
        access_log=False,  # it would note who asked for what
        server_header=False,
        timeout_graceful_shutdown=1,  # open pages hold a connection each
    )
    with contextlib.suppress(KeyboardInterrupt):
        _Server(config).run(sockets=[listening])


def _checked(password: str) -> Callable[[str, str], Any]:
    """Gradio's check of a log-in: any name, and this password."""
    wrong = asyncio.Lock()

    async def check(_: str, typed: str) -> bool:
        if secrets.compare_digest(typed.encode(), password.encode()):
            return True
        async with wrong:  # one after the other, or many at once would be as quick
            await asyncio.sleep(_WRONG_SECONDS)
        return False

    return check


async def _sweep(sessions: Sessions) -> None:
    while True:
        await asyncio.sleep(_SWEEP_SECONDS)
        sessions.drop_idle()
