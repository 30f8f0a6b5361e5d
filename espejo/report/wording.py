"""What the report says, in the language of the setting report.language, and how numbers look."""

from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from espejo.core.errors import UserError

FOLDER = Path(__file__).parent
MOST = 4  # digits at most, or more than usual, so that two numbers look different


class Wording:
    """The texts of one language: `text("sound.question")`, numbers and intervals as it writes them.

    Raises UserError when there are no texts in `language`.
    """

    def __init__(self, language: str) -> None:
        known = sorted(path.stem for path in FOLDER.glob("*.yaml"))
        if language not in known:
            raise UserError(
                f"report.language is {language!r}: the report is written in {' or '.join(known)}."
            )
        self.texts = yaml.safe_load((FOLDER / f"{language}.yaml").read_text("utf-8"))

    def get(self, key: str) -> dict | list | str:
        """What stands at `key`, its parts joined by points."""
        found = self.texts
        for part in key.split("."):
            found = found[part]
        return found

    def text(self, key: str, **values: object) -> str:
        """The text at `key` with `values` put in."""
        return str(self.get(key)).format(**values)

    def name(self, group: str, key: str) -> str:
        """The text at `key` of `group`, or the key itself where settings brought a new one."""
        return self.get(group).get(key, key)

    def number(self, value: float, digits: int = 2) -> str:
        """A number as the language writes it; whole numbers without decimals."""
        written = f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"
        if float(written.replace(",", "")) == 0:
            written = written.removeprefix("-")
        marks = {",": self.texts["thousands"], ".": self.texts["decimal"]}
        return "".join(marks.get(sign, sign) for sign in written)

    def percent(self, share: float, digits: int = 0) -> str:
        """A share of 1 as a percentage; nearly none and nearly all are not written as that."""
        shown, least, sign = 100 * share, 10.0**-digits, ""
        if 0 < shown <= least / 2:
            shown, sign = least, "<"
        elif 100 - least / 2 <= shown < 100:
            shown, sign = 100 - least, ">"
        return self.text("percent", value=sign + self.number(shown, digits))

    def point(self, share: float, digits: int = 1) -> str:
        """A difference of shares in percentage points, without an end of zeros."""
        written = self.number(100 * float(share), digits)
        decimal = self.texts["decimal"]
        return written.rstrip("0").removesuffix(decimal) if decimal in written else written

    def interval(self, measure: Mapping, digits: int = 2) -> str:
        """A measure of metrics/eval.json: with its interval, or what there is instead."""
        return self._written(measure, lambda value, more: self.number(float(value), digits + more))

    def shares(self, measure: Mapping) -> str:
        """`interval` of a share of 1, in percent."""
        return self._written(measure, self.percent)

    def points(self, measure: Mapping) -> str:
        """`interval` of a difference of shares, in percentage points."""
        return self._written(measure, lambda value, more: self.point(value, 1 + more))

    def _written(self, measure: Mapping, write: Callable[[float, int], str]) -> str:
        """`write` takes a number and how many digits more than usual; it gets them where needed.

        That is where both ends would look the same: an interval has a width.
        """
        if "value" not in measure:
            return self.text("unmeasured")
        if "low" not in measure:
            few = "few_bundles" if "bundles" in measure else "few"
            counts = {unit: self.number(measure.get(unit, 0)) for unit in ("n", "bundles")}
            return self.text(few, value=write(measure["value"], 0), **counts)
        value, low, high = (measure[key] for key in ("value", "low", "high"))
        more = 0
        while more < MOST and low != high and write(low, more) == write(high, more):
            more += 1
        return self.text(
            "interval",
            value=write(value, more),
            low=write(low, more),
            high=write(high, more),
        )
