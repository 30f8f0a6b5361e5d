"""`make mine`: a place for one's own chats, all of it ignored by git."""

import subprocess
from pathlib import Path

from espejo.core import faults
from espejo.privacy.people_file import with_salt

RAW = Path("data/raw/mine")
CONF = Path("conf/data/mine.yaml")

PEOPLE = """\
# Whose way of writing is learnt: the name exactly as it stands in the exports, before the colon.
# One person under several names (another phone, another contact list): author: [Ana, Anita]
author:

# What the others allow. Ask them: their words are in your chats. The first run lists everybody here
# and stops; after each name write
#   train      their words may be learnt from
#   context    the model may read their words as context, and never learns them
#   withhold   left out, with every reply that answers them, and their name in what others say
# What else somebody is called, so that it is found wherever it stands: under aliases, at the end,
#   aliases:
#     Mamá: [ma, la vieja]
people:
"""
SETTINGS = """\
# @package _global_
# Your own chats: `dvc exp run -S data=mine`. Git ignores this file, but what it sets is copied into
# params.yaml, which git does not ignore: write no name in it.
data:
  raw: data/raw/mine

# Names become PERSON_1, PERSON_2 ... (their place in people.yaml), in what people say as well.
# null keeps the names: the bot will say them to whoever talks to it.
clean:
  pseudonyms: PERSON_{n}

# Chats in another language: the one sentence that the model is given. Remove the two # to use it.
# format:
#   system: Reply as you always do.

# What the chat should not talk about: words and phrases that it answers with a fixed sentence.
# chat:
#   decline: [política, tarjeta de crédito]
"""


def known_to_git() -> bool:
    """Whether git has a name and an address here: without them `dvc exp run` fails."""
    asked = [["git", "config", f"user.{what}"] for what in ("name", "email")]
    return all(subprocess.run(command, capture_output=True).stdout.strip() for command in asked)


def main() -> None:
    """Make data/raw/mine/ with people.yaml, and conf/data/mine.yaml; what is there stays."""
    RAW.mkdir(parents=True, exist_ok=True)
    for path, content in ((RAW / "people.yaml", with_salt(PEOPLE)), (CONF, SETTINGS)):
        if not path.exists():
            path.write_text(content, "utf-8")
    print(
        f"1. Copy your exports (.txt or .zip) into {RAW}/\n"
        f"2. dvc exp run -S data=mine (it stops, and {RAW / 'people.yaml'} lists who writes)\n"
        "3. Write your name and what the others allow into that file, and run it again"
    )
    if not known_to_git():
        print(
            "Before that, once: DVC keeps experiments as commits, on this machine, and git wants a "
            "name for them:\n"
            "   git config --global user.name 'Your Name'\n"
            "   git config --global user.email you@example.com"
        )


if __name__ == "__main__":
    with faults.told("espejo"):
        main()
