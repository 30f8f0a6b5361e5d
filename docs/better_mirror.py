"""The tables of docs/better-mirror.md, from what the benchmarks left in docs/results/."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks import choice

RESULTS = Path(__file__).resolve().parent / "results"
CONFIDENCE = 0.95


def interval(measure: Mapping) -> str:
    """A measure in words: its value, and its interval or why it has none."""
    if "low" not in measure:
        return f"{measure['value']:.3f} ({measure['interval']})"
    return f"{measure['value']:.3f} [{measure['low']:.3f}, {measure['high']:.3f}]"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))


def sampled(path: Path = RESULTS / "sampling.jsonl") -> dict[str, list[dict]]:
    """Chats -> the lines of all settings that were tried on them, the default first."""
    result: dict[str, list[dict]] = {}
    for text in path.read_text("utf-8").splitlines():
        line = json.loads(text)
        result.setdefault(line["chats"], []).append(line)
    return result


def setting(line: Mapping) -> str:
    """The settings of a line in words."""
    values = line["setting"]
    cut = [f"top_k {values['top_k']}"] if values["top_k"] else []
    cut += [f"top_p {values['top_p']:g}"] if values["top_p"] < 1 else []
    words = f"{values['temperature']:g}, {', '.join(cut) or 'no limit'}"
    words += f", penalty {values['repetition_penalty']:g}"
    return words + (f", {values['examples']} examples" if values["examples"] else "")


def sampling() -> str:
    """All settings that were tried, and which of them the rule chooses."""
    head = (
        *("temperature, limit, repetition penalty", "told apart (AUC)", "minus the default"),
        *("new words", "3-grams repeated", "author score", "distinct 2-grams", "characters"),
        *("not ended", "whole replies copied", "processor s"),
    )
    parts = []
    for chats, lines in sampled().items():
        rows = []
        for line in lines:
            first = line is lines[0]
            rows.append(
                (
                    setting(line) + (" (the default before)" if first else ""),
                    interval(line["told_apart"]),
                    "" if first else interval(choice.beside_default(lines, line, CONFIDENCE)),
                    f"{line['new_words']['value']:.1%}",
                    f"{line['repeated']['value']:.1%}",
                    interval(line["author_score"]),
                    f"{line['habits']['distinct_2']['generated']:.3f}",
                    f"{line['characters']['value']:.0f}",
                    f"{line['habits']['endless']['generated']:.1%}",
                    interval(line["whole"]),
                    f"{line['processor_seconds']:.0f}",
                )
            )
        own = lines[0]
        rows.append(
            (
                *("the author", "", "", at_most(own["own_new_words"])),
                *(at_most(own["own_repeated"]), interval(own["ceiling"])),
                f"{own['habits']['distinct_2']['real']:.3f}",
                *(f"{own['own_characters']['value']:.0f}", "", "", ""),
            )
        )
        sessions = own["told_apart"]["n"]
        parts.append(
            f"**{chats}** ({own['model']}, {own['replies']} replies, {own['draws']} to each of the "
            f"contexts of {sessions} validation sessions):\n\n{table(head, rows)}\n\n"
            f"{chosen(lines)}"
        )
    return "\n\n".join(parts)


def at_most(share: Mapping) -> str:
    """The author's own share, and the upper end of its interval, which is the limit."""
    return f"{share['value']:.1%}, at most {share.get('high', share['value']):.1%}"


def chosen(lines: Sequence[Mapping]) -> str:
    """What the rule says of all settings on the same chats."""
    each = f"{choice.corrected(CONFIDENCE, len(lines) - 1):.2%}"
    sure = choice.better(lines, CONFIDENCE)
    winner = f"the default becomes **{setting(sure[0])}**" if sure else "the default stays"
    return (
        f"{len(lines) - 1} settings were tried beside the default. Not allowed: "
        f"{_named(line for line in lines if not choice.allowed(line))}. At {each} confidence each, "
        f"so that all hold together with {CONFIDENCE:.0%}, these of the others beat the default: "
        f"{_named(sure)}. So {winner}."
    )


def _named(lines: Iterable[Mapping]) -> str:
    return "; ".join(map(setting, lines)) or "none"


def first_looks() -> str:
    """The settings of the first looks, before new words were counted."""
    head = ("chats", "temperature, limit, repetition penalty", "told apart (AUC)")
    rows = [
        (
            f"{chats}, {line['told_apart']['n']} sessions",
            setting(line),
            interval(line["told_apart"]),
        )
        for chats, lines in sampled(RESULTS / "sampling-first-looks.jsonl").items()
        for line in lines
    ]
    return table(head, rows)


def prompted_sampling() -> str:
    """The same settings with and without examples in the prompt of the tuned model."""
    head = ("chats", "settings", "without", "with 3 nearest", "difference", "whole replies copied")
    rows = []
    for chats, lines in sampled().items():
        plain = {setting(line): line for line in lines if not line["setting"]["examples"]}
        for line in lines:
            if line["setting"]["examples"]:
                words = setting({"setting": {**line["setting"], "examples": 0}})
                without = plain[words]
                areas = line["areas"], without["areas"]
                rows.append(
                    (
                        *(chats, words, interval(without["told_apart"])),
                        interval(line["told_apart"]),
                        interval(choice.paired_difference(*areas, CONFIDENCE)),
                        f"{without['whole']['value']:.1%} → {line['whole']['value']:.1%}",
                    )
                )
    return table(head, rows) if rows else "Not measured yet."


def _encoders() -> dict:
    return json.loads((RESULTS / "encoders.json").read_text("utf-8"))


def encoders() -> str:
    """How well each encoder ranks the true reply."""
    head = ("chats", "by", "MRR", "Hits@1", "MRR minus the bundled", "processor s")
    rows = []
    for chats, result in _encoders().items():
        if "ways" not in result:
            continue
        for name, row in result["ways"].items():
            first = name == next(iter(result["ways"]))
            rows.append(
                (
                    *(chats, name, interval(row["mrr"]), interval(row["hits_at_1"])),
                    "" if first else interval(row["gain"]["mrr"]),
                    f"{row['processor_seconds']:.1f}",
                )
            )
        chance = result["chance"]
        values = f"{chance['mrr']:.3f}", f"{chance['hits_at_1']:.3f}"
        rows.append((chats, f"chance, {result['replies']} replies", *values, "", ""))
    return table(head, rows)


def encoder_thresholds() -> str:
    """The threshold of the filter for each encoder, and what it would keep of train."""
    head = ("chats", "encoder", "threshold", "kept of train: true pairs", "exchanged pairs")
    rows = []
    for chats, result in _encoders().items():
        for name, row in result.get("ways", {}).items():
            for least, kept in _thresholds(row):
                rows.append((chats, name, least, f"{kept['true']:.1%}", f"{kept['exchanged']:.1%}"))
    return table(head, rows)


def _thresholds(row: Mapping) -> list[tuple[str, Mapping]]:
    if "threshold" not in row:  # BM25
        return []
    limits = row["threshold"]
    return [(interval(limits["least"]), limits["train"]), ("0.3", limits["train_at_0.3"])]


def retrieved_examples() -> str:
    """Bits per own character with the nearest examples, by each way to retrieve them."""
    result = _encoders().get("nearest examples")
    if result is None:
        return "Not measured yet."
    head = ("model", "examples by", "bits per own character", "saved beside BM25")
    rows = [
        (model, name, interval(row["bits"]), "" if name == "BM25" else interval(row["saved"]))
        for model in ("base", "tuned")
        for name, row in result[model].items()
    ]
    return (
        f"{table(head, rows)}\n\n{result['replies']} validation replies of the demo, "
        f"{result['examples']} examples."
    )
