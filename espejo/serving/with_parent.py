"""Run a program that ends when the one who started it ends: `with_parent.py PROGRAM ARGUMENT …`.

Whoever starts this script holds the other end of its standard input. The system closes it however
they end, killed or not; then the program is killed. A script by itself: it imports nothing of ours.
"""

import os
import subprocess
import sys
import threading


def main() -> int:
    """Run the program to its end; returns its exit status."""
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=_kill_at_the_end, args=(child,), daemon=True).start()
    status = child.wait()
    if status < 0:
        print(f"ended by signal {-status}", file=sys.stderr)
    return abs(status)


def _kill_at_the_end(child: subprocess.Popen) -> None:
    os.read(0, 1)  # nothing is ever written: it returns when the other end is closed
    child.kill()


if __name__ == "__main__":
    sys.exit(main())
