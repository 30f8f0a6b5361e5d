"""The tables of docs/memory-audit.md, from the runs of benchmarks/memory_audit.py."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml

RESULTS = Path(__file__).resolve().parent / "results" / "audit"
DEFAULTS = RESULTS.parents[2] / "conf" / "evaluate" / "default.yaml"
# In the order of what they should remember.
RUNS = ("default", "whole-texts", "three-epochs", "triple-rate", "all-linear", "overfitted")
NOTHING = "*No run is recorded yet: `python -m benchmarks.memory_audit default`.*"
ATTACKS = {
    "base_alone": "the base model's loss alone, which cannot know",
    "loss": "loss, per character",
    "loss_per_token": "loss, per token",
    "loss_by_zlib": "loss by compressed length",
    "min_k": "Min-K%: the least likely fifth of the tokens",
    "difference": "**base - tuned, per character (espejo's)**",
    "difference_per_token": "base - tuned, per token",
    "difference_summed": "base - tuned, of the whole reply",
    "difference_with_marks": "base - tuned, with separators and end",
    "min_k_difference": "base - tuned of Min-K%",
    "ratio": "tuned / base",
}


def recorded() -> dict[str, dict]:
    """The recorded runs, by name."""
    paths = {name: RESULTS / f"{name}.json" for name in RUNS}
    return {
        name: json.loads(path.read_text("utf-8")) for name, path in paths.items() if path.is_file()
    }


def audit_runs() -> str:
    """What each run remembers, a line each."""
    return table_of_runs(recorded())


def audit_exposure() -> str:
    """Exposure of the planted codes in each run."""
    return table_of_exposures(recorded())


def audit_attacks() -> str:
    """How well each attack tells learnt replies from those set aside, in each run."""
    return table_of_attacks(recorded())


def audit_power() -> str:
    """How the interval of membership depends on how many replies are scored."""
    return table_of_sizes(recorded())


def audit_limits() -> str:
    """What somebody can learn from each run, and on which side of the limit of membership it is."""
    evaluate = yaml.safe_load(DEFAULTS.read_text("utf-8"))["evaluate"]
    return table_of_limits(recorded(), evaluate["sharing_limits"]["membership"])


def table_of_runs(runs: Mapping[str, Mapping]) -> str:
    """One line a run: `runs` are results of benchmarks/memory_audit.py, by name."""
    heads: tuple[str, ...] = ("run", "set beside `experiment=audit`", "bits per own character")
    heads += ("AUC, against replies set aside", "AUC, against the test")
    heads += ("… of fewer learnt replies, as in the verdict", "AUC of the base model alone, test")
    heads += (
        "recognized at 5 % false alarms",
        "whole replies copied",
        "verdict",
        "processor minutes",
    )
    rows = []
    for name, run in runs.items():
        memory = run["memory"]
        test = memory["membership_against"]["test"]
        against = run["attacks"]["difference"]
        attack = against["set_aside"]
        rows.append(
            (
                *(f"`{name}`", ", ".join(f"`{choice}`" for choice in run["choices"][3:]) or "–"),
                _measure(run["own_bits_per_character"]["tuned"]),
                *(_measure(attack["auc"]), _measure(against["test"]["auc"])),
                f"{_measure(test['auc'])}, {memory['members']}",
                _measure(test["base_auc"]),
                _measure(attack["recognized"]["0.05"]),
                _measure(memory["overlap"]["tuned"]["whole"]),
                memory["verdict"],
                f"{sum(run['processor_seconds'].values()) / 60:.0f}",
            )
        )
    return _table(heads, rows)


def table_of_exposures(runs: Mapping[str, Mapping]) -> str:
    """One line a run and role: mean exposure in bits by repetitions, of the tuned model."""
    times = list(
        dict.fromkeys(
            each
            for run in runs.values()
            for role in ("author", "partner")
            for each in run["memory"]["canaries"][role]
        )
    )
    rows = []
    for name, run in runs.items():
        canaries = run["memory"]["canaries"]
        for role in ("author", "partner"):
            bits = [canaries[role].get(each) for each in times]
            written = [
                f"{each['tuned']['mean']:.1f} (most {each['tuned']['max']:.1f})" if each else ""
                for each in bits
            ]
            before = [each["base"]["mean"] for each in bits if each]
            base = f"{sum(before) / len(before):.1f}"
            rows.append((f"`{name}`", role, *written, base, f"{canaries['chance']:.1f}"))
    heads = ("run", "who says the code", *(f"{each} ×" for each in times))
    return _table((*heads, "base model", "by chance"), rows)


def table_of_attacks(runs: Mapping[str, Mapping]) -> str:
    """One line an attack: AUC, and replies recognized at 5 % false alarms, in each run."""
    rows = []
    for key, words in ATTACKS.items():
        cells = []
        for run in runs.values():
            measures = run["attacks"][key]["set_aside"]
            hits = measures["recognized"]["0.05"]
            cells.append(
                _measure(measures["auc"])
                + (f"; {hits['value']:.0%}" if "value" in hits else "; too few")
            )
        rows.append((words, *cells))
    return _table(("attack", *(f"`{name}`" for name in runs)), rows)


def table_of_sizes(runs: Mapping[str, Mapping]) -> str:
    """One line for each number of learnt replies of the run `default`."""
    if "default" not in runs:
        return NOTHING
    sizes = runs["default"]["sizes"]
    others = runs["default"]["replies"]
    rows = [
        (
            number,
            *(
                f"{sizes[split][number]['width']:.2f}, ± {sizes[split][number]['deviation']:.3f}"
                for split in ("set_aside", "test")
            ),
        )
        for number in sizes["test"]
    ]
    heads = ("learnt replies scored", f"against {others['set_aside']} set aside")
    return _table((*heads, f"against {others['test']} of the test"), rows)


def table_of_limits(runs: Mapping[str, Mapping], limit: float) -> str:
    """One line a run, by its AUC of membership, and what those below and above `limit` give away.

    Of all attacks that which recognizes most counts, so what it recognizes is rather too high.
    """
    if not runs:
        return NOTHING
    rows = []
    sides: dict[str, list[tuple[float, ...]]] = {"below": [], "above": []}
    for name, run in sorted(runs.items(), key=lambda item: _auc(item[1])["value"]):
        recognized = max(
            run["attacks"][key]["set_aside"]["recognized"]["0.05"].get("value", 0.0)
            for key in ATTACKS
            if key != "base_alone"
        )
        side = "above" if _auc(run)["value"] > limit else "below"
        codes = run["memory"]["canaries"]["author"]
        sides[side].append((recognized, *(each["tuned"]["mean"] for each in codes.values())))
        copies = (run["memory"]["overlap"]["tuned"][kind] for kind in ("copied", "whole"))
        exposed = (f"{codes[times]['tuned']['mean']:.1f}" for times in ("1", "4") if times in codes)
        rows.append(
            (
                *(f"`{name}`", _measure(_auc(run)), side, f"{recognized:.0%}", *exposed),
                *map(_measure, copies),
            )
        )
    heads: tuple[str, ...] = ("run", "AUC, against replies set aside", f"limit of {limit}")
    heads += ("recognized by the best attack", "exposure of a code written once", "four times")
    heads += ("eight words copied", "whole replies copied")
    sentences = [
        f"{side.capitalize()} the limit the best attack recognizes {_range(shares, '.0%')} of the "
        f"learnt replies, and a code that was written once is exposed by {_range(once, '.1f')} bits"
        for side, of_runs in sides.items()
        if of_runs
        for shares, once in [list(zip(*of_runs, strict=True))[:2]]
    ]
    return f"{_table(heads, rows)}\n\n{'. '.join(sentences)}."


def _auc(run: Mapping) -> Mapping:
    """The AUC of espejo's membership against replies that were set aside at random."""
    return run["attacks"]["difference"]["set_aside"]["auc"]


def _range(values: Sequence[float], form: str) -> str:
    lowest, highest = (format(end(values), form) for end in (min, max))
    return lowest if lowest == highest else f"{lowest} to {highest}"


def _measure(measure: Mapping) -> str:
    if "low" not in measure:
        why = measure["interval"]
        return f"{measure['value']:.2f} ({why})" if "value" in measure else "not measured"
    return f"{measure['value']:.2f} [{measure['low']:.2f}, {measure['high']:.2f}]"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows or len(heads) == 1:
        return NOTHING
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ("---",) * len(heads), *rows))


FILLS: dict[str, Callable[[], str]] = {
    fill.__name__: fill
    for fill in (audit_runs, audit_exposure, audit_attacks, audit_power, audit_limits)
}
