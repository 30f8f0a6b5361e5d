"""Write espejo/whatsapp/calendar.json: the words that stand beside dates and times, by locale.

    for version in 2.18.0 2.16.0 2.14.0 2.12.1 2.10.3 2.9.1; do    # CLDR 47 down to 37
        pip install --target /tmp/babel-$version babel==$version pytz
        PYTHONPATH=/tmp/babel-$version python -m benchmarks.calendar_words
    done                                                # the first time without calendar.json

Months by name, AM and PM, and the parts of the day with the hours that they cover ("in the morning"
from 6 to 12), as Unicode's CLDR has them. A phone uses the CLDR version of its system, so each run
adds the words of an older version; where meanings differ, the newest version wins. A locale that
adds nothing to its language is left out. espejo itself does not need Babel.
"""

import json
from pathlib import Path

OUT = Path(__file__).resolve().parent.parent / "espejo" / "whatsapp" / "calendar.json"
_WIDTHS = ("abbreviated", "wide")
HALVES = [[0, 12], [12, 24]]


def months(locale) -> list[list[str]]:  # noqa: ANN001  Babel is not installed where types are checked
    """The names of the twelve months, each in its several forms."""
    forms_by_month = []
    for number in range(1, 13):
        forms = {
            locale.months[context][width].get(number)
            for context in ("format", "stand-alone")
            for width in _WIDTHS
        }
        forms_by_month.append(sorted(form for form in forms if form and not form[0].isdigit()))
    return forms_by_month if all(forms_by_month) else []


def hours(locale) -> list[list]:  # noqa: ANN001
    """Words for a part of the day: [word, first hour, hour after the last], AM from 0 to 12."""
    rules = locale._data.get("day_period_rules", {})  # Babel offers the words without their hours
    spans = {"am": (0, 12), "pm": (12, 24)}
    for kind in (None, "selection"):
        for name, some in dict(rules.get(kind) or {}).items():
            for rule in some:
                first = rule["at"] if "at" in rule else rule["from"]  # at noon: from 12 to 13
                last = rule.get("before", first + 3600)
                spans.setdefault(name, (first // 3600, last // 3600))
    spans_by_word = set()
    for context in locale.day_periods.values():
        for width in ("abbreviated", "wide", "narrow"):
            for name, word in dict(context.get(width) or {}).items():
                if name in spans and (width != "narrow" or len(word) > 1):
                    spans_by_word.add((word, *spans[name]))
    return sorted(map(list, spans_by_word))


def joined(old: dict, new: dict) -> dict:
    """The words of a locale in either of two CLDR versions.

    A word that means AM or PM in one of them keeps that meaning beside its other one.
    """
    words = {word for word, *_ in old.get("hours", [])}
    more = [
        [word, *span]
        for word, *span in new.get("hours", [])
        if word not in words or (span in HALVES and [word, *span] not in old["hours"])
    ]
    months = [some["months"] for some in (old, new) if some.get("months")]
    result = {
        "months": [sorted(set().union(*forms)) for forms in zip(*months, strict=True)],
        "hours": sorted([*old.get("hours", []), *more]),
    }
    return {key: value for key, value in result.items() if value}


def main() -> None:
    """Write the file, or add to it."""
    import babel
    from babel import localedata

    words: dict[str, dict] = json.loads(OUT.read_text("utf-8")) if OUT.is_file() else {}
    source = words.pop("_about", "Unicode CLDR, by benchmarks/calendar_words.py with Babel")
    everything = {name: dict(own) for name, own in words.items()}
    for name in sorted(localedata.locale_identifiers()):
        # Some versions write one locale's words into the root, which all locales inherit.
        localedata._cache.clear()
        locale = babel.Locale.parse(name)
        own = {"months": months(locale), "hours": hours(locale)}
        language = everything.get(name.split("_")[0], {}) if "_" in name else {}
        own = joined({**language, **everything.get(name, {})}, own)
        new = {key: value for key, value in own.items() if value != language.get(key)}
        if new:
            everything[name] = new
    words = {}
    for name in sorted(everything):
        if everything[name] not in words.values():
            words[name] = everything[name]
    lines = [
        f" {json.dumps(name)}: {json.dumps(words[name], ensure_ascii=False)}" for name in words
    ]
    OUT.write_text(
        "{\n"
        + ",\n".join([f' "_about": {json.dumps(f"{source} {babel.__version__}")}', *lines])
        + "\n}\n",
        "utf-8",
    )
    print(f"{OUT}: {len(words)} locales, {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
