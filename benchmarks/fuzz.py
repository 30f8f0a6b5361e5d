"""Feed the reader broken exports: it must read or refuse each, soon, and lose nothing.

    python -m benchmarks.fuzz --inputs 200000 --seed 1 --out docs/results/fuzz.json

Mutates the cases of the tests: bytes, slices, lines, line ends, encodings, and pieces of headers
and notices put where they do not belong. An input fails when it raises anything but ExportError,
when a line or character of it is in no row and no account, or when it takes more processor time
than 1 s for each MB and 0.2 s. The same seed gives the same inputs.
"""

import argparse
import json
import random
import sys
import tempfile
import time
import zipfile
from io import BytesIO
from pathlib import Path

from benchmarks import cases
from espejo import whatsapp

TOKENS = [
    *("17/5/2024, 10:00 - Vera: ", "18/5/2024, 9:05 - Ivo left", "[17/05/24, 10:00:07] Vera: "),
    *("5/17/24, 2:43\u202fPM - ", "2024-05-17 10:00 - Ivo: ", "1/2/1999, 10:00 - Old: x"),
    *("31/2/24", "9999/99/99", "24:60", "p. m.", "٣", "۱", "İß", "👩\u200d🔧", "null"),
    *("\u200e", "\u200f", "\u202a", "\u2068", "\ufeff", "\u2028", "\x0b", "\x0c", "\x85", "\0"),
    *("\r", "\n", "\r\n", "\n\n\n", " ", "\u00a0", "\u202f", "\t", "\x1c"),
    *(": ", ":", " - ", "[", "] ", '"'),
    *("\u200eimage omitted", "<Media omitted>", "IMG-1.jpg (file attached)", "<attached: 1.jpg>"),
    *(" <This message was edited>", "This message was deleted", "Missed voice call"),
    *("POLL:\nx\nOPTION: y (1 vote)", "location: https://maps.google.com/?q=1,2"),
    # time first, copied out of WhatsApp Web or not
    *("[10:00, 17/5/2024] Vera: ", "[10:00:07, 17/5/24] Ivo: ", "[9:05 PM, 5/18/2024] Vera: "),
    *("10:00, 17 May 2024 - Vera: ", "10:00 17/5/2024 - Ivo: "),
    # years first, eras, months by name, weekdays, odd joints
    *("24. 5. 7. 오후 9:05 - Vera: ", "24/5/7 (21:05) - Ivo: ", "२४/५/७, २१:०५ - Vera: "),
    *(
        "17/5/2567 BE, 10:00 - Vera: ",
        "[5/17/R6, 10:00:07] Ivo: ",
        "H31/04/30 10:00 - ",
        "令和6/5/17 ",
    ),
    *("17 may. 2024, 10:00 - Vera: ", "May 17, 2024, 9:05 PM - Ivo: ", "2 Jan, 09:15 - Vera: "),
    *("Fri, 17/05/2024, 10:00 - Vera: ", "2024-05-17T10:00 - Ivo: ", "17/05/2024, 10:00 — Vera: "),
    *("17/05/2024 (10:00) - Vera: ", "17/5/2024, 10:00 - Vera:x", "2024-05-17 10:00:07;Vera;x"),
    # halves of the day in words
    *(
        " in the morning",
        " at night",
        " de la tarde",
        " по подне",
        "\u202fпп",
        " म.उ.",
        "下午",
        "晚上",
    ),
    *(" e pasdites", " بعدازظهر", " kashi"),
    # WhatsApp's words in languages of no list, and marks from right to left
    *("\u200eIMG-20240517-WA0003.jpg (dosya ekli)", "IMG-1.jpg (文件附件)", "\u200f<پیوست: 1.jpg>"),
    *("\u200e<附件：00000031-PHOTO-2024-05-17-10-00-07.jpg>", "\u200eobrázek vynechán"),
    *(
        "\u200fتم حذف هذه الرسالة.",
        "[\u200f17\u200f/5\u200f/2024، 10:00:07] Vera: \u200f",
        "[\ufeff17.05.24, ",
    ),
    *("konum: https://maps.google.com/?q=1,2", "Bar (Calle 1): https://foursquare.com/v/1"),
    *("Ivo added you to a group in the community: Coro", "Dodano: ~ Kuba", 'Pedro 1/2": '),
    *('17/5/2014, 10:00 - Vera created group "Coro"\n', "30/5/2024, 10:00 - Ivo left\n"),
]
# What a file may be written in; the reader has to find out.
ENCODINGS = ["utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"]


def mutated(chance: random.Random, corpus: list[bytes]) -> bytes:
    """One of the corpus with one to six changes."""
    data = bytearray(chance.choice(corpus))
    for _ in range(chance.randint(1, 6)):
        place = chance.randint(0, len(data))
        end = min(len(data), place + int(chance.expovariate(1 / 20)))
        kind = chance.randrange(11)
        if kind == 0 and data:
            data[chance.randrange(len(data))] = chance.randrange(256)
        elif kind == 1:
            del data[place:end]
        elif kind == 2:
            data[place:place] = data[place:end] * chance.randint(1, 5)
        elif kind in (3, 4):
            data[place:place] = chance.choice(TOKENS).encode()
        elif kind == 5:
            lines = data.split(b"\n")
            chance.shuffle(lines)
            data = bytearray(b"\n".join(lines))
        elif kind == 6:
            other = chance.choice(corpus)
            start = chance.randint(0, len(other))
            data[place:end] = other[start : start + chance.randint(0, 200)]
        elif kind == 7:
            lines = data.split(b"\n")
            which = chance.randrange(len(lines))
            lines[which : which + 1] = [lines[which]] * chance.choice([2, 3, 20])
            data = bytearray(b"\n".join(lines))
        elif kind == 8:
            data = data.replace(b"\n", b"\r\n", chance.choice([-1, 1, 2]))
        elif kind == 9:
            data = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r", chance.choice([-1, 1, 2]))
        else:
            data = data[:place]
    if chance.random() < 0.05:
        text = data.decode("utf-8", "ignore")
        data = bytearray(text.encode(chance.choice(ENCODINGS), "ignore"))
    return bytes(data)


def lost(export: whatsapp.Export, text: str | None) -> str | None:
    """What the reader lost of `text` (None if not known), in words; None when nothing was lost."""
    if export.account.missing != (0, 0):
        return f"missing {export.account.missing}"
    starts = export.messages["line"].tolist()
    if starts != sorted(set(starts)):
        return "rows share a line"
    if text is None:
        return None
    raw = text.split("\n")
    if export.account.lines_in != sum(1 for line in raw if line.strip()):
        return "lines miscounted"
    if export.account.characters_in != len(text):
        return "characters miscounted"
    words = export.messages["text"].tolist()
    for start, end, message in zip(starts, [*starts[1:], len(raw) + 1], words, strict=True):
        source = iter("\n".join(raw[start - 1 : end - 1]))
        if not all(sign in source for sign in message):
            return f"the row of line {start} says what does not stand there"
    return None


def text_of(data: bytes) -> str | None:
    """A file's text, decoded independently of the reader; None where the encoding is uncertain.

    Uncertain: a zip, bytes that are not UTF-8 (a detector guesses), many NULs (UTF-16 without a
    mark) and lone carriage returns (which may end lines).
    """
    if data.startswith(b"PK\x03\x04"):
        return None
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = data.decode("utf-16", "replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            return None
        if data.count(0) > len(data) / 8:
            return None
    return None if text.replace("\r\n", "").count("\r") else text


def failure(data: bytes, path: Path) -> tuple[str | None, bool, float]:
    """What is wrong with reading these bytes (None: nothing), whether they were read, seconds."""
    path.write_bytes(data)
    start = time.process_time()
    try:
        exports = whatsapp.read_file(path)
    except whatsapp.ExportError as error:
        wrong = None if str(error).count("\n") == 0 else "an error of several lines"
        return wrong, False, time.process_time() - start
    except Exception as error:
        return f"{type(error).__name__}: {error}", False, time.process_time() - start
    seconds = time.process_time() - start
    size = max(len(data), sum(export.account.characters_in for export in exports))
    if seconds > size / 1e6 + 0.2:
        return f"took {seconds:.2f} s for {size:,} bytes", True, seconds
    text = text_of(data)  # None for a zip, which may hold several chats
    return next(filter(None, (lost(export, text) for export in exports)), None), True, seconds


def corpus() -> list[bytes]:
    """The cases' files, and what is inside their zips."""
    contents = []
    for case in cases.found_in(cases.CASES):
        for file in cases.files_of(case):
            contents.append(file.read_bytes())
            if file.suffix == ".zip":
                with zipfile.ZipFile(BytesIO(contents[-1])) as archive:
                    contents += [archive.read(name) for name in archive.namelist()]
    return contents


def main() -> int:
    """Run, print and write the count; 1 when an input failed."""
    parser = argparse.ArgumentParser(description="Fuzz the reader of exports.")
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--keep", type=Path, help="folder for the inputs that fail")
    options = parser.parse_args()
    originals, failures, read, worst = corpus(), [], 0, 0.0
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "chat.txt"
        for number in range(options.inputs):
            data = mutated(random.Random(f"{options.seed} {number}"), originals)
            wrong, was_read, seconds = failure(data, path)
            read += was_read
            worst = max(worst, seconds)
            if wrong:
                failures.append(f"input {number}: {wrong}")
                print(failures[-1], flush=True)
                if options.keep:
                    (options.keep / f"{options.seed}-{number}.bin").write_bytes(data)
    result = {
        "command": "python -m benchmarks.fuzz " + " ".join(sys.argv[1:]),
        "inputs": options.inputs,
        "seed": options.seed,
        "read": read,
        "refused": options.inputs - read,
        "failures": failures,
        "seconds": round(time.perf_counter() - began),
        "slowest_input_seconds": round(worst, 3),
    }
    if options.out:
        options.out.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps({**result, "failures": len(failures)}))
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
