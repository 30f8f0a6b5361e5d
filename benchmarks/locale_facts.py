"""Write down how the phones of many countries write dates and times: tests/whatsapp/locales/.

    python3.11 -m venv /tmp/babel
    /tmp/babel/bin/pip install babel==2.9.1 && /tmp/babel/bin/python benchmarks/locale_facts.py
    /tmp/babel/bin/pip install babel==2.16.0 && /tmp/babel/bin/python benchmarks/locale_facts.py

The facts are Unicode's (CLDR), which both kinds of phone use, as Babel gives them: a locale's short
date, its time with 12 and with 24 hours, with and without seconds, how it joins the two, and its
digits. Babel 2.9.1 has them as of 2020 (CLDR 37), when words for AM and PM were longer, 2.16.0 as
of 2024 (CLDR 45). tests/whatsapp/test_locales.py reads exports made of them. Nothing else needs
Babel.
"""

import json
import re
from datetime import datetime
from pathlib import Path

import babel
from babel import Locale
from babel.dates import DateTimePattern, get_datetime_format, parse_pattern

OUT = Path(__file__).resolve().parent.parent / "tests" / "whatsapp" / "locales"

# Where people write in WhatsApp: a language's main form, and countries that write it otherwise.
LOCALES = """
af am ar as az be bg bn br bs ca ckb cs cy da de el en eo es et eu fa fi fil fo fr fy ga gd gl
gsw gu ha he hi hr hu hy id ig is it ja jv ka kk km kn ko ku ky lb ln lo lt lv mg mk ml mn mr ms
mt my nb ne nl nn om or pa pl ps pt qu rm ro ru rw sd si sk sl so sq sr sr_Latn sv sw ta te tg
th ti tk to tr tt ug uk ur uz vi wo xh yo yue zh zu ar_AE ar_DZ ar_EG ar_LB ar_MA ar_SA bn_IN
de_AT de_CH en_AU en_BE en_CA en_GB en_HK en_IE en_IN en_KE en_NG en_NZ en_PH en_PK en_SG en_ZA
es_419 es_AR es_CL es_CO es_CR es_EC es_GT es_MX es_PA es_PE es_PR es_US es_VE fr_BE fr_CA fr_CH
fr_MA it_CH ms_BN nl_BE pa_Arab pt_AO pt_MZ pt_PT ru_UA ta_LK ta_SG ur_IN uz_Cyrl zh_Hant
zh_Hant_HK zh_Hans_SG
"""

# In time order. Days below 13 that could be months, days above that cannot, a new year, the hours
# that 12-hour clocks write in their own way, and both halves of one day several times over.
MOMENTS = [
    datetime.fromisoformat(f"{moment}:{second:02}")
    for second, moment in enumerate(
        [
            *("2022-11-02T09:07", "2022-11-02T12:00", "2022-11-02T21:47", "2022-11-03T00:05"),
            *("2022-11-09T10:40", "2022-11-09T23:59", "2022-11-28T01:15", "2022-11-28T12:30"),
            *("2022-12-01T05:20", "2022-12-05T13:01", "2022-12-13T11:11", "2022-12-24T18:30"),
            *("2022-12-31T23:58", "2023-01-01T00:01", "2023-01-01T14:44", "2023-01-07T08:09"),
            *("2023-01-20T19:50", "2023-02-04T06:06", "2023-02-06T15:33", "2023-02-17T22:22"),
            *("2023-03-03T03:30", "2023-03-03T16:16", "2023-03-08T20:02", "2023-03-30T17:17"),
        ],
        start=1,
    )
]

# Locales whose digits are their own (CLDR's default numbering systems), by their zero; Babel writes
# 0 to 9 for all of them.
ZEROS = {
    "\u0660": "ar_EG ar_LB ar_SA ckb sd",
    "\u06f0": "fa pa_Arab ps ur_IN",
    "\u09e6": "as bn bn_IN",
    "\u0966": "mr ne",
    "\u1040": "my",
}
ZERO = {name: ord(zero) for zero, names in ZEROS.items() for name in names.split()}


def written(pattern: DateTimePattern, locale: Locale) -> dict[str, str]:
    """A pattern and all moments written in it, in the locale's digits, separated by |."""
    zero = ZERO.get(str(locale), ord("0"))
    digits = {ord("0") + digit: zero + digit for digit in range(10)}
    texts = [pattern.apply(moment, locale).translate(digits) for moment in MOMENTS]
    assert not any("|" in text for text in texts)
    return {"pattern": pattern.pattern, "written": "|".join(texts)}


def letters(pattern: DateTimePattern) -> str:
    """A pattern without what it quotes, which is written as it stands."""
    return re.sub("'[^']*'", "", pattern.pattern)


def time_pattern(locale: Locale, twelve: bool, seconds: bool) -> DateTimePattern:
    """The locale's time pattern: its own if it has that clock, else its skeleton for it."""
    own = locale.time_formats["medium" if seconds else "short"]
    if bool(re.search("[hK]", letters(own))) == twelve:
        return own
    pattern = locale.datetime_skeletons[("hm" if twelve else "Hm") + "s" * seconds]
    return parse_pattern(getattr(pattern, "pattern", pattern))


def locale_facts(name: str) -> dict:
    """All that is known of one locale."""
    locale = Locale.parse(name)
    record = {
        "joined": str(get_datetime_format("short", locale=locale)).replace("'", ""),
        "date": written(locale.date_formats["short"], locale),
    }
    for twelve in (True, False):
        for seconds in (False, True):
            pattern = time_pattern(locale, twelve, seconds)
            if twelve and not re.search("[abB]", letters(pattern)):
                continue  # an error of CLDR 37 (es_AR): 12 hours without AM or PM
            clock = f"{12 if twelve else 24} h{' with seconds' if seconds else ''}"
            stamps = written(pattern, locale)
            if (
                "B " not in stamps["written"]
            ):  # old Babel leaves a part of the day as the pattern's letter
                record[clock] = stamps
    return record


def main() -> None:
    """Write the facts, one line for all locales that share them."""
    head = {
        "about": f"Unicode CLDR by Babel {babel.__version__}; see benchmarks/locale_facts.py",
        "moments": "|".join(moment.isoformat() for moment in MOMENTS),
    }
    lines = [f'"{key}": {json.dumps(value, ensure_ascii=False)}' for key, value in head.items()]
    sharing: dict[str, list[str]] = {}
    for name in sorted(LOCALES.split()):
        sharing.setdefault(json.dumps(locale_facts(name), ensure_ascii=False), []).append(name)
    locales = [f'"{" ".join(names)}": {record}' for record, names in sharing.items()]
    lines.append('"locales": {\n' + ",\n".join(locales) + "\n}")
    out = OUT / f"babel-{babel.__version__}.json"
    out.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


if __name__ == "__main__":
    main()
