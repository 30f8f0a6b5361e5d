"""Feed the reader broken exports: it must read or refuse each, quickly, and lose nothing.

    python -m benchmarks.fuzz --inputs 200000 --seed 1 --out docs/results/fuzz.json

Mutates the cases of the tests: bytes, slices, lines, line ends, encodings, and parts of headers and
notices in wrong places. An input fails if it raises anything but ExportError, if a line or
character is in no row and no account, or if it takes more processor time than 1 s per MB plus
0.2 s. The same seed gives the same inputs.
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
    # years first, eras, months by name, weekdays, rare separators
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
    # parts of the day in words
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
    # WhatsApp's words in languages that notices.json lacks, and right-to-left marks
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
# Encodings that the reader must detect.
ENCODINGS = ["utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"]


def mutate(rng: random.Random, corpus: list[bytes]) -> bytes:
    """Return a file of the corpus with one to six changes."""
    data = bytearray(rng.choice(corpus))
    for _ in range(rng.randint(1, 6)):
        start = rng.randint(0, len(data))
        end = min(len(data), start + int(rng.expovariate(1 / 20)))
        kind = rng.randrange(11)
        if kind == 0 and data:
            data[rng.randrange(len(data))] = rng.randrange(256)
        elif kind == 1:
            del data[start:end]
        elif kind == 2:
            data[start:start] = data[start:end] * rng.randint(1, 5)
        elif kind in (3, 4):
            data[start:start] = rng.choice(TOKENS).encode()
        elif kind == 5:
            lines = data.split(b"\n")
            rng.shuffle(lines)
            data = bytearray(b"\n".join(lines))
        elif kind == 6:
            other = rng.choice(corpus)
            other_start = rng.randint(0, len(other))
            data[start:end] = other[other_start : other_start + rng.randint(0, 200)]
        elif kind == 7:
            lines = data.split(b"\n")
            index = rng.randrange(len(lines))
            lines[index : index + 1] = [lines[index]] * rng.choice([2, 3, 20])
            data = bytearray(b"\n".join(lines))
        elif kind == 8:
            data = data.replace(b"\n", b"\r\n", rng.choice([-1, 1, 2]))
        elif kind == 9:
            data = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r", rng.choice([-1, 1, 2]))
        else:
            data = data[:start]
    if rng.random() < 0.05:
        text = data.decode("utf-8", "ignore")
        data = bytearray(text.encode(rng.choice(ENCODINGS), "ignore"))
    return bytes(data)


def find_loss(export: whatsapp.Export, text: str | None) -> str | None:
    """Describe what is in no row and no account, or None. `text` is None if it is not known."""
    if export.account.missing != (0, 0):
        return f"missing {export.account.missing}"
    starts = export.messages["line"].tolist()
    if starts != sorted(set(starts)):
        return "rows share a line"
    if text is None:
        return None
    lines = text.split("\n")
    if export.account.lines_in != sum(1 for line in lines if line.strip()):
        return "lines miscounted"
    if export.account.characters_in != len(text):
        return "characters miscounted"
    texts = export.messages["text"].tolist()
    for start, end, row_text in zip(starts, [*starts[1:], len(lines) + 1], texts, strict=True):
        source = iter("\n".join(lines[start - 1 : end - 1]))
        if not all(sign in source for sign in row_text):
            return f"the row of line {start} has text that is not in the file there"
    return None


def decode(data: bytes) -> str | None:
    """Decode a file independently of the reader; None if that is not certain.

    Not certain are: a zip, bytes that are not UTF-8 (a detector guesses), many NULs (UTF-16 without
    a byte order mark) and bare carriage returns (which may end lines).
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


def try_reading(data: bytes, path: Path) -> tuple[str | None, bool, float]:
    """Read these bytes; return the problem (or None), whether they were read, and the seconds."""
    path.write_bytes(data)
    start = time.process_time()
    try:
        exports = whatsapp.read_file(path)
    except whatsapp.ExportError as error:
        problem = None if str(error).count("\n") == 0 else "an error of several lines"
        return problem, False, time.process_time() - start
    except Exception as error:
        return f"{type(error).__name__}: {error}", False, time.process_time() - start
    seconds = time.process_time() - start
    size = max(len(data), sum(export.account.characters_in for export in exports))
    if seconds > size / 1e6 + 0.2:
        return f"took {seconds:.2f} s for {size:,} bytes", True, seconds
    text = decode(data)  # None for a zip, which may hold several chats
    return next(filter(None, (find_loss(export, text) for export in exports)), None), True, seconds


def corpus() -> list[bytes]:
    """Return the contents of the cases' files, and of the files in their zips."""
    files = []
    for case in cases.find_cases(cases.CASES):
        for file in cases.files_of(case):
            files.append(file.read_bytes())
            if file.suffix == ".zip":
                with zipfile.ZipFile(BytesIO(files[-1])) as archive:
                    files += [archive.read(name) for name in archive.namelist()]
    return files


def main() -> int:
    """Run, print and write the results; return 1 if an input failed."""
    parser = argparse.ArgumentParser(description="Fuzz the reader of exports.")
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--keep", type=Path, help="folder for the inputs that fail")
    options = parser.parse_args()
    originals, failures, num_read, slowest = corpus(), [], 0, 0.0
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "chat.txt"
        for number in range(options.inputs):
            data = mutate(random.Random(f"{options.seed} {number}"), originals)
            problem, was_read, seconds = try_reading(data, path)
            num_read += was_read
            slowest = max(slowest, seconds)
            if problem:
                failures.append(f"input {number}: {problem}")
                print(failures[-1], flush=True)
                if options.keep:
                    (options.keep / f"{options.seed}-{number}.bin").write_bytes(data)
    result = {
        "command": "python -m benchmarks.fuzz " + " ".join(sys.argv[1:]),
        "inputs": options.inputs,
        "seed": options.seed,
        "read": num_read,
        "refused": options.inputs - num_read,
        "failures": failures,
        "seconds": round(time.perf_counter() - start),
        "slowest_input_seconds": round(slowest, 3),
    }
    if options.out:
        options.out.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps({**result, "failures": len(failures)}))
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
