"""The texts of the report in one language, and how that language writes numbers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from espejo.core.errors import UserError

FOLDER = Path(__file__).parent
MAX_DIGITS = 4  # maximum number of extra decimals to make two numbers look different


class Wording:
    """The texts of one language: `text("sound.question")`, numbers and intervals as it writes them.

    The parts of a key are joined by points. Below `by_kind` stand the texts that differ for data of
    a `kind` (params data.kind). Raises UserError when there are no texts in `language`.
    """

    folder = FOLDER

    def __init__(self, language: str, kind: str = "chats") -> None:
        languages = sorted(path.stem for path in self.folder.glob("*.yaml"))
        if language not in languages:
            raise UserError(
                f"report.language is {language!r}: the report is written in "
                f"{' or '.join(languages)}."
            )
        texts = yaml.safe_load((self.folder / f"{language}.yaml").read_text("utf-8"))
        self.texts: dict[str, Any] = _replaced(texts, texts.get("by_kind", {}).get(kind, {}))

    def text(self, key: str, /, **values: object) -> str:
        """The text at `key` with `values` filled in."""
        return str(self._at(key)).format(**values)

    def texts_in(self, key: str) -> list[str]:
        """The list of texts at `key`, such as the heads of a table."""
        return list(self._at(key))

    def group(self, key: str) -> dict[str, str]:
        """The texts below `key`, by the last part of their keys."""
        return dict(self._at(key))

    def name(self, group: str, key: str) -> str:
        """The text at `key` of `group`, or the key itself: settings may bring their own names."""
        return self.group(group).get(key, key)

    def _at(self, key: str) -> Any:  # noqa: ANN401
        node: Any = self.texts
        for part in key.split("."):
            node = node[part]
        return node

    def number(self, value: float, digits: int = 2) -> str:
        """A number as the language writes it; whole numbers without decimals."""
        written = f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"
        if float(written.replace(",", "")) == 0:
            written = written.removeprefix("-")
        marks = {",": self.texts["thousands"], ".": self.texts["decimal"]}
        return "".join(marks.get(character, character) for character in written)

    def percent(self, share: float, digits: int = 0) -> str:
        """A share as a percentage; above 0 and below 1 it is never rounded to 0% or 100%."""
        percent, smallest, sign = 100 * share, 10.0**-digits, ""
        if 0 < percent <= smallest / 2:
            percent, sign = smallest, "<"
        elif 100 - smallest / 2 <= percent < 100:
            percent, sign = 100 - smallest, ">"
        return self.text("percent", value=sign + self.number(percent, digits))

    def point(self, share: float, digits: int = 1) -> str:
        """A difference of shares in percentage points, without trailing zeros."""
        written = self.number(100 * float(share), digits)
        decimal = self.texts["decimal"]
        return written.rstrip("0").removesuffix(decimal) if decimal in written else written

    def interval(self, measure: Mapping, digits: int = 2) -> str:
        """A measure of metrics/eval.json with its interval, or why it has none."""
        return self._measure(measure, lambda value, more: self.number(float(value), digits + more))

    def shares(self, measure: Mapping) -> str:
        """`interval` of a share, in percent."""
        return self._measure(measure, self.percent)

    def points(self, measure: Mapping) -> str:
        """`interval` of a difference of shares, in percentage points."""
        return self._measure(measure, lambda value, more: self.point(value, 1 + more))

    def _measure(self, measure: Mapping, write: Callable[[float, int], str]) -> str:
        """`write` takes a number and the number of extra digits.

        Digits are added until the two ends look different: an interval has a width.
        """
        if "value" not in measure:
            return self.text("unmeasured")
        if "low" not in measure:
            key = "few_bundles" if "bundles" in measure else "few"
            counts = {unit: self.number(measure.get(unit, 0)) for unit in ("n", "bundles")}
            return self.text(key, value=write(measure["value"], 0), **counts)
        value, low, high = (measure[key] for key in ("value", "low", "high"))
        more = 0
        while more < MAX_DIGITS and low != high and write(low, more) == write(high, more):
            more += 1
        return self.text(
            "interval",
            value=write(value, more),
            low=write(low, more),
            high=write(high, more),
        )


def _replaced(texts: Mapping, others: Mapping) -> dict[str, Any]:
    """`texts` with those of `others` in their places, however deep."""
    return {
        **texts,
        **{
            key: _replaced(texts.get(key, {}), other) if isinstance(other, Mapping) else other
            for key, other in others.items()
        },
    }
