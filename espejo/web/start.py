"""`espejo web`: what must be right before the model is loaded, and the start. Loads no torch."""

import errno
import ipaddress
import os
import socket
import sys
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import typer
from rich.console import Console

from espejo.chat import decline
from espejo.chat.decline import Blocklist
from espejo.core import escaping
from espejo.core.errors import UserError
from espejo.core.stage import params
from espejo.model.config import GenerateConfig

LOOPBACK = ("127.0.0.1", "localhost")
PASSWORD = "ESPEJO_PASSWORD"
MIN_PASSWORD = 8  # characters
_NEXT_PORTS = 100


def check_language(language: str | None) -> None:
    """Raise UserError for a language in which there is no page."""
    if language not in (None, "en", "es"):
        raise UserError(f"There is no page in {language}: --language takes en or es.")


def listen(host: str, port: int) -> socket.socket:
    """A socket on this address; raises UserError naming the next free port when it is in use."""
    listening = _bound(host, port)
    if listening is None:
        ports = range(port + 1, min(port + 1 + _NEXT_PORTS, 65536))
        free = next((other for other in ports if _is_free(host, other)), None)
        again = f"run it with --port {free}, which is free" if free else "choose another --port"
        raise UserError(f"Port {port} is in use, perhaps by another `espejo web`: {again}.")
    return listening


def _bound(host: str, port: int) -> socket.socket | None:
    """A socket that holds the port; None where somebody else does."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(1024)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            return None
        if error.errno == errno.EACCES:
            raise UserError(
                f"Port {port} needs the rights of an administrator: choose a --port from 1024 on."
            ) from error
        raise UserError(
            f"{host} is no IPv4 address of this machine: --host takes one of them, or 0.0.0.0 for "
            "all."
        ) from error
    return sock


def _is_free(host: str, port: int) -> bool:
    sock = _bound(host, port)
    if sock:
        sock.close()
    return sock is not None


def password(host: str, environment: Mapping[str, str]) -> str | None:
    """The password of a page that other machines reach; None on loopback, where nobody else does.

    From the environment, or typed: on a command line others on this machine would read it.
    """
    secret = environment.get(PASSWORD, "")
    if not secret:
        if is_loopback(host):
            return None
        if not sys.stdin.isatty():
            raise UserError(
                f"A page on {host} needs a password: put it in the environment as {PASSWORD}, or "
                "run the command in a terminal, where it asks."
            )
        secret = typer.prompt("Password of the page", hide_input=True, confirmation_prompt=True)
    if len(secret) < MIN_PASSWORD:
        raise UserError(
            f"The password of the page is too short: {MIN_PASSWORD} characters or more."
        )
    return secret


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def names(host: str) -> list[str]:
    """The names under which a browser may ask for the page."""
    if is_loopback(host):
        return [*LOOPBACK, host]
    if host != "0.0.0.0":
        return [host, *LOOPBACK]
    addresses = [
        address.address
        for of_one in psutil.net_if_addrs().values()
        for address in of_one
        if address.family == socket.AF_INET
    ]
    name = socket.gethostname()
    return [*LOOPBACK, *addresses, name, f"{name}.local"]


def web(
    model: Path,
    settings: tuple[GenerateConfig, Blocklist],
    listening: socket.socket,
    host: str,
    language: str | None,
    pauses: bool,
    typed_password: str | None,
    opens: bool,
    seed: int | None,
) -> None:
    """Load the model, and serve the page until Ctrl-C."""
    console = Console(highlight=False)
    report = model.parent / "reports" / "report.html"
    own = "127.0.0.1" if host == "0.0.0.0" else host
    address = f"http://{own}:{listening.getsockname()[1]}"

    def ready() -> None:
        line = escaping.terminal(f"espejo web: {address}  (Ctrl-C ends it)")
        console.print(line, markup=False, soft_wrap=True)
        if opens:
            webbrowser.open(address)

    _serve(
        model,
        settings,
        listening,
        console,
        ready,
        seed,
        hosts=names(host),
        pauses=pauses,
        language=language,
        password=typed_password,
        # It quotes chats and names people: not for whoever else has the password.
        report=report if is_loopback(host) and report.is_file() else None,
    )


def space(model: Path, environment: Mapping[str, str]) -> None:
    """Serve the page as a Hugging Face Space does: behind the Space's secret, in the hub's frame.

    Raises UserError without the secret.
    """
    secret = environment.get(PASSWORD, "")
    if len(secret) < MIN_PASSWORD:
        raise UserError(
            f"The Space needs a secret called {PASSWORD}, of {MIN_PASSWORD} characters or more: "
            "add it in its settings."
        )
    listening = listen("0.0.0.0", int(environment.get("PORT", 7860)))
    console = Console(highlight=False)
    # Behind the hub's server, which alone reaches the Space, no name can be bound to it anew.
    _serve(
        model,
        settings(),
        listening,
        console,
        lambda: None,
        None,
        ["*"],
        password=secret,
        framed=True,
    )


def settings() -> tuple[GenerateConfig, Blocklist]:
    """How replies are generated, and what is declined, by params.yaml."""
    return params(GenerateConfig), decline.read()


def _serve(
    model: Path,
    settings: tuple[GenerateConfig, Blocklist],
    listening: socket.socket,
    console: Console,
    ready: Callable[[], None],
    seed: int | None,
    hosts: Sequence[str],
    **options: Any,  # noqa: ANN401
) -> None:
    """Load the model and serve its page; `options` are those of `server.application`."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before Gradio reads it
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    with console.status("Loading the model …"):
        from transformers import set_seed
        from transformers.utils.logging import disable_progress_bar

        from espejo.chat.local import LocalEngine
        from espejo.web import server

        disable_progress_bar()  # it would write into the line below
        engine = LocalEngine(model)
        if seed is not None:
            set_seed(seed)
        site = server.application(engine, *settings, hosts, **options)
    ready()
    try:
        server.run(site, listening)
    finally:
        engine.close()
