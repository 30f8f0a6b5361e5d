"""Write the demo chats as WhatsApp would export them.

    python -m demo.render

The conversations in `demo/screenplays/` are invented and written by hand: a line `@ date time`
starts a session, `J: text` is a message of the person with that letter, `+N` lets N minutes pass,
`* text` is a notice of WhatsApp's own. This script only adds what a phone adds: seconds, headers,
placeholders. It is seeded, so that it writes the same bytes each time.
"""

import random
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

HERE = Path(__file__).parent
RAW = HERE.parent / "data" / "raw" / "demo"
SEED = 20260628

MESSAGE = re.compile(r"([A-Z]): (.*)", re.DOTALL)
MEDIA = re.compile(r"<(foto|audio|sticker|video|documento)> ?(.*)", re.DOTALL)
LRM = "\u200e"  # the mark that WhatsApp puts before its own words


@dataclass(frozen=True)
class Line:
    """One message or, without author, one notice."""

    time: datetime
    author: str | None
    text: str


def play(screenplay: str, cast: dict[str, str], clock: random.Random) -> Iterator[Line]:
    """The lines of a screenplay, each with a time; ValueError names a line that is none."""
    now = datetime.min
    for number, line in enumerate(screenplay.splitlines(), start=1):
        text = line.replace("\\n", "\n")
        spoken = None
        try:
            if line.startswith("@ "):
                now = datetime.strptime(line[2:], "%Y-%m-%d %H:%M")
            elif line.startswith("+"):
                now += timedelta(minutes=int(line[1:]))
            elif line.startswith("* "):
                spoken = Line(now, None, text[2:])
            elif message := MESSAGE.fullmatch(text):
                spoken = Line(now, cast[message[1]], message[2])
            else:
                raise ValueError("neither a time, nor a notice, nor a message")
        except (ValueError, KeyError) as error:
            raise ValueError(f"line {number} is no line of a screenplay: {line!r}") from error
        if spoken:
            yield spoken
        if spoken and spoken.author:
            # People read for a moment, then type some three characters a second.
            now += timedelta(seconds=clock.randint(2, 20) + len(text) // 3)


def android(line: Line, number: int, twelve_hours: bool = False) -> str:
    """One message as Android exports it in Argentina, without or with a 12-hour clock."""
    time = f"{line.time:%H:%M}".removeprefix("0")
    if twelve_hours:
        half = "a" if line.time.hour < 12 else "p"
        time = f"{line.time.hour % 12 or 12}:{line.time:%M}\u202f{half}.\u00a0m."
    header = f"{line.time.day}/{line.time.month}/{line.time.year}, {time} - "
    if line.author is None:
        return f"{header}{line.text}\n"
    kinds = {"foto": "IMG", "audio": "PTT", "sticker": "STK", "video": "VID", "documento": "DOC"}
    endings = {
        "foto": "jpg",
        "audio": "opus",
        "sticker": "webp",
        "video": "mp4",
        "documento": "pdf",
    }
    text = line.text.replace("<borrado>", "Se eliminó este mensaje.")
    text = text.replace(" <editado>", " <Se editó este mensaje.>")
    if media := MEDIA.fullmatch(text):
        name = f"{kinds[media[1]]}-{line.time:%Y%m%d}-WA{number % 10000:04d}.{endings[media[1]]}"
        # Half of the exports come without media, and then nothing but a placeholder is left.
        placeholder = "<Multimedia omitido>" if twelve_hours else f"{LRM}{name} (archivo adjunto)"
        text = f"{placeholder}\n{media[2]}" if media[2] else placeholder
    return f"{header}{line.author}: {text}\n"


def iphone(line: Line, number: int) -> str:
    """One message as an iPhone exports it in Argentina with a 12-hour clock."""
    hour = line.time.hour % 12 or 12
    half = "a" if line.time.hour < 12 else "p"
    header = f"[{line.time:%-d/%-m/%y}, {hour}:{line.time:%M:%S}\u202f{half}.\u00a0m.] "
    if line.author is None:
        # Notices carry the name of the chat here.
        return f"{header}Tincho: {LRM}{line.text}\r\n"
    kinds = {"foto": "PHOTO", "audio": "AUDIO", "sticker": "STICKER", "video": "VIDEO"}
    endings = {"foto": "jpg", "audio": "opus", "sticker": "webp", "video": "mp4"}
    text = line.text.replace("<borrado>", f"{LRM}Se eliminó este mensaje.")
    text = text.replace(" <editado>", f" {LRM}<Se editó este mensaje.>")
    if media := MEDIA.fullmatch(text):
        header = LRM + header
        if media[1] == "documento":
            text = f"Documento.pdf • {LRM}1 página {LRM}documento omitido"
        else:
            name = (
                f"{number:08d}-{kinds[media[1]]}-{line.time:%Y-%m-%d-%H-%M-%S}.{endings[media[1]]}"
            )
            text = f"{media[2]} {LRM}<adjunto: {name}>".strip()
    return f"{header}{line.author}: {text}\r\n"


def lines(name: str, cast: dict[str, str]) -> list[Line]:
    """One screenplay, played."""
    clock = random.Random(f"{SEED} {name}")
    screenplay = (HERE / "screenplays" / f"{name}.txt").read_text("utf-8")
    return list(play(screenplay, cast, clock))


def main() -> None:
    """Write three one-to-one chats and a group, from Android and from an iPhone, one as a zip."""
    RAW.mkdir(parents=True, exist_ok=True)
    friends = {"C": "Cami", "T": "Tincho", "R": "Rocco", "K": "Mechi"}
    cast = {"J": "Juli", "M": "Mamá", **friends}
    for screenplay, chat, twelve_hours in (
        ("cami", "Cami", False),
        ("mama", "Mamá", True),
        ("grupo", "Asado y fanzines", False),
    ):
        exported = [
            android(line, number, twelve_hours)
            for number, line in enumerate(lines(screenplay, cast), start=1)
        ]
        path = RAW / f"Chat de WhatsApp con {chat}.txt"
        path.write_bytes("".join(exported).encode())
        print(f"{path.name}: {len(exported)} messages")

    exported = [iphone(line, n) for n, line in enumerate(lines("tincho", cast), start=1)]
    path = RAW / "WhatsApp Chat - Tincho.zip"
    with zipfile.ZipFile(path, "w") as archive:
        # A fixed date: the archive would otherwise differ at each run.
        entry = zipfile.ZipInfo("_chat.txt", date_time=(2026, 6, 30, 12, 0, 0))
        entry.create_system = 3  # and so it would between systems, or versions of zlib
        archive.writestr(entry, "".join(exported).encode(), zipfile.ZIP_STORED)
    print(f"{path.name}: {len(exported)} messages")


if __name__ == "__main__":
    main()
