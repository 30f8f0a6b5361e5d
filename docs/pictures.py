"""Take the pictures of the READMEs: the report and the chat, on the demo.

    python -m docs.pictures      # after `make repro`, and where Chromium is installed

The report is taken in the language that it has: for English run
`dvc exp run -S report.language=en` first.
"""

import builtins
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from espejo.chat import terminal
from espejo.commands import cli

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "pictures"
TYPED = ("hola juli, como va?", "que hiciste hoy?", "te gusta el mate?", "/base", "salir")
SEED = 11
REPORTS = {"en": "report.png", "es": "informe.png"}


def screenshot(page: Path, picture: Path, width: int, height: int) -> None:
    """Write what Chromium shows of `page`, a window of width x height pixels, as a PNG."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("docs.pictures: there is no Chromium here: install it (apt-get install chromium).")
    subprocess.run(
        [
            *(chromium, "--headless", "--no-sandbox", "--hide-scrollbars"),
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
    terminal.Console, builtins.input = lambda **_: console, ask
    cli.chat(ROOT / "model", SEED)
    svg = console.export_svg(title="espejo chat", font_aspect_ratio=0.61)
    size = svg.split('viewBox="0 0 ', 1)[1].split('"', 1)[0]
    width, height = (round(float(number)) for number in size.split())
    style = f"<style>body{{margin:0}}svg{{width:{width}px}}</style>"
    page.write_text(f"<!doctype html>{style}{svg}", "utf-8")
    return width, height


def main() -> None:
    """Write the chat and the top of the report into docs/pictures/."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        page = Path(scratch) / "chat.html"
        screenshot(page, FOLDER / "chat.png", *chat(page))
    report = ROOT / "reports" / "report.html"
    language = re.search(r'<html lang="(\w+)"', report.read_text("utf-8"))[1]
    screenshot(report, FOLDER / REPORTS[language], 900, 850)


if __name__ == "__main__":
    main()
