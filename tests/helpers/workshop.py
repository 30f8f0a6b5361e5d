"""A clone of this project in a temporary folder, with chats of somebody's own, for tests."""

import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

from dvc.repo import Repo

ROOT = Path(__file__).resolve().parents[2]
AUTHOR, PARTNER = "Xiomara Quintrell", "Evaristo Blum"
PEOPLE = f"author: {AUTHOR}\npeople:\n  {PARTNER}: train\n"
# Words that occur nowhere else in the project: a file that holds one quotes these chats.
SECRET = "zanfonía"


def environment(**more):
    """The current environment, with this Python's tools first on the PATH.

    Without the width that pytest-xdist, or a shell, notes there: a terminal has its own.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    current = {name: os.environ[name] for name in os.environ if name not in ("COLUMNS", "LINES")}
    return {**current, "PATH": path, "GIT_CONFIG_GLOBAL": os.devnull, **more}


def run(*command, cwd, check=True, **more):
    """Run in `environment`; returns the finished process."""
    env = environment(**more)
    ran = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    if check and ran.returncode:
        raise AssertionError(f"{command}\n{ran.stdout}\n{ran.stderr}")
    return ran


def init_dvc(folder):
    """DVC in `folder`, without the programs that it starts in the background, as in the project's
    own .dvc/config: those send statistics, look for a newer version, and write in DVC's folders
    after the command has ended.
    """
    Repo.init(str(folder)).close()
    settings = "[core]\n    analytics = false\n    check_update = false\n"
    (folder / ".dvc" / "config").write_text(settings, "utf-8")


def clone(folder):
    """Copy the working tree, uncommitted work included, as one commit of a new repository."""
    files = run("git", "ls-files", "-co", "--exclude-standard", "-z", cwd=ROOT).stdout.split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    run("git", "init", "-q", "-b", "main", cwd=folder)
    run("git", "config", "user.name", "tester", cwd=folder)
    run("git", "config", "user.email", "tester@localhost", cwd=folder)
    run("git", "add", "-A", cwd=folder)
    run("git", "commit", "-q", "-m", "the tree as it stands", cwd=folder)
    return folder


def chat(sessions=30, start=datetime(2025, 3, 1, 20, 0)):
    """An Android export: in each session the partner asks and the author answers, twice.

    Answers differ in two words: with one, the filter would take each for a leak of another.
    """
    lines = []
    for number in range(sessions):
        time = start + timedelta(days=number)
        for minute, (author, text) in enumerate(
            (
                (PARTNER, f"¿Viste la {SECRET} número {number}?"),
                (AUTHOR, f"siii {number} veces la {SECRET} de {number} cuerdas"),
                (AUTHOR, "re linda"),
                (PARTNER, f"¿Y la compramos por {number} pesos?"),
                (AUTHOR, f"ni loca pago {number} mangos"),
            )
        ):
            moment = time + timedelta(minutes=minute)
            lines.append(f"{moment:%d/%m/%Y, %H:%M} - {author}: {text}\n")
    return "".join(lines)


def mine(folder, sessions=30):
    """`espejo init --by-hand` in a clone, with a chat and the author's name put in."""
    run(sys.executable, "-m", "espejo.commands.cli", "init", "--by-hand", cwd=folder)
    raw = folder / "data" / "raw" / "mine"
    export = raw / f"Chat de WhatsApp con {PARTNER}.txt"
    export.write_text(chat(sessions), "utf-8")
    (raw / "people.yaml").write_text(PEOPLE, "utf-8")
    return raw
