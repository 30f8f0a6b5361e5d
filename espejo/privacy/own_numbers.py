"""Keep numbers and pictures of one's own chats out of commits: a pre-commit hook of git.

    python espejo/privacy/own_numbers.py            # what the hook runs; fails if some are there
    python espejo/privacy/own_numbers.py --install  # what `make setup` runs

What git may have is the demo's: dvc.lock says so of the whole pipeline, and has the file's MD5.
`dvc exp run` keeps own numbers as commits of this clone (refs/exps), which `git push` does not
send; it runs no hooks. Nothing but Python itself is needed, so that any Python can run this.
"""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

DEMO = "data/raw/demo"
YES = "espejo.share"
PLACES = ("metrics", "plots", "dvc.lock")
HOOK = """\
#!/bin/sh
# Of espejo's `make setup`: no numbers of your own chats in a commit without your yes.
test -f espejo/privacy/own_numbers.py || exit 0
python=.venv/bin/python
test -x $python || python=python3
exec $python espejo/privacy/own_numbers.py
"""
# In dvc.lock: which folder of exports a stage read, and the outputs that git may have.
_READ = re.compile(
    r"^ +- path: (.+)/people\.yaml$|^ +data\.raw: (.+)$|stages\.parse\s+(\S+)", re.MULTILINE
)
_OUT = re.compile(
    r"^ +- path: ((?:metrics|plots)/.+)\n(?: +hash: md5\n)? +md5: (\w+)$", re.MULTILINE
)


def _git(*arguments: str) -> bytes:
    """What git prints, nothing where it fails."""
    return subprocess.run(["git", *arguments], capture_output=True, check=False).stdout


def own(staged: list[str]) -> list[str]:
    """Those of the staged files that are not the demo's."""
    lock = _git("show", ":dvc.lock").decode("utf-8", "replace")
    if {folder for match in _READ.findall(lock) for folder in match if folder} - {DEMO}:
        return staged
    known = set(_OUT.findall(lock))

    def demos(name: str) -> bool:
        content = _git("show", f":{name}")
        return name == "dvc.lock" or (name, hashlib.md5(content).hexdigest()) in known

    return [name for name in staged if not demos(name)]


def check() -> str:
    """Why the commit is refused, "" where it is not."""
    listed = _git("diff", "--cached", "--name-only", "--diff-filter=d", "-z", "--", *PLACES)
    staged = os.fsdecode(listed).split("\0")[:-1]
    if not staged or _git("config", "--type=bool", "--get", YES).strip() == b"true":
        return ""
    numbers = own(staged)
    if not numbers:
        return ""
    more = f" and {len(numbers) - 3} more" if len(numbers) > 3 else ""
    return (
        f"espejo: not committed, for these are numbers of your own chats: {', '.join(numbers[:3])}"
        f"{more}. Leave them out: git restore --staged {' '.join(PLACES)} - or put them in all the "
        f"same: git -c {YES}=yes commit - (the demo's, changed by hand, are mended by make repro)."
    )


def install() -> str:
    """Write the hook where there is none; returns what somebody who has one may add to theirs."""
    place = _git("rev-parse", "--git-path", "hooks/pre-commit").decode().strip()
    inside = _git("rev-parse", "--git-common-dir").decode().strip()
    if not place:  # a copy without its history
        return ""
    hook = Path(place).absolute()
    ours = hook.is_relative_to(Path(inside).absolute())
    there = hook.read_text("utf-8", "replace") if hook.is_file() else ""
    if there == HOOK or "pre-commit.com" in there:  # whose configuration here names this
        return ""
    if hook.exists() or not ours:
        return (
            f"espejo: {hook} is yours and stays. So that no numbers of own chats are committed, "
            "add to it: python3 espejo/privacy/own_numbers.py || exit 1"
        )
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(HOOK, "utf-8")
    hook.chmod(0o755)
    return ""


if __name__ == "__main__":
    if "--install" in sys.argv:
        print(install(), end="\n" * bool(install()))
    else:
        sys.exit(check() or 0)
