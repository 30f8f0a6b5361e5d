"""llama.cpp on this computer: finding its server, and running it for as long as this process.

What it serves is private, so it listens on 127.0.0.1 only, and asks for a key. Without the key a
web page of another site, which a browser lets send requests to 127.0.0.1 (and, by DNS rebinding,
read what comes back), gets nothing; nor does another person who uses this computer.
"""

import http.client
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from espejo.core import escaping
from espejo.core.errors import UserError
from espejo.serving import ports

# Where `make setup` puts xllamacpp; never on the path of this process.
FOLDER = Path(sys.prefix) / "llama.cpp"
_HERE = Path(__file__).parent
_PROGRAM = "llama-server"
# A process has ended a moment after its connections have.
_END_SECONDS = 5
# What memory (MB) conversations that wait for their turn may take.
_CACHE_MB = 1024
_MEMORY = re.compile(r"alloc|out of memory|bad_alloc|ended by signal 9", re.IGNORECASE)
_REASON = re.compile(r"error loading model: (.+)|(ended by signal \d+)|error: (.+)")


def find(checkout: Path | None = None) -> list[str]:
    """The command of llama.cpp's server, to which options are added.

    That of the llama.cpp in the folder `checkout`; else the program llama-server on the PATH; else
    the module xllamacpp. Raises UserError when there is none.
    """
    if checkout is not None:
        folders = (checkout / "build" / "bin", checkout / "build" / "bin" / "Release", checkout)
        program = shutil.which(_PROGRAM, path=os.pathsep.join(map(str, folders)))
        if program is None:
            raise UserError(
                f"{checkout} holds no program {_PROGRAM}: build it there (`cmake -B build && cmake "
                f"--build build --target {_PROGRAM}`), or leave --llama-cpp out."
            )
        return [str(Path(program).resolve())]
    if program := shutil.which(_PROGRAM):
        return [program]
    if (FOLDER / "xllamacpp").is_dir():
        # -P: the modules beside the script are not to be taken for others of their names.
        return [sys.executable, "-P", str(_HERE / "xllamacpp_server.py")]
    raise UserError(
        f"There is no llama.cpp here: neither a program {_PROGRAM} on the PATH nor xllamacpp in "
        f"{FOLDER}. Run `make setup` where there is a network, or install llama.cpp."
    )


def options(gguf: Path, port: int, context: int) -> list[str]:
    """Options for serving the model `gguf`, one request at a time of up to `context` tokens."""
    return [
        *("--model", str(gguf), "--host", ports.HOST, "--port", str(port)),
        *("--ctx-size", str(context), "--parallel", "1", "--no-webui"),
        # Else a model with a sliding window reads a conversation again once it is longer than that.
        "--swa-full",
    ]


def environment(key: str) -> dict[str, str]:
    """The environment of a server that answers whoever has the `key`.

    Others see the arguments of a process, not its environment. What an older llama-server does not
    know stands here too: it refuses unknown options, and ignores unknown variables.
    """
    return {
        **os.environ,
        "PYTHONPATH": str(FOLDER),
        "LLAMA_API_KEY": key,
        "LLAMA_ARG_CORS_ORIGINS": "localhost",
        "LLAMA_ARG_CACHE_RAM": str(_CACHE_MB),
    }


class Server:
    """A llama.cpp server of this process: started and ready; it ends when this process ends.

    `more` are further options of llama-server. Raises UserError when there is no llama.cpp, or it
    cannot run the file `gguf`.
    """

    def __init__(
        self, gguf: Path, context: int, more: Sequence[str] = (), checkout: Path | None = None
    ) -> None:
        command = find(checkout)
        self.gguf, self.port, self._key = gguf, ports.choose(), secrets.token_urlsafe()
        self._log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  # see close
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-P", str(_HERE / "with_parent.py"), *command),
                *options(gguf, self.port, context),
                *more,
            ],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            env=environment(self._key),
            start_new_session=True,  # Ctrl-C in the terminal ends a reply, not the server
        )
        try:
            self.properties = self._wait()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the server."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()
        self._log.close()

    def stream(self, path: str, body: Mapping[str, Any]) -> Generator[dict[str, Any], None, None]:
        """The parts of the answer to `body`, as they come; closed, the server stops writing.

        Raises UserError when the server refuses the request, or has ended.
        """
        try:
            with self._answer("POST", path, json.dumps({**body, "stream": True})) as answer:
                if answer.status != http.client.OK:
                    raise _refused(answer.read())
                for line in answer:
                    if line.startswith(b"data: {") and line.endswith(b"\n"):
                        part = json.loads(line.removeprefix(b"data: "))
                        if "error" in part:
                            raise _refused(line.removeprefix(b"data: "))
                        yield part
                        if part.get("stop"):
                            return
                # http.client takes a connection that breaks off for the end of a line and of all.
                raise self._ended()
        except (OSError, http.client.HTTPException) as error:
            raise self._ended() from error

    def ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The whole answer to `body`, which has probabilities of tokens that `stream` leaves out.

        Raises UserError as `stream` does.
        """
        try:
            with self._answer("POST", path, json.dumps(body)) as answer:
                text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._ended() from error
        if answer.status != http.client.OK:
            raise _refused(text)
        return json.loads(text)

    def _wait(self) -> dict[str, Any]:
        """What the server says of itself (/props) as soon as the model is loaded."""
        while self._process.poll() is None:
            try:
                with self._answer("GET", "/props") as answer:
                    if answer.status == http.client.OK:
                        return json.load(answer)
            except (OSError, http.client.HTTPException):
                pass  # it does not listen yet
            time.sleep(0.05)
        raise self._ended()

    @contextmanager
    def _answer(
        self, method: str, path: str, body: str | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        # Not through urllib or httpx, which would send it to the proxy of the environment.
        connection = http.client.HTTPConnection(ports.HOST, self.port)
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, body, headers)
            with connection.getresponse() as answer:
                yield answer
        finally:
            connection.close()

    def _ended(self) -> UserError:
        """Why the server has ended, from its log; it ends now if it only broke off."""
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            assert self._process.stdin
            self._process.stdin.close()
            self._process.wait()
            return UserError("llama.cpp broke off a reply: run the same command again.")
        self._log.seek(0)
        log = self._log.read()
        lines = log.strip().splitlines() or ["it wrote nothing"]
        match = _REASON.search(log)
        reason = escaping.terminal(next(filter(None, match.groups())) if match else lines[-1])
        if _MEMORY.search(log):
            return UserError(
                f"There is not enough memory to run {self.gguf} ({reason}): close other programs, "
                "or export a smaller model."
            )
        return UserError(
            f"llama.cpp cannot run {self.gguf} ({reason}): write the file again with `espejo "
            "export --to gguf`."
        )


def _refused(answer: bytes) -> UserError:
    """The error that stands in an `answer` of the server."""
    text = answer.decode(errors="replace")
    with suppress(ValueError, KeyError, TypeError):
        text = json.loads(text)["error"]["message"]
    return UserError(f"llama.cpp refused what it was asked: {escaping.terminal(text[:300])}.")
