"""How much training itself moves the numbers, where `espejo repeat` measured it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from espejo.core import escaping
from espejo.evaluation import repeated as repeats
from espejo.evaluation.headlines import HEADLINES, OF_BASE, measure
from espejo.evaluation.repeated import Repeated
from espejo.report.blocks import Block, Section, Table, Text
from espejo.report.wording import Wording

DASH = "–"
_DIGITS = 3


def section(scores: Mapping, trained: Mapping, path: Path, wording: Wording) -> list[Section]:
    """Which differences from the base model are smaller than those between trainings.

    `path` is metrics/repeat.json. Nothing where no training was repeated, or one with another
    model, test or number of steps. Raises UserError for a file that is damaged.
    """
    result = repeats.read(path)
    if (
        result is None
        or not result.setup.same_test(scores)
        or not result.setup.same_training(trained)
    ):
        return []
    title = wording.text("trainings.title")
    heads = wording.texts_in("trainings.heads")
    rows, smaller = [], []
    for key, spread in result.spreads.items():
        tuned = measure(scores, HEADLINES[key]).get("value")
        if tuned is None:
            continue
        name, base = wording.name("trainings.names", key), measure(scores, OF_BASE.get(key, ()))
        difference = tuned - base["value"] if "value" in base else None
        if difference is not None and abs(difference) <= spread.margin:
            smaller.append(name)
        rows.append(
            (
                name,
                wording.number(tuned, _DIGITS),
                DASH if difference is None else wording.number(difference, _DIGITS),
                wording.number(spread.sd, _DIGITS),
                wording.number(spread.margin, _DIGITS),
                DASH
                if difference is None
                else wording.text("yes" if abs(difference) > spread.margin else "no"),
            )
        )
    verdict = wording.text(
        f"trainings.{'smaller' if smaller else 'larger'}", names=", ".join(smaller)
    )
    blocks: list[Block] = [Text(method(result, wording)), Table(title, heads, rows), Text(verdict)]
    return [Section("trainings", title, blocks)]


def method(result: Repeated, wording: Wording) -> str:
    """What was repeated, and how the columns are computed."""
    n = max((spread.n for spread in result.spreads.values()), default=0)
    often = wording.percent(result.confidence)
    name = escaping.markdown(result.name)
    return wording.text("trainings.text", n=wording.number(n), confidence=often, name=name)


def table(result: Repeated, first: Mapping, wording: Wording) -> str:
    """The spread of each measure in Markdown, beside the interval of the run `first`."""
    rows = [
        (
            wording.name("trainings.names", key),
            wording.number(spread.mean, _DIGITS),
            wording.interval(
                {"value": spread.sd, "low": spread.sd_low, "high": spread.sd_high}, _DIGITS
            ),
            " – ".join(wording.number(end(spread.values), _DIGITS) for end in (min, max)),
            wording.number(spread.margin, _DIGITS),
            wording.interval(measure(first, HEADLINES[key]), _DIGITS),
        )
        for key, spread in result.spreads.items()
    ]
    return escaping.table(wording.texts_in("trainings.spread_heads"), rows)


def lines(result: Repeated, wording: Wording) -> Iterator[str]:
    """A line for each measure, for the terminal."""
    for key, spread in result.spreads.items():
        mean, sd, margin = (
            wording.number(number, _DIGITS) for number in (spread.mean, spread.sd, spread.margin)
        )
        name = wording.name("trainings.names", key)
        yield f"  {name}: mean {mean}, sd {sd}; two trainings differ by at most {margin}"
