"""Ports of 127.0.0.1, which only programs on this computer can reach."""

import socket
import sys

from espejo.core.errors import UserError

HOST = "127.0.0.1"


def choose(port: int | None = None) -> int:
    """`port` if nothing listens there; without it any free one.

    Raises UserError, naming the next free port, when another program listens there already.
    """
    if port is None:
        return _listen(0)
    try:
        return _listen(port)
    except PermissionError as error:
        raise UserError(f"Port {port} is kept for the system: choose one from 1024 on.") from error
    except OSError as error:
        raise UserError(
            f"Port {port} is in use by another program: end that one, or add `--port "
            f"{_next_free(port)}`, which is free."
        ) from error


def _next_free(port: int) -> int:
    for other in range(port + 1, 65536):
        try:
            return _listen(other)
        except OSError:
            continue
    return _listen(0)


def _listen(port: int) -> int:
    """The port that one listened on for a moment: `port`, or for 0 a free one."""
    with socket.socket() as listener:
        if sys.platform != "win32":  # connections that have just ended do not count
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
        return listener.getsockname()[1]
