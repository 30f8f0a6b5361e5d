"""The table of docs/better-mirror.md on preference tuning, from docs/results/preference.json."""

import json
from collections.abc import Mapping
from pathlib import Path

_COLUMNS = {
    "told_apart": "told apart (0.5: a coin)",
    "author_score": "author score",
    "own_bits_per_character": "bits per character, own",
    "repeated_trigrams": "replies that repeat three words",
    "characters": "characters a reply",
    "membership": "membership",
}
_FORMS = {"characters": ".0f"}  # of all others: three digits
_PAIRED = ("told_apart", "author_score", "own_bits_per_character", "characters")
_NAMES = {"demo": "The demo (Gemma 3 270M)", "actionparsnip": "Public English chats (SmolLM2)"}


def table(path: Path) -> str:
    """The numbers of every variant, those of the differences, and which of them win.

    Says so where nothing has been measured.
    """
    if not path.is_file():
        return "Not measured yet."
    results = json.loads(path.read_text("utf-8"))
    return "\n\n".join(_of_chats(_NAMES[name], result) for name, result in results.items())


def _of_chats(name: str, result: Mapping) -> str:
    variants: Mapping[str, Mapping] = result["variants"]
    heads = ["", *_COLUMNS.values(), "habits off", "processor time"]
    rows = [heads, ["---"] * len(heads)]
    for variant, numbers in variants.items():
        cells = [_measure(numbers[key], _FORMS.get(key, ".3f")) for key in _COLUMNS]
        off = f"{numbers['habits_off']:.1f} of {numbers['habits']:.0f}"
        rows.append([variant, *cells, off, f"{numbers['processor_seconds'] / 60:.0f} min"])
    differences = [["against the supervised model", *(_COLUMNS[key] for key in _PAIRED)]]
    differences.append(["---"] * len(differences[0]))
    for variant, numbers in variants.items():
        against = numbers["against_supervised"]
        if against:
            signed = (_measure(against[key], "+" + _FORMS.get(key, ".3f")) for key in _PAIRED)
            differences.append([variant, *signed])
    seeds = "1 seed" if result["seeds"] == 1 else f"{result['seeds']} seeds"
    about = (
        f"{name}: {seeds}, {result['contexts']} contexts in {result['sessions']} sessions answered "
        f"by each, {result['scored']} replies scored. The author's own replies: author score "
        f"{_measure(result['author_ceiling'], '.3f')}, {result['real_characters']:.0f} characters, "
        f"{result['real_repeated_trigrams']:.3f} of them repeat three words."
    )
    return "\n\n".join([about, _markdown(rows), _markdown(differences), verdict(variants)])


def verdict(variants: Mapping[str, Mapping]) -> str:
    """Which variants win: replies certainly harder to tell apart, and no other measure lost.

    Likelihood is not among those: it is what is paid.
    """
    winners = [
        variant
        for variant, numbers in variants.items()
        if (against := numbers["against_supervised"])
        and against["told_apart"].get("high", 0.0) < 0
        and not against["author_score"].get("high", 0.0) < 0
        and not against["repeated_trigrams"].get("low", 0.0) > 0
    ]
    if winners:
        return f"**Wins with its interval: {', '.join(winners)}.**"
    return (
        "**None wins with its interval** on what it is for, being told apart less. So it is a "
        "choice and no default."
    )


def _measure(measure: Mapping, form: str) -> str:
    if "value" not in measure:
        return str(measure["interval"])
    value = format(measure["value"], form)
    if "low" not in measure:
        return f"{value} ({measure['interval']})"
    return f"{value} [{format(measure['low'], form)}, {format(measure['high'], form)}]"


def _markdown(rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
