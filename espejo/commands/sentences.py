"""What `espejo init` says, in the language of the terminal: init.en.yaml and init.es.yaml."""

from collections.abc import Mapping
from pathlib import Path

import yaml

from espejo.core.errors import UserError

LANGUAGES = ("en", "es")


class Sentences:
    """The sentences of one language: `say("people.more", count=3)` fills in its placeholders."""

    def __init__(self, language: str) -> None:
        if language not in LANGUAGES:
            raise UserError(f"--language {language!r}: expected {' or '.join(LANGUAGES)}.")
        path = Path(__file__).with_name(f"init.{language}.yaml")
        self._texts = yaml.safe_load(path.read_text("utf-8"))

    def __call__(self, key: str, /, **values: object) -> str:
        """The sentence at `key`, whose parts are joined by points, with `values` filled in."""
        text = self._texts
        for part in key.split("."):
            text = text[part]
        return text.format(**values)

    def error(self, key: str, /, **values: object) -> UserError:
        """The sentence at `errors.key`, to raise."""
        return UserError(self(f"errors.{key}", **values))

    def number(self, number: float, digits: int = 0) -> str:
        """A number with so many decimals and the language's marks."""
        marks = {",": self("thousands"), ".": self("decimal")}
        return "".join(marks.get(sign, sign) for sign in f"{number:,.{digits}f}")


def language_of(environment: Mapping[str, str]) -> str:
    """The language of a terminal with these variables: `es` for any Spanish locale, else `en`.

    As POSIX orders them: LC_ALL decides, then LC_MESSAGES, then LANG; an empty one says nothing.
    """
    variables = ("LC_ALL", "LC_MESSAGES", "LANG")
    locale = next(filter(None, map(environment.get, variables)), "")
    return "es" if locale.partition("_")[0].partition(".")[0].lower() == "es" else "en"
