"""One-sentence messages for errors caused by the machine, a file or the user.

A message names the file, what is wrong with it, and what to do. An error that is not listed here
is a defect of espejo and keeps its stack trace.
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
# By error number, which Python, Arrow and Rust all report: what is wrong; what to do.
_SYSTEM = {
    errno.ENOSPC: f"the disk is full; {_MAKE_ROOM}",
    errno.EDQUOT: f"your share of the disk is used up; {_MAKE_ROOM}",
    errno.EFBIG: f"it grew larger than the disk or `ulimit -f` allows; {_MAKE_ROOM}",
    errno.EACCES: f"there is no permission to read or write it; {_ALLOW}",
    errno.EPERM: f"there is no permission to read or write it; {_ALLOW}",
    errno.EROFS: "the disk can only be read; work in a copy of the project on another one",
    errno.EISDIR: "there is a folder where a file is expected; move it away",
    errno.ENOTDIR: "there is a file where its folder should be; move it away",
    errno.EEXIST: "there is a file where its folder should be; move it away",
    errno.ENOTEMPTY: "there is a folder in its place that is not empty; move it away",
    errno.ENAMETOOLONG: "the name is too long for the disk; shorten it",
    errno.EMFILE: "too many files are open; allow more with `ulimit -n 4096` and run it again",
    errno.ENFILE: "too many files are open; close other programs and run it again",
    errno.EIO: "the disk fails to read or write it; copy the project to another disk",
}
_NUMBER = re.compile(r"\(os error (\d+)\)|\[errno (\d+)\]", re.IGNORECASE)
# torch names neither the file nor the reason, and words it differently in different places.
_TORCH_WRITES = re.compile(r"iostream error|PytorchStreamWriter|file write failed")
_TORCH_MEMORY = re.compile(r"allocate memory|out of memory|ALLOC_FAILED|bad_alloc|failed to map")


def sentence(error: BaseException, path: Path | None = None) -> str | None:
    """One sentence for an `error` about the file `path`; None for an error of another kind.

    Without `path` the message is about the file that the error itself names.
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return STOPPED
    if isinstance(error, BrokenPipeError):
        return "the program that reads this output (`| head`, say) ended before all was written."
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
        return f"conf/ does not compose ({_first_line(error)}); fix what it names."
    if isinstance(error, OSError):  # libraries raise it with words of their own
        return f"{where}{_first_line(error)}; fix that and run the same command again."
    return sentence(error.__cause__, path) if error.__cause__ else None


def again(path: Path) -> str:
    """How to fix or recreate a file that espejo wrote."""
    if path.name == "params.yaml":
        return f"`python conf/compose.py` writes {path} again (for your own chats, add data=mine)"
    if "conf" in path.parts:
        return "fix it, or restore the project's own with `git checkout conf`"
    if path.suffix == ".yaml":
        return "fix it there"
    if path.parts[:1] in (("metrics",), ("plots",)):  # which `dvc checkout` does not bring back
        return (
            "remove it, and `dvc repro` makes it again (after a run that failed: `dvc exp apply "
            "NAME`, and `dvc exp list` has the names)"
        )
    return "remove it, and `dvc repro` makes it again"


def _what(number: int, path: Path | None) -> str:
    if number == errno.ENOENT:
        remedy = again(path).removeprefix("remove it, and ") if path else "make it"
        return f"there is no such file or folder; {remedy}"
    fallback = f"{os.strerror(number)}; fix that and run the same command again"
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
    """Whether the machine or the graphics card ran out of memory."""
    by_text = isinstance(error, RuntimeError | ImportError) and _TORCH_MEMORY.search(str(error))
    return (
        isinstance(error, MemoryError)
        or _is(error, "torch.OutOfMemoryError")
        or bool(by_text)
        or _number(error) == errno.ENOMEM
    )


def cannot_write(error: BaseException) -> bool:
    """Whether the disk is full, also where torch only says that a write failed."""
    by_text = isinstance(error, RuntimeError) and _TORCH_WRITES.search(str(error))
    return bool(by_text) or _number(error) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _content(error: BaseException) -> str:
    """What is wrong with a file's content, to follow its name; "" for errors of another kind."""
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
    """Whether the error's class has one of the `names`: importing the libraries takes seconds."""
    return any(f"{kind.__module__}.{kind.__qualname__}" in names for kind in type(error).__mro__)


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Turn errors raised inside into a UserError about the file `path`."""
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
    """Run a program: an error inside ends it with its `name` and one sentence.

    Ctrl-C exits with status 130, any other error with 1. A defect of ours keeps its stack trace.
    """
    if callable(signal.getsignal(signal.SIGINT)):  # not ignored, as it is for background jobs
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdin, sys.stdout):  # stderr does this by default
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for terminals that only take ASCII
    try:
        try:
            yield
        finally:
            _flush()
    except BaseException as error:
        _end(name, error)
        raise


def guard(name: str) -> None:
    """Handle errors as `told` does while modules are still being imported, which may take seconds.

    Ctrl-C exits at once: libraries would turn it into an ImportError, or ignore it.
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
    """Write buffered output now, while an error in writing it can still be reported."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError as error:
        # Python would try again at exit, and print an error of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        error.filename = "standard output"
        raise


def _end(name: str, error: BaseException) -> None:
    """Exit with the sentence for `error`; an error without one gets a note and stays raised."""
    causes = [error]
    while before := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(before)
    # typer exits when it meets one of these two, and a library may raise an error of its own.
    quiet = KeyboardInterrupt | BrokenPipeError
    silent = [cause for cause in causes if isinstance(cause, quiet)]
    stopped = any(isinstance(cause, KeyboardInterrupt) for cause in silent)
    message = sentence(error) or next(map(sentence, silent), None)
    if message is None:
        # Before a SystemExit typer has printed the reason; and a hook may follow `told`.
        if not isinstance(error, SystemExit) and _DEFECT not in getattr(error, "__notes__", ()):
            error.add_note(_DEFECT)
        return
    message = escaping.terminal(f"\n{name}: {message}\n", lines=True)
    if out_of_memory(error):  # exit handlers would need memory too
        os.write(2, message.encode())
        os._exit(1)
    if not stopped:
        sys.exit(message)
    # At the very end, as sys.exit does: in distributed training only rank 0 may print.
    atexit.register(print, message, file=sys.stderr)
    sys.exit(130)
