"""What the machine, a file or a person does to a run, as one sentence: the only place that says so.

A sentence names the file, what is the matter with it, and what to do. What stands in no list here
is a defect of ours and keeps its stack trace.
"""

import atexit
import errno
import io
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from espejo.core import escaping
from espejo.core.errors import UserError

STOPPED = (
    "stopped by Ctrl-C. What had ended before stays as it is; the same command runs this again."
)
_DEFECT = (
    "This is a defect of espejo, not of your files: please report the lines above. Read them "
    "first, they may quote your chats."
)
_MEMORY = (
    "there is not enough memory (close other programs, or use a smaller model or a shorter chat), "
    "and run the same command again."
)
_MAKE_ROOM = "make room there and run the same command again"
_ALLOW = "allow it (chmod u+rw; chown where somebody else made it) and run the same command again"
# By number, for what the system says, in Python, Arrow and Rust alike: what is wrong; what to do.
_SYSTEM = {
    errno.ENOSPC: f"the disk is full; {_MAKE_ROOM}",
    errno.EDQUOT: f"your share of the disk is used up; {_MAKE_ROOM}",
    errno.EFBIG: f"it grew larger than the disk or `ulimit -f` allows; {_MAKE_ROOM}",
    errno.EACCES: f"there is no permission to read or write it; {_ALLOW}",
    errno.EPERM: f"there is no permission to read or write it; {_ALLOW}",
    errno.EROFS: "the disk can only be read; work in a copy of the project on another one",
    errno.EISDIR: "a folder stands where a file is expected; move it away",
    errno.ENOTDIR: "a file stands in the place of its folder; move it away",
    errno.EEXIST: "a file stands in the place of its folder; move it away",
    errno.ENOTEMPTY: "a folder that is not empty stands in its place; move it away",
    errno.ENAMETOOLONG: "the name is too long for the disk; shorten it",
    errno.EMFILE: "too many files are open; allow more with `ulimit -n 4096` and run it again",
    errno.ENFILE: "too many files are open; close other programs and run it again",
    errno.EIO: "the disk fails to read or write it; copy the project to another disk",
}
_NUMBER = re.compile(r"\(os error (\d+)\)|\[errno (\d+)\]", re.IGNORECASE)
# torch says neither which file nor why; its own text for it differs from place to place.
_TORCH_WRITES = re.compile(r"iostream error|PytorchStreamWriter|file write failed")
_TORCH_MEMORY = re.compile(r"allocate memory|out of memory|ALLOC_FAILED|bad_alloc|failed to map")


def sentence(error: BaseException, path: Path | None = None) -> str | None:
    """One sentence for `error`, which befell the file `path`; None where it is none of these.

    Without `path`, the file that the error itself names.
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return STOPPED
    if isinstance(error, BrokenPipeError):
        return "what reads this output (`| head`, say) ended before all of it was written."
    path = path or _named(error)
    where = f"{path}: " if path else ""
    if out_of_memory(error):
        return f"{where}{_MEMORY}"
    if number := _number(error):
        return f"{where or 'A file, or the output: '}{_what(number, path)}."
    if cannot_write(error):
        return f"{where or 'A file of the model: '}it cannot be written; {_MAKE_ROOM}."
    if isinstance(error, UnicodeEncodeError):
        about = error.object[max(0, error.start - 20) : error.end + 20]
        return f"{where}{about!r} holds bytes that are no UTF-8; rename or rewrite it."
    if path and (wrong := _content(error)):
        return f"{path}{wrong}; {again(path)}."
    if _is(error, "hydra.errors.HydraException", "omegaconf.errors.OmegaConfBaseException"):
        return f"conf/ does not compose ({_first_line(error)}); mend what it names."
    if isinstance(error, OSError):  # libraries raise it with words of their own
        return f"{where}{_first_line(error)}; mend that and run the same command again."
    return sentence(error.__cause__, path) if error.__cause__ else None


def again(path: Path) -> str:
    """How a file of ours is had anew."""
    if path.name == "params.yaml":
        return "`python conf/compose.py` writes it anew (data=mine behind it: for your own chats)"
    if "conf" in path.parts:
        return "mend it, or `git checkout conf` brings the project's own back"
    if path.suffix == ".yaml":
        return "mend it there"
    return "remove it, and `dvc repro` makes it anew"


def _what(number: int, path: Path | None) -> str:
    if number == errno.ENOENT:
        remedy = again(path).removeprefix("remove it, and ") if path else "make it"
        return f"there is no such file or folder; {remedy}"
    fallback = f"{os.strerror(number)}; mend that and run the same command again"
    return _SYSTEM.get(number, fallback)


def _named(error: BaseException) -> Path | None:
    name = getattr(error, "filename", None) or getattr(
        getattr(error, "problem_mark", None), "name", None
    )
    return Path(os.fsdecode(name)) if isinstance(name, str | bytes) else None


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno:
        return error.errno
    match = _NUMBER.search(str(error))
    return int(match[1] or match[2]) if match else None


def out_of_memory(error: BaseException) -> bool:
    """Whether the machine's memory or the card's did not suffice."""
    by_text = isinstance(error, RuntimeError | ImportError) and _TORCH_MEMORY.search(str(error))
    return (
        isinstance(error, MemoryError)
        or _is(error, "torch.OutOfMemoryError")
        or bool(by_text)
        or _number(error) == errno.ENOMEM
    )


def cannot_write(error: BaseException) -> bool:
    """Whether the disk has no room, also where torch does not say so."""
    by_text = isinstance(error, RuntimeError) and _TORCH_WRITES.search(str(error))
    return bool(by_text) or _number(error) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _content(error: BaseException) -> str:
    """What is wrong inside a file, to stand after its name; "" where that is not the matter."""
    mark = getattr(error, "problem_mark", None)
    line = getattr(error, "lineno", None) or (mark and mark.line + 1)
    where = f" (line {line})" if line else ""
    if _is(error, "json.decoder.JSONDecodeError"):
        return f"{where} is not valid JSON"
    if _is(error, "yaml.error.YAMLError", "ruamel.yaml.error.YAMLError"):
        return f"{where} is not valid YAML"
    if isinstance(error, UnicodeDecodeError):
        return " is not text in UTF-8"
    if isinstance(error, RecursionError):
        return " is nested too deeply"
    if _is(error, "pyarrow.lib.ArrowException", "safetensors._safetensors_rust.SafetensorError"):
        return f" is damaged, or not what espejo wrote ({_first_line(error)})"
    return ""


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".;:")[:200]


def _is(error: BaseException, *names: str) -> bool:
    """Whether it is of a class of that name: to import the libraries would take seconds."""
    return any(f"{kind.__module__}.{kind.__qualname__}" in names for kind in type(error).__mro__)


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Raise what goes wrong with the file `path` inside as a UserError that names it."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        message = sentence(error, path)
        if message is None:
            raise
        raise UserError(message) from error


@contextmanager
def told(name: str) -> Iterator[None]:
    """Run a program: what goes wrong inside ends it with one sentence after its `name`.

    Ctrl-C ends it with status 130, all else with 1. A defect of ours keeps its stack trace.
    """
    if callable(signal.getsignal(signal.SIGINT)):  # and not ignored, as of what runs behind a shell
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdin, sys.stdout):  # stderr is so already
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that writes ASCII only
    try:
        try:
            yield
        finally:
            _flush()
    except BaseException as error:
        _end(name, error)
        raise


def guard(name: str) -> None:
    """Before `told`, while modules are imported, which may take seconds: end in the same way.

    Ctrl-C ends it there and then: libraries make ImportErrors of it, or go on.
    """

    def stop(*_: object) -> None:
        os.write(2, f"\n{name}: {STOPPED}\n\n".encode())
        os._exit(130)

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        _end(name, error)
        sys.__excepthook__(kind, error, trace)

    sys.excepthook = hook
    if callable(signal.getsignal(signal.SIGINT)):
        signal.signal(signal.SIGINT, stop)


def _flush() -> None:
    """Write what waits in standard output now: where Python ends, nobody could be told."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError as error:
        # Python would try once more when it ends, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        error.filename = "standard output"
        raise


def _end(name: str, error: BaseException) -> None:
    """Exit with the sentence for `error`; without one, what is raised goes on, and has a note."""
    behind = [error]
    while before := behind[-1].__cause__ or behind[-1].__context__:
        behind.append(before)
    # In the place of these two typer exits, and a library may raise something of its own.
    quiet = KeyboardInterrupt | BrokenPipeError
    silent = [cause for cause in behind if isinstance(cause, quiet)]
    stopped = any(isinstance(cause, KeyboardInterrupt) for cause in silent)
    message = sentence(error) or next(map(sentence, silent), None)
    if message is None:
        # By SystemExit typer has said what was wrong; and a hook may follow after `told`.
        if not isinstance(error, SystemExit) and _DEFECT not in getattr(error, "__notes__", ()):
            error.add_note(_DEFECT)
        return
    message = escaping.terminal(f"\n{name}: {message}\n", lines=True)
    if out_of_memory(error):  # whatever else runs at the end would want memory too
        os.write(2, message.encode())
        os._exit(1)
    if not stopped:
        sys.exit(message)
    # At the very end, as by sys.exit: of several processes the others may have to keep silent.
    atexit.register(print, message, file=sys.stderr)
    sys.exit(130)
