"""A pre-commit hook of git that refuses commits with numbers of your own chats, or other data.

    python espejo/privacy/own_numbers.py            # the check that the hook runs
    python espejo/privacy/own_numbers.py --install  # what `make setup` runs

The demo's numbers may be committed: those files whose MD5 stands in a dvc.lock that was made from
the demo, or from the other invented data; metrics/repeat.json says itself of which data it is.
`dvc exp run` stores own numbers as commits of this clone (refs/exps): it runs no hooks, and `git
push` does not send them. This file imports the standard library alone, so that any Python can run
it.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

INVENTED = {"data/raw/demo", "data/raw/dialogues", "data/raw/qa"}
ALLOW_KEY = "espejo.share"  # of git's configuration: "yes" allows own numbers in commits
PATHS = ("metrics", "plots", "dvc.lock")
REPEATED = "metrics/repeat.json"  # of `espejo repeat`, whatever data the last run was of
HOOK = """\
#!/bin/sh
# Of espejo's `make setup`: no numbers of your own chats in a commit without your yes.
test -f espejo/privacy/own_numbers.py || exit 0
python=.venv/bin/python
test -x $python || python=python3
exec $python espejo/privacy/own_numbers.py
"""
# In dvc.lock: the folders of data that stages read, a data set of the hub beside them, which may be
# one's own, and the outputs that are kept in git. Older files name people.yaml and data.raw.
_RAW_FOLDER = re.compile(
    r"^ +- path: (.+)/people\.yaml$|^ +data\.raw: (.+)$|stages\.parse\s+(\S+)", re.MULTILINE
)
_DATASET = re.compile(r"^ +dataset: (?!null$)\S", re.MULTILINE)
_OUTPUT = re.compile(
    r"^ +- path: ((?:metrics|plots)/.+)\n(?: +hash: md5\n)? +md5: (\w+)$", re.MULTILINE
)


def _git(*arguments: str) -> bytes:
    """The output of a git command, empty if it fails."""
    return subprocess.run(["git", *arguments], capture_output=True, check=False).stdout


def own_files(staged: list[str]) -> list[str]:
    """Those of the staged files that are not the demo's."""
    lock = _git("show", ":dvc.lock").decode("utf-8", "replace")
    folders = {folder for match in _RAW_FOLDER.findall(lock) for folder in match if folder}
    if folders - INVENTED or _DATASET.search(lock):
        return staged
    demo_outputs = set(_OUTPUT.findall(lock))  # (path, MD5)

    def is_demo(name: str) -> bool:
        content = _git("show", f":{name}")
        if name == REPEATED:
            return _of_invented(content)
        return name == "dvc.lock" or (name, hashlib.md5(content).hexdigest()) in demo_outputs

    return [name for name in staged if not is_demo(name)]


def _of_invented(content: bytes) -> bool:
    """Whether metrics/repeat.json holds nothing, or numbers of invented data."""
    try:
        numbers = json.loads(content)
        return numbers == {} or numbers["data"] in INVENTED
    except (ValueError, KeyError, TypeError):
        return False


def check() -> str:
    """Why the staged commit is refused; "" if it is not."""
    output = _git("diff", "--cached", "--name-only", "--diff-filter=d", "-z", "--", *PATHS)
    staged = os.fsdecode(output).split("\0")[:-1]
    if not staged or _git("config", "--type=bool", "--get", ALLOW_KEY).strip() == b"true":
        return ""
    files = own_files(staged)
    if not files:
        return ""
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return (
        f"espejo: not committed, for these are numbers of your own chats: {', '.join(files[:3])}"
        f"{more}. Leave them out: git restore --staged {' '.join(PATHS)} - or put them in all the "
        f"same: git -c {ALLOW_KEY}=yes commit - (the demo's, changed by hand, are mended by make "
        "repro)."
    )


def install() -> str:
    """Write the hook if there is none yet.

    Returns "", or a sentence with the line to add for somebody who has another hook.
    """
    hook_path = _git("rev-parse", "--git-path", "hooks/pre-commit").decode().strip()
    git_dir = _git("rev-parse", "--git-common-dir").decode().strip()
    if not hook_path:  # a copy without its history
        return ""
    hook = Path(hook_path).absolute()
    in_this_clone = hook.is_relative_to(Path(git_dir).absolute())
    content = hook.read_text("utf-8", "replace") if hook.is_file() else ""
    # The pre-commit tool runs this check as well: .pre-commit-config.yaml names it.
    if content == HOOK or "pre-commit.com" in content:
        return ""
    if hook.exists() or not in_this_clone:
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
