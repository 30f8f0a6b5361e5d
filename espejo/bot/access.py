"""Who may use a bot, and with what: the token, the allowed chats, the folder of transcripts.

The token is a password: whoever has it is the bot. It comes from the environment only, where it
enters neither the history of a shell nor a file that git could keep.
"""

import re
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from espejo.core import faults, files
from espejo.core.errors import UserError

TOKEN = "ESPEJO_TELEGRAM_TOKEN"
CHATS = "ESPEJO_TELEGRAM_CHATS"
# The port of a Telegram server on this machine instead of Telegram's own; for tests. Only a port:
# an address could lure the token elsewhere.
PORT = "ESPEJO_TELEGRAM_PORT"

_TOKEN = re.compile(r"[0-9]{3,}:[A-Za-z0-9_-]{20,}")


@dataclass(frozen=True)
class Access:
    """The chats that are answered, and the one whose /stop ends the bot.

    In Telegram a group's id is negative, and a private chat has the id of its person.
    """

    chats: frozenset[int]
    owner: int | None


def take_token(environment: MutableMapping[str, str]) -> str:
    """The token, taken out of `environment`: programs started from here do not inherit it.

    Raises UserError, which never quotes it, when there is none or when it cannot be one.
    """
    token = environment.pop(TOKEN, "").strip()
    if not token:
        raise UserError(
            f"{TOKEN} is not set: get a token from @BotFather in Telegram, then run `read -rs "
            f"{TOKEN}`, paste it, press Enter, run `export {TOKEN}`, and this command again."
        )
    if not _TOKEN.fullmatch(token):
        raise UserError(
            f"{TOKEN} holds no token of Telegram, which is a number, a colon and some 35 letters "
            "and digits: copy it from @BotFather again (/token)."
        )
    return token


def access(allowed: Sequence[int], owner: int | None, environment: Mapping[str, str]) -> Access:
    """The chats of `--allow` and of the environment; the owner's is the first that is a person's.

    Raises UserError for an id that is none.
    """
    listed = environment.get(CHATS, "").replace(",", " ").split()
    try:
        chats = [*allowed, *map(int, listed)]
    except ValueError:
        raise UserError(
            f"{CHATS} is {environment[CHATS]!r}: expected ids of chats, which are whole numbers, "
            "with a space between two."
        ) from None
    if owner is not None and owner <= 0:
        raise UserError(
            f"--owner {owner} is a group, in which anybody could end the bot: give the id of your "
            "own chat with it, a positive number."
        )
    if owner is None:
        owner = next((chat for chat in chats if chat > 0), None)
    return Access(frozenset([*chats, *([owner] if owner else [])]), owner)


def base_url(environment: Mapping[str, str]) -> str:
    """Where Telegram is: at its own address, or at the port PORT of this machine."""
    port = environment.get(PORT)
    if port is None:
        return "https://api.telegram.org/bot"
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise UserError(f"{PORT} is {port!r}: expected the number of a port of this machine.")
    return f"http://127.0.0.1:{port}/bot"


def check_client() -> None:
    """Raise UserError where the client of Telegram is not installed: it is an extra."""
    if find_spec("telegram") is None or find_spec("telegram.ext") is None:
        raise UserError(
            "`espejo bot telegram` needs python-telegram-bot, which is not installed: run "
            "`pip install -e '.[telegram]'` in the folder of espejo."
        )


def private_folder(folder: Path) -> Path:
    """`folder`, made where it is missing, for what people wrote.

    Raises UserError when git would take its files into a repository.
    """
    folder = folder.expanduser().resolve()
    if (repository := files.repository_taking(folder)) is not None:
        raise UserError(
            f"{folder} lies in the git repository {repository}, which does not ignore it, and what "
            "people write to the bot must not get into git: choose a folder elsewhere."
        )
    with faults.about(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
