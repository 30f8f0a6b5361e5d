"""Dates and times as phones of many countries write them are read, or refused in one sentence.

The facts come from Unicode, by benchmarks/locale_facts.py. Each way of writing becomes a small
export of an Android phone and one of an iPhone: two people, a notice, moments over a new year.
"""

import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from espejo import whatsapp

EDITIONS = {
    file.stem: json.loads(file.read_text("utf-8"))
    for file in sorted((Path(__file__).parent / "locales").glob("*.json"))
}
MOMENTS = EDITIONS["babel-2.16.0"]["moments"].split("|")
CLOCKS = ("12 h", "12 h with seconds", "24 h", "24 h with seconds")
ENCRYPTED = "Messages and calls are end-to-end encrypted. Learn more."
WORDS = ["hola", "¿a las 9:30?", "ok: dale", "12/11 no puedo\n- ni el 13", "jaja"]


def ways():
    """Yield each way of writing once: its name and its 24 stamps."""
    seen = set()
    formats_by_name = [
        (f"{names} [{edition}]", formats)
        for edition, edition_facts in EDITIONS.items()
        for names, formats in edition_facts["locales"].items()
    ]
    for names, formats in formats_by_name:
        dates = formats["date"]["written"].split("|")
        for clock in filter(formats.__contains__, CLOCKS):
            times = formats[clock]["written"].split("|")
            for joined in ("{1}, {0}", "{1} {0}", formats["joined"]):
                stamps = tuple(
                    joined.replace("{1}", date).replace("{0}", time)
                    for date, time in zip(dates, times, strict=True)
                )
                if stamps not in seen:
                    seen.add(stamps)
                    yield f"{names}: {clock}, {joined}", stamps


def android(stamps):
    """An Android phone's export: the notice has no author."""
    lines = [f"{stamps[0]} - {ENCRYPTED}"]
    return "\n".join(lines + [f"{stamp} - {message(n)}" for n, stamp in enumerate(stamps)]) + "\n"


def iphone(stamps):
    """An iPhone's export: the notice stands under a name, behind WhatsApp's mark."""
    lines = [f"[{stamps[0]}] Ana: \u200e{ENCRYPTED}"]
    return (
        "\r\n".join(lines + [f"[{stamp}] {message(n)}" for n, stamp in enumerate(stamps)]) + "\r\n"
    )


def message(n):
    return f"{('Ana', 'Ben')[n % 2]}: {WORDS[n % len(WORDS)]}"


def expected(seconds):
    """The expected rows: timestamp, author, kind, text."""
    times = [pd.Timestamp(moment if seconds else moment[:16]) for moment in MOMENTS]
    rows = [(times[0], None, "system", ENCRYPTED)]
    for n, moment in enumerate(times):
        author, text = message(n).split(": ", 1)
        rows.append((moment, author, "message", text))
    return rows


EXPECTED_ROWS = {seconds: expected(seconds) for seconds in (False, True)}


def outcome(path, text, expected_rows):
    """How reading an export ends: read, refused, or what is wrong with its rows."""
    path.write_bytes(text.encode())
    try:
        table = whatsapp.read(path)
    except whatsapp.ExportError as error:
        return "refused" if "\n" not in str(error) else "refused in several lines"
    table = table.astype({"author": object}).where(table.notna(), None)
    rows = list(zip(table["timestamp"], table["author"], table["kind"], table["text"], strict=True))
    if rows == expected_rows:
        return "read"
    if len(rows) != len(expected_rows):
        return f"{len(rows)} rows of {len(expected_rows)}"
    return (
        "wrong times"
        if [row[1:] for row in rows] == [row[1:] for row in expected_rows]
        else "wrong rows"
    )


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """How reading each export ends, by phone and way of writing."""
    folder = tmp_path_factory.mktemp("locales")
    paths = {android: folder / "WhatsApp Chat with Ana.txt", iphone: folder / "_chat.txt"}
    return {
        f"{form.__name__} {name}": outcome(path, form(stamps), EXPECTED_ROWS["seconds" in name])
        for name, stamps in ways()
        for form, path in paths.items()
    }


def compact(outcomes, bad):
    """The bad outcomes, one line for each locale."""
    ways_by_locale = {}
    for name, result in outcomes.items():
        if result in bad:
            form, rest = name.split(" ", 1)
            names, way = rest.split(": ", 1)
            ways_by_locale.setdefault((names, form, result), []).append(way)
    lines = [
        f"{names} ({form}): {result}: {'; '.join(locale_ways)}"
        for (names, form, result), locale_ways in ways_by_locale.items()
    ]
    return f"{Counter(outcomes.values())}\n" + "\n".join(lines)


def test_nothing_is_lost_in_silence(outcomes):
    bad = set(outcomes.values()) - {"read", "refused"}
    assert not bad, compact(outcomes, bad)


def test_every_stamp_is_read(outcomes):
    bad = set(outcomes.values()) - {"read"}
    assert not bad, compact(outcomes, bad)
    assert len(outcomes) > 2000
