"""The page of the chat in one language: what is on it, and what happens when it is used."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import gradio as gr
from markupsafe import Markup

from espejo.chat import transcripts
from espejo.chat.conversation import BOT
from espejo.chat.engine import Reply, Waiting
from espejo.chat.pauses import paced as with_pauses
from espejo.core import escaping
from espejo.core.errors import UserError
from espejo.model import manifest as manifests
from espejo.model.config import GenerateConfig
from espejo.report.wording import Wording
from espejo.web import bubbles
from espejo.web.gate import COOKIE
from espejo.web.sessions import Bubble, Exchange, Session, Sessions

LANGUAGES = ("en", "es")
MAX_CHARS = 100_000  # of a message
MAX_READERS = 500  # replies that are read at once; those above wait in Gradio's queue
REDRAW_SECONDS = 0.06
STYLE = Path(__file__).with_name("page.css")
# setting -> lowest, highest, step
_SLIDERS: dict[str, tuple[float, float, float]] = {
    "temperature": (0, 2, 0.05),
    "top_k": (0, 200, 1),
    "top_p": (0.05, 1, 0.05),
    "repetition_penalty": (1, 2, 0.05),
    "max_new_tokens": (8, 256, 1),
}
# Light and dark without a request; the text that `save` gave becomes a file of the browser's.
_TURN = "() => { document.body.classList.toggle('dark'); }"
_DOWNLOAD = """(text) => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], {type: 'text/plain'}));
  link.download = 'espejo.txt';
  link.click();
  URL.revokeObjectURL(link.href);
  return '';
}"""
ICON = (
    '<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22 '
    "viewBox=%220 0 32 32%22%3E%3Ccircle cx=%2216%22 cy=%2216%22 r=%2216%22 fill=%22%231c664e%22/"
    '%3E%3C/svg%3E">'
)


class _End:
    """A reply has ended."""


class PageWording(Wording):
    """The texts of the page in one language, `en` or `es`."""

    folder = Path(__file__).parent


@dataclass(frozen=True)
class Page:
    """What the page of every language has in common."""

    sessions: Sessions
    manifest: Mapping[str, Any]  # espejo.json
    generate: GenerateConfig
    has_base: bool
    pause: float  # seconds between two bubbles, as the author lets pass
    pauses: bool  # whether the page begins with them
    others: tuple[str, ...] = ()  # further languages, one click away
    report: bool = False  # whether there is one to link to
    clock: Callable[[], str] = lambda: time.strftime("%H:%M")

    def key(self, request: gr.Request) -> tuple[str | None, str | None]:
        """The key of a session: the browser's cookie, and Gradio's name for the tab."""
        return request.cookies.get(COOKIE), request.session_hash


def blocks(page: Page, language: str) -> gr.Blocks:
    """The page in one `language`; `server.application` mounts it."""
    wording = PageWording(language, manifests.kind_of(page.manifest))
    text = wording.text
    sessions = page.sessions

    def view(session: Session) -> tuple:
        """What is on the page now: the bubbles, the box to write in, the buttons."""
        busy = session.turn.locked()
        last = session.exchanges[-1].author if session.exchanges else ""
        again = not busy and last in ("person", "bot")
        return (
            bubbles.html(session, wording),
            gr.Textbox(submit_btn=not busy, stop_btn=busy),
            gr.Button(interactive=again),
            gr.Button(interactive=not busy and bool(session.exchanges)),
            gr.Button(interactive=not busy and bool(session.conversation.turns)),
        )

    async def begin(request: gr.Request) -> tuple:
        return view(sessions.get(page.key(request)))

    async def send(
        request: gr.Request, message: str, beside: bool, paced: bool, *settings: float
    ) -> AsyncIterator[tuple]:
        session = sessions.get(page.key(request))
        message = message[:MAX_CHARS]
        box = ""  # emptied once: what is typed while the reply comes stays
        if message.strip():
            async with session.turn:
                apply(session, settings)
                # In a thread: to look for blocked topics in a long message can take seconds.
                answer = await anyio.to_thread.run_sync(session.conversation.say, message)
                add(session, "person" if answer is None else "declined", message)
                if answer is None:
                    async for _ in replies(session, beside, paced, again=False):
                        yield box, *view(session)
                        box = gr.skip()
                else:
                    add(session, "notice", f"{text('declined')} {answer}")
        yield box, *view(session)

    async def regenerate(
        request: gr.Request, beside: bool, paced: bool, *settings: float
    ) -> AsyncIterator[tuple]:
        session = sessions.get(page.key(request))
        if session.exchanges and session.exchanges[-1].author in ("person", "bot"):
            async with session.turn:
                apply(session, settings)
                if session.exchanges[-1].author == "bot":
                    session.exchanges.pop()
                async for _ in replies(session, beside, paced, again=True):
                    yield view(session)
        yield view(session)

    def add(session: Session, author: Any, message: str) -> None:  # noqa: ANN401
        bubble = Bubble(message.strip(), page.clock())
        if session.exchanges and session.exchanges[-1].author == author == "person":
            session.exchanges[-1].bubbles.append(bubble)
        else:
            session.exchanges.append(Exchange(author, [bubble]))

    def apply(session: Session, settings: tuple[float, ...]) -> None:
        for name, value in zip(_SLIDERS, settings, strict=True):
            if getattr(session.conversation.generate, name) != value:
                try:
                    session.conversation.set(name, str(value))
                except UserError as error:
                    raise gr.Error(str(error), print_exception=False) from error

    async def replies(
        session: Session, beside: bool, paced: bool, again: bool
    ) -> AsyncIterator[None]:
        """Write the reply into what is shown, and with `beside` the base model's; after each
        change that is worth a new picture, yields."""
        session.stop.clear()
        session.typing = "bot"
        conversation = session.conversation
        try:
            pause = page.pause if paced else None
            reply = conversation.regenerate() if again else conversation.reply()
            exchange = Exchange("bot")
            async for _ in read(session, reply, exchange.bubbles, pause, exchange):
                yield
            session.left_out = conversation.left_out
            if not session.stop.is_set() and conversation.turns[-1]["author"] == BOT:
                # As the conversation keeps it.
                written = conversation.turns[-1]["messages"]
                for bubble, message in zip(exchange.bubbles, written, strict=False):
                    bubble.text = message
            if not exchange.bubbles:
                exchange.bubbles.append(Bubble(text("nothing"), page.clock()))
            if exchange not in session.exchanges:
                session.exchanges.append(exchange)
            if beside and page.has_base and not session.stop.is_set():
                exchange.base, session.typing = [], "base"
                yield
                reply = conversation.reply(base=True)
                async for _ in read(session, reply, exchange.base, pause, exchange):
                    yield
                if not exchange.base:
                    exchange.base.append(Bubble(text("nothing"), page.clock()))
        finally:
            session.typing, session.ahead = "", 0

    async def read(
        session: Session,
        reply: Reply,
        written: list[Bubble],
        pause: float | None,
        exchange: Exchange,
    ) -> AsyncIterator[None]:
        """Read a `reply` into the bubbles `written`, until it ends or is stopped.

        With a `pause` (seconds) a bubble appears when it is whole, as on a phone, and the next one
        after the pause; without one (None) each text appears as it is generated.
        """
        whole, drawn = "", 0.0
        loop = asyncio.get_running_loop()

        def show(message: str) -> None:
            if exchange not in session.exchanges:
                session.exchanges.append(exchange)
            written.append(Bubble(message.strip(), page.clock()))

        yield
        if pause is not None:
            reply = with_pauses(reply, pause, partial(_rest, session.stop))
        async for piece in until(session.stop, reply):
            if isinstance(piece, Waiting):
                # In tens where many wait, or each who is served would be news for all the others.
                ahead = piece.ahead if piece.ahead < 10 else 10 * round(piece.ahead / 10)
                if session.ahead != ahead:
                    session.ahead = ahead
                    yield
                continue
            session.ahead = 0
            if piece is not None:
                fresh, whole = not whole.strip(), whole + piece
                if pause is None and whole.strip():
                    if fresh:
                        show(whole)
                    written[-1].text = whole.strip()
                    if loop.time() - drawn > REDRAW_SECONDS:
                        drawn = loop.time()
                        yield
                continue
            if pause is not None and whole.strip():
                show(whole)
                yield
            whole = ""
        if pause is not None and whole.strip():
            show(whole)
        yield

    async def stop(request: gr.Request) -> None:
        sessions.get(page.key(request)).stop.set()

    async def reset(request: gr.Request) -> tuple:
        session = sessions.get(page.key(request))
        session.stop.set()
        async with session.turn:
            session.conversation.reset()
            session.exchanges.clear()
            session.left_out = 0
        return view(session)

    async def save(request: gr.Request) -> str:
        turns = sessions.get(page.key(request)).conversation.turns
        return transcripts.transcript(turns, wording)

    async def leave(request: gr.Request) -> None:
        sessions.drop(page.key(request))

    name, data = page.manifest["model"]["name"], page.manifest["data"]
    with gr.Blocks(
        analytics_enabled=False, title=text("title"), fill_height=True, mode="espejo"
    ) as demo:
        # Long before a page could want more: 40 replies would keep "stop" waiting.
        demo.max_threads = MAX_READERS
        demo.create_limiter()
        with gr.Row(elem_id="head"):
            gr.HTML(
                _head(page, wording, name, data),
                elem_id="about",
                js_on_load=None,
                apply_default_css=False,
            )
            dark = gr.Button("◐", elem_id="dark", size="sm", min_width=40, scale=0)
        chat = gr.HTML(elem_id="chat", autoscroll=True, js_on_load=None, apply_default_css=False)
        box = gr.Textbox(
            elem_id="box",
            show_label=False,
            container=False,
            placeholder=text("placeholder"),
            label=text("placeholder"),
            lines=1,
            max_lines=6,
            max_length=MAX_CHARS,
            autofocus=True,
            submit_btn=True,
        )
        with gr.Row(elem_id="tools"):
            again = gr.Button(text("regenerate"), size="sm", interactive=False, min_width=80)
            new = gr.Button(text("reset"), size="sm", interactive=False, min_width=80)
            keep = gr.Button(text("save"), size="sm", interactive=False, min_width=80)
        with gr.Accordion(text("settings"), open=False, elem_id="settings"):
            with gr.Row():
                paced = gr.Checkbox(page.pauses, label=text("paced"), elem_id="paced")
                beside = gr.Checkbox(
                    False, label=text("beside"), visible=page.has_base, elem_id="beside"
                )
            sliders = [
                gr.Slider(
                    *_range(getattr(page.generate, setting), *limits),
                    value=getattr(page.generate, setting),
                    label=text(f"generate.{setting}"),
                    info=text(f"about_generate.{setting}"),
                    elem_id=setting,
                )
                for setting, limits in _SLIDERS.items()
            ]
        saved = gr.Textbox(visible="hidden", elem_id="saved", label="saved", max_length=0)

        parts = [chat, box, again, new, keep]
        settings = [beside, paced, *sliders]
        hidden: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        many: dict[str, Any] = hidden | {"concurrency_limit": None}
        demo.load(begin, None, parts, **many)
        box.submit(send, [box, *settings], [box, *parts], **many)
        again.click(regenerate, settings, parts, **many)
        box.stop(stop, None, None, **many)
        new.click(reset, None, parts, **many)
        keep.click(save, None, saved, **many).then(None, saved, saved, js=_DOWNLOAD)
        dark.click(None, None, None, js=_TURN)
        demo.unload(leave)
    return demo


async def until(stop: threading.Event, reply: Reply) -> AsyncIterator[str | None | Waiting]:
    """What `reply` gives, read in a thread, until it ends or `stop` is set; then it is closed."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[str | None | Waiting | _End] = asyncio.Queue()

    def read() -> None:
        try:
            with closing(reply):
                for piece in reply:
                    loop.call_soon_threadsafe(pieces.put_nowait, piece)
                    if stop.is_set():
                        return
        finally:
            loop.call_soon_threadsafe(pieces.put_nowait, _End())

    reading = asyncio.ensure_future(anyio.to_thread.run_sync(read, limiter=_readers()))
    try:
        while not isinstance(piece := await pieces.get(), _End):
            yield piece
        await reading
    finally:
        if not reading.done():  # the page was closed
            stop.set()


def _rest(stop: threading.Event, seconds: float) -> None:
    """Wait in a thread, until `stop` is set at most."""
    stop.wait(seconds)


_limiter: anyio.CapacityLimiter | None = None


def _readers() -> anyio.CapacityLimiter:
    """Threads that read replies: apart from those that serve the page's files."""
    global _limiter
    if _limiter is None:
        _limiter = anyio.CapacityLimiter(MAX_READERS)
    return _limiter


def _range(value: float, low: float, high: float, step: float) -> tuple[float, float]:
    """The ends of a slider: further out where the params are."""
    return min(low, value), max(high, value)


def _head(page: Page, wording: Wording, name: str, data: str) -> Markup:
    """Whom one talks to: a bot, which model, trained on what; and where else one may go."""
    text = wording.text
    links = [(f"../{other}/", text(f"languages.{other}"), "") for other in page.others]
    if page.report:
        links.insert(0, ("../report", text("report"), ' target="_blank" rel="noopener"'))
    places = Markup("").join(
        Markup('<a href="{}"{}>{}</a>').format(address, Markup(more), label)
        for address, label, more in links
    )
    return Markup(
        '<div class="face" aria-hidden="true">e</div><div class="who"><h1>espejo</h1>'
        '<p class="bot">{}</p><p class="model">{}</p></div><nav>{}</nav>'
    ).format(text("is_a_bot"), escaping.html(text("model", name=name, data=data)), places)
