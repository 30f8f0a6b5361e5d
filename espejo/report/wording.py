"""What the report says, in the language of the setting report.language, and how numbers look."""

from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from espejo.errors import UserError

FOLDER = Path(__file__).parent


class Wording:
    """The texts of one language: `say("sound.question")`, numbers and intervals as it writes them.

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

    def say(self, key: str, **values: object) -> str:
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

    def percent(self, share: float) -> str:
        """A share of 1 as a percentage without decimals."""
        return self.say("percent", value=self.number(round(100 * share)))

    def interval(self, measure: Mapping, digits: int = 2) -> str:
        """A measure of metrics/eval.json: with its interval, or what there is instead."""
        return self._written(measure, lambda value: self.number(float(value), digits))

    def shares(self, measure: Mapping) -> str:
        """`interval` of a share of 1, in percent."""
        return self._written(measure, self.percent)

    def _written(self, measure: Mapping, write: Callable[[float], str]) -> str:
        if "value" not in measure:
            return self.say("unmeasured")
        value = write(measure["value"])
        if "low" not in measure:
            sessions = measure.get("n", 0)
            return self.say("few", value=value, n=self.number(sessions))
        return self.say(
            "interval", value=value, low=write(measure["low"]), high=write(measure["high"])
        )
