"""Take the pictures of the READMEs: the report, the chat and the page, on the demo.

    python -m docs.pictures      # after `make repro`, and where Chromium is installed

The report is taken in the language that it has: for English run
`dvc exp run -S report.language=en` first.
"""

import builtins
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from playwright.sync_api import sync_playwright
from rich.console import Console

from espejo.chat import terminal
from espejo.commands import cli

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "pictures"
TYPED = (
    *("hola juli, como va?", "que hiciste hoy?", "te gusta el mate?"),
    *("/set temperature 0.3", "/regenerate", "salir"),
)
SEED = 11
# On the page: what is written, and the screens (file, language, with the base model, screen).
WRITTEN = ("hola juli, como va?", "que hiciste hoy?", "nos vemos el viernes?")
SCREENS: tuple[tuple[str, str, bool, dict[str, Any]], ...] = (
    ("web.png", "en-US", True, {"viewport": {"width": 900, "height": 760}}),
    (
        "web-phone.png",
        "es-AR",
        False,
        {
            "viewport": {"width": 390, "height": 760},
            "device_scale_factor": 2,
            "color_scheme": "dark",
        },
    ),
)
REPORTS = {"en": "report.png", "es": "informe.png"}


def chromium() -> str:
    """The path of Chromium."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        sys.exit("docs.pictures: there is no Chromium here: install it (apt-get install chromium).")
    return path


def screenshot(page: Path, picture: Path, width: int, height: int) -> None:
    """Write what Chromium shows of `page`, a window of width x height pixels, as a PNG."""
    subprocess.run(
        [
            *(chromium(), "--headless", "--no-sandbox", "--hide-scrollbars"),
            *(f"--window-size={width},{height}", f"--screenshot={picture}", page.as_uri()),
        ],
        check=True,
        capture_output=True,
    )


def chat(page: Path) -> tuple[int, int]:
    """Have the conversation, write it as a page, and return its width and height in pixels."""
    console = Console(record=True, width=80, highlight=False)

    def ask(prompt: str = "") -> str:
        line = next(lines)
        console.print(f"{prompt}{line}", markup=False)
        return line

    lines = iter(TYPED)
    with (
        mock.patch.object(terminal, "Console", return_value=console),
        mock.patch.object(builtins, "input", ask),
    ):
        cli.chat(ROOT / "model", SEED)
    svg = console.export_svg(title="espejo chat", font_aspect_ratio=0.61)
    size = svg.split('viewBox="0 0 ', 1)[1].split('"', 1)[0]
    width, height = (round(float(number)) for number in size.split())
    style = f"<style>body{{margin:0}}svg{{width:{width}px}}</style>"
    page.write_text(f"<!doctype html>{style}{svg}", "utf-8")
    return width, height


def web() -> None:
    """Talk on the real page of `espejo web`, on a screen and on a phone, and take both."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "espejo", "web", "--port", address.rpartition(":")[2]]
    server = subprocess.Popen(
        [*command, "--seed", str(SEED + 1)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout
    next(line for line in server.stdout if address in line)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
            for name, locale, beside, look in SCREENS:
                page = browser.new_context(locale=locale, **look).new_page()
                page.goto(address)
                page.wait_for_selector("#chat .empty")
                if beside:
                    page.click("#settings button.label-wrap")
                    page.check("#beside input")
                    page.click("#settings button.label-wrap")
                for line in WRITTEN:
                    page.fill("#box textarea", line)
                    page.press("#box textarea", "Enter")
                    page.wait_for_selector("#box .stop-button")
                    page.wait_for_selector("#box .submit-button", timeout=180_000)
                page.wait_for_function(
                    "(chat => chat.scrollTop + chat.clientHeight > chat.scrollHeight - 5)"
                    "(document.querySelector('#chat'))"
                )
                page.screenshot(path=FOLDER / name)
            browser.close()
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    """Write the chat, the page and the top of the report into docs/pictures/."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        page = Path(scratch) / "chat.html"
        screenshot(page, FOLDER / "chat.png", *chat(page))
    web()
    report = ROOT / "reports" / "report.html"
    language = re.findall(r'<html lang="(\w+)"', report.read_text("utf-8"))[0]
    screenshot(report, FOLDER / REPORTS[language], 900, 850)


if __name__ == "__main__":
    main()
