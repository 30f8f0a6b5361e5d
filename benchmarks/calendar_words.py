"""Write espejo/whatsapp/calendar.json: the words in dates and times, by locale.

    for version in 2.18.0 2.16.0 2.14.0 2.12.1 2.10.3 2.9.1; do    # CLDR 47 down to 37
        pip install --target /tmp/babel-$version babel==$version pytz
        PYTHONPATH=/tmp/babel-$version python -m benchmarks.calendar_words
    done                                                # the first time without calendar.json

Names of months, AM and PM, and parts of the day with their hours ("in the morning": 6 to 12), from
Unicode's CLDR. A phone writes the words of the CLDR version of its system, so each run adds those
of an older version; if the meaning of a word changed, the newest counts. A locale that adds nothing
to its language is left out. espejo itself does not need Babel.
"""

import json
from pathlib import Path
from typing import Any

CALENDAR_JSON = Path(__file__).resolve().parent.parent / "espejo" / "whatsapp" / "calendar.json"
_WIDTHS = ("abbreviated", "wide")
HALVES = [[0, 12], [12, 24]]


def months(locale: Any) -> list[list[str]]:  # noqa: ANN401  no Babel where types are checked
    """Return the forms of the names of the twelve months; [] if a month has none."""
    forms_of_months = []
    for number in range(1, 13):
        forms = {
            locale.months[context][width].get(number)
            for context in ("format", "stand-alone")
            for width in _WIDTHS
        }
        forms_of_months.append(sorted(form for form in forms if form and not form[0].isdigit()))
    return forms_of_months if all(forms_of_months) else []


def hours(locale: Any) -> list[list]:  # noqa: ANN401
    """Return the words for parts of the day: [word, first hour, end]. AM is from 0 to 12."""
    rules = locale._data.get("day_period_rules", {})  # Babel has no public method for the hours
    hours_of_part = {"am": (0, 12), "pm": (12, 24)}
    for kind in (None, "selection"):
        for name, rules_of_part in dict(rules.get(kind) or {}).items():
            for rule in rules_of_part:
                first = rule["at"] if "at" in rule else rule["from"]  # at noon: from 12 to 13
                end = rule.get("before", first + 3600)
                hours_of_part.setdefault(name, (first // 3600, end // 3600))
    words = set()
    for context in locale.day_periods.values():
        for width in ("abbreviated", "wide", "narrow"):
            for name, word in dict(context.get(width) or {}).items():
                if name in hours_of_part and (width != "narrow" or len(word) > 1):
                    words.add((word, *hours_of_part[name]))
    return sorted(map(list, words))


def merge_locales(old: dict, new: dict) -> dict:
    """Add to a locale (`old`) what it has only in another version of CLDR (`new`).

    A word that is AM or PM in any version keeps that meaning, in addition to its part of the day.
    """
    old_words = {word for word, *_ in old.get("hours", [])}
    new_hours = [
        [word, *hours]
        for word, *hours in new.get("hours", [])
        if word not in old_words or (hours in HALVES and [word, *hours] not in old["hours"])
    ]
    months = [locale["months"] for locale in (old, new) if locale.get("months")]
    merged = {
        "months": [sorted(set().union(*forms)) for forms in zip(*months, strict=True)],
        "hours": sorted([*old.get("hours", []), *new_hours]),
    }
    return {key: value for key, value in merged.items() if value}


def main() -> None:
    """Write the file, or add to it."""
    import babel
    from babel import localedata

    words: dict[str, dict] = (
        json.loads(CALENDAR_JSON.read_text("utf-8")) if CALENDAR_JSON.is_file() else {}
    )
    source = words.pop("_about", "Unicode CLDR, by benchmarks/calendar_words.py with Babel")
    entries = {name: dict(entry) for name, entry in words.items()}
    for name in sorted(localedata.locale_identifiers()):
        localedata._cache.clear()  # some versions write one locale's data into the root
        locale = babel.Locale.parse(name)
        entry = {"months": months(locale), "hours": hours(locale)}
        language = entries.get(name.split("_")[0], {}) if "_" in name else {}
        entry = merge_locales({**language, **entries.get(name, {})}, entry)
        new = {key: value for key, value in entry.items() if value != language.get(key)}
        if new:
            entries[name] = new
    words = {}
    for name in sorted(entries):
        if entries[name] not in words.values():
            words[name] = entries[name]
    lines = [
        f" {json.dumps(name)}: {json.dumps(words[name], ensure_ascii=False)}" for name in words
    ]
    CALENDAR_JSON.write_text(
        "{\n"
        + ",\n".join([f' "_about": {json.dumps(f"{source} {babel.__version__}")}', *lines])
        + "\n}\n",
        "utf-8",
    )
    print(f"{CALENDAR_JSON}: {len(words)} locales, {CALENDAR_JSON.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
