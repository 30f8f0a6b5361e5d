"""What `espejo init` says, in the language of the terminal: the files of init_texts/."""

from collections.abc import Mapping
from pathlib import Path

from espejo.core.errors import UserError
from espejo.report.wording import Wording

LANGUAGES = ("en", "es")


class InitWording(Wording):
    """The sentences of one language; raises UserError for a language that is none of LANGUAGES."""

    folder = Path(__file__).parent / "init_texts"

    def __init__(self, language: str) -> None:
        if language not in LANGUAGES:
            raise UserError(f"--language {language!r}: expected {' or '.join(LANGUAGES)}.")
        super().__init__(language)

    def error(self, key: str, /, **values: object) -> UserError:
        """The sentence at `errors.key`, to raise."""
        return UserError(self.text(f"errors.{key}", **values))


def language_of(environment: Mapping[str, str]) -> str:
    """The language of a terminal with these variables: `es` for any Spanish locale, else `en`.

    As POSIX orders them: LC_ALL decides, then LC_MESSAGES, then LANG; an empty one says nothing.
    """
    variables = ("LC_ALL", "LC_MESSAGES", "LANG")
    locale = next(filter(None, map(environment.get, variables)), "")
    return "es" if locale.partition("_")[0].partition(".")[0].lower() == "es" else "en"
