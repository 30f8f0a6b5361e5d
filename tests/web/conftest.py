"""The page of `espejo web`, served in this process, with an engine that writes known replies."""

import asyncio
import contextlib
import re
import shutil
import socket
import threading
from types import SimpleNamespace

import pytest
import uvicorn
from playwright.sync_api import TimeoutError, expect, sync_playwright

from espejo.chat.decline import Blocklist
from espejo.chat.line import Line
from espejo.web import server
from tests.helpers import scripted
from tests.helpers.configs import typed

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SLOW = "·"
expect.set_options(timeout=60_000)
BLOCKED = Blocklist(("bomba",), "de eso no")
REPORT = (
    "<!doctype html><title>informe</title><h1>el informe</h1>"
    "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>"
    "<img src='https://example.org/x.png'><script>document.title = 'ran'</script>"
)


class LinedEngine(scripted.ScriptedEngine):
    """Answers what `answers` say to a message, else "eco de MESSAGE", one person after another.

    While `go` is cleared it writes nothing but SLOW in the middle of a reply.
    """

    def __init__(self, manifest):
        super().__init__(manifest)
        self._line = Line()
        self.go = threading.Event()
        self.begin()

    def begin(self):
        self.go.set()
        self.answers, self.questions = (
            {},
            [],
        )  # message -> reply; (message, base, settings), in order
        self.prompts.clear()

    def pieces(self, prompt, generate, conversation, base=False):
        message = re.findall(r"<\|im_start\|>user\n(.*?)<\|im_end\|>", prompt, re.DOTALL)[-1]
        message = message.split("<|msg_sep|>")[-1]

        def write(put, stopped):
            self.questions.append((message, base, generate))
            self.prompts.append(prompt)
            text = self.answers.get(message, f"eco de {message}")
            text = f"base: {text}" if base else text
            half = len(text) // 2
            put(text[:half])
            while not self.go.wait(0.05):
                if stopped.is_set():
                    return
                put(SLOW)
            for start in range(half, len(text), 3):
                put(text[start : start + 3])
            put(self.prompter.end)

        return self._line.pieces(write)

    def close(self):
        self._line.close()


@contextlib.contextmanager
def serving(site):
    """The address at which a `site` is served, in a thread."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(site, log_level="warning", timeout_graceful_shutdown=1)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    running.should_exit = True
    thread.join(30)


@pytest.fixture(scope="module")
def site_of(composed):
    """site_of(language=…, …) is a site with its engine."""
    engines = []

    def make(hosts=("127.0.0.1", "localhost"), **options):
        engine = LinedEngine(scripted.manifest(composed))
        engines.append(engine)
        # By default the params may take a reply's tokens from the context of the fake model.
        generate = typed(composed()).generate
        site = server.application(engine, generate, BLOCKED, hosts, **{"pauses": False, **options})
        return SimpleNamespace(site=site, engine=engine, sessions=site.state.sessions)

    yield make
    for engine in engines:
        engine.close()


@pytest.fixture(scope="module")
def served(site_of, tmp_path_factory):
    """The page with a report: `address`, `engine`, `sessions`."""
    report = tmp_path_factory.mktemp("reports") / "report.html"
    report.write_text(REPORT, "utf-8")
    made_here = site_of(report=report)
    with serving(made_here.site) as address:
        made_here.address = address
        yield made_here


@pytest.fixture
def web(served):
    """The same, as at its start."""
    served.engine.begin()
    served.sessions.__init__(served.sessions._begin)
    return served


@pytest.fixture(scope="module")
def chromium():
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    # Playwright's own loop must not be taken for that of a test.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
    asyncio.set_event_loop(None)


def send(page):
    """Press Enter until the box is empty: Gradio drops one that comes right after a reply."""
    for _ in range(30):
        page.press("#box textarea", "Enter")
        with contextlib.suppress(TimeoutError):
            page.wait_for_function(
                "() => !document.querySelector('#box textarea').value", timeout=2_000
            )
            return
    pytest.fail("no Enter was taken")


class Phone:
    """A page in a browser of its own, as a person uses it."""

    def __init__(self, context, address):
        self.context, self.address = context, address
        self.page = context.new_page()
        self.errors = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, path="/"):
        self.page.goto(self.address + path)
        self.page.wait_for_selector("#chat .empty")
        return self

    def write(self, text):
        self.page.fill("#box textarea", text)
        send(self.page)

    def say(self, text):
        """Write, and wait until the reply is there."""
        written = "#chat .group.person .bubble, #chat .notice"
        count = self.page.locator(written).count()
        self.write(text)
        self.page.wait_for_function(
            "([written, n]) => document.querySelectorAll(written).length > n",
            arg=[written, count],
        )
        self.ready()

    def ready(self):
        self.page.wait_for_selector("#box .submit-button")
        self.page.wait_for_selector("#chat .typing", state="detached")

    def texts(self, side):
        texts = self.page.locator(f"#chat .group.{side} .bubble .text").all_inner_texts()
        return [text.replace(SLOW, "") for text in texts]

    def see(self, text, side="bot"):
        """Wait for a bubble that holds `text`."""
        self.page.locator(f"#chat .group.{side} .bubble", has_text=text).first.wait_for()

    def button(self, number):
        """0: another reply, 1: a new chat, 2: save."""
        return self.page.locator("#tools button").nth(number)

    def settings(self):
        self.page.click("#settings button.label-wrap")
        self.page.wait_for_selector("#paced input", state="visible")


@pytest.fixture
def person(chromium, web):
    """person(locale=…, …) opens the page in a browser that shares nothing with another."""
    contexts = []

    def open_one(address=None, **options):
        options = {"locale": "es-AR", "viewport": {"width": 1000, "height": 760}, **options}
        context = chromium.new_context(**options)
        context.set_default_timeout(60_000)
        contexts.append(context)
        return Phone(context, address or web.address)

    yield open_one
    for context in contexts:
        context.close()
