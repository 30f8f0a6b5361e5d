"""`espejo serve`: starts a program that serves the model with OpenAI's API, on loopback."""

import http.client
import importlib.util
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from espejo.core.errors import UserError
from espejo.model import manifest as manifests
from espejo.model.config import GenerateConfig
from espejo.serving import exports, llama_cpp, ports

NAME = "espejo"  # of the model, for clients
PORT, OLLAMA_PORT = 8000, 11434
KEY = "ESPEJO_API_KEY"
_CONTEXT = 4096  # tokens of prompt and reply
_LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM makes room for


@dataclass(frozen=True)
class Job:
    """What is to be served, and how."""

    model: Path
    generate: GenerateConfig
    port: int | None = None
    checkout: Path | None = None
    # Everybody on this computer may reach a port of loopback: the key keeps them out.
    key: str = field(default_factory=lambda: os.environ.get(KEY) or secrets.token_urlsafe())


def start(engine: str | None, job: Job) -> None:
    """Start `engine`, or the first of ENGINES that is installed and has its export.

    It takes the place of this process. Raises UserError when the engine or its export is missing.
    """
    installed = [name for name in ENGINES if _is_installed(name, job)]
    if engine is None and not installed:
        raise UserError(
            "No engine is installed here: neither llama.cpp (llama-server on the PATH, or "
            f"xllamacpp in {llama_cpp.FOLDER}), nor ollama, nor vllm, nor transformers with "
            "openai, fastapi and uvicorn. Run `make setup` where there is a network."
        )
    if engine is None:
        ready = [name for name in installed if _is_exported(name)]
        engine = (ready or installed)[0]
    elif engine not in installed:
        if engine == "llama.cpp":
            llama_cpp.find(job.checkout)  # says what is missing
        raise UserError(
            f"{engine} is not installed here: install it, or leave --engine out and take what is "
            f"({', '.join(installed) or 'nothing'})."
        )
    ENGINES[engine](job)


def _is_installed(engine: str, job: Job) -> bool:
    if engine == "llama.cpp":
        try:
            return bool(llama_cpp.find(job.checkout))
        except UserError:
            return False
    if engine == "transformers":
        modules = ("transformers", "openai", "fastapi", "uvicorn")
        return all(importlib.util.find_spec(name) for name in modules)
    return shutil.which(engine) is not None


def _is_exported(engine: str) -> bool:
    names = {"llama.cpp": exports.GGUF, "ollama": ("ollama",)}.get(engine, (exports.MERGED,))
    return any((exports.FOLDER / name).is_dir() for name in names)


def _llama_cpp(job: Job) -> None:
    gguf = exports.newest_gguf(job.model)
    port = ports.choose(job.port or PORT)
    generate = job.generate
    settings = {
        "--samplers": "penalties;temperature;top_k;top_p",  # as transformers, and no others
        "--repeat-penalty": generate.repetition_penalty,
        "--repeat-last-n": _CONTEXT,
        "--temp": generate.temperature,
        "--top-k": generate.top_k,
        "--top-p": generate.top_p,
        "--min-p": 0,
        "--n-predict": generate.max_new_tokens,
    }
    command = [
        *llama_cpp.find(job.checkout),
        *llama_cpp.options(gguf, port, _CONTEXT),
        *("--alias", NAME, "--log-verbosity", "1"),  # errors: the key below stays in sight
        *(str(part) for setting in settings.items() for part in setting),
        *(part for stop in _tags(job.model) for part in ("--reverse-prompt", stop)),
    ]
    _say(f"llama.cpp serves {gguf}", port, job.key)
    _become(command, llama_cpp.environment(job.key))


def _tags(model: Path) -> list[str]:
    """The tags of turns, at which a reply ends too; the end tokens are in the GGUF file."""
    tags = manifests.read(model)["format"]["tags"] or {}
    names = ("end", "other", "author") if tags.get("reply") is not None else ()
    return [tags[name].strip() for name in names if tags.get(name)]


def _transformers(job: Job) -> None:
    merged = exports.folder(exports.MERGED, job.model)
    port = ports.choose(job.port or PORT)
    script = Path(__file__).parent / "transformers_server.py"
    # -P: the modules beside the script are not to be taken for others of their names.
    command = [
        *(sys.executable, "-P", str(script), "serve", str(merged)),
        *("--host", ports.HOST, "--port", str(port), "--device", "cpu"),
    ]
    _say(f"transformers serves {merged}", port, job.key, str(merged))
    _become(command, {KEY: job.key, "HF_HUB_OFFLINE": "1"})


def _vllm(job: Job) -> None:
    merged = exports.folder(exports.MERGED, job.model)
    manifest = manifests.read(job.model)
    generate, model, train = job.generate, manifest["model"], manifest["train"]
    port = ports.choose(job.port or PORT)
    settings = {
        "temperature": generate.temperature,
        "top_k": generate.top_k,
        "top_p": generate.top_p,
        "repetition_penalty": generate.repetition_penalty,
        "max_new_tokens": generate.max_new_tokens,
    }
    options = [
        *("--host", ports.HOST, "--port", str(port), "--max-model-len", str(_CONTEXT)),
        *("--generation-config", "vllm", "--override-generation-config", json.dumps(settings)),
    ]
    if train["method"] == "lora" and not model["added_tokens"]:  # vLLM adds no tokens to a base
        rank = next(size for size in _LORA_RANKS if size >= train["rank"])
        command = [
            *("vllm", "serve", *_base(manifest), "--enable-lora", "--max-lora-rank", str(rank)),
            *("--lora-modules", f"{NAME}={job.model}"),
            *("--chat-template", str(merged / "chat_template.jinja"), *options),
        ]
    else:
        command = ["vllm", "serve", str(merged), "--served-model-name", NAME, *options]
    _say(f"vLLM serves {job.model}", port, job.key)
    private = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    _become(command, {"VLLM_API_KEY": job.key, **private})


def _base(manifest: Mapping[str, Any]) -> list[str]:
    """The base model, as arguments of `vllm serve`."""
    model = manifest["model"]
    if model["source"] == "bundled":
        from espejo.model import bundled  # loads torch, for seconds

        return [str(bundled.folder(model["id"]))]
    revision = manifest.get("resolved_revision", model["revision"])
    return [model["id"], *(("--revision", revision) if revision else ())]


def _ollama(job: Job) -> None:
    """Ollama copies the model into a store of its own, and asks for no key.

    It refuses other sites' pages by itself. Where it runs already, this only adds the model.
    """
    folder = exports.folder("ollama", job.model)
    port = job.port or OLLAMA_PORT
    environment = {**os.environ, "OLLAMA_HOST": f"{ports.HOST}:{port}"}
    if _is_ollama(port):
        _add_to_ollama(folder, port, environment)
        return
    ports.choose(port)
    # Whether Ctrl-C, `kill` or a failure ends espejo: the server that it started ends with it.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    server = subprocess.Popen(["ollama", "serve"], env=environment)
    try:
        while not _is_ollama(port):
            if server.poll() is not None:
                raise UserError("`ollama serve` ended at once; it says why above.")
            time.sleep(0.1)
        _add_to_ollama(folder, port, environment)
        server.wait()
    finally:
        server.terminate()
        server.wait()


def _add_to_ollama(folder: Path, port: int, environment: Mapping[str, str]) -> None:
    create = ["ollama", "create", NAME, "-f", "Modelfile"]
    created = subprocess.run(create, cwd=folder, env=environment)
    if created.returncode:
        raise UserError("`ollama create` failed; it says why above.")
    _say(f"Ollama serves {folder}", port, "ollama")


def _is_ollama(port: int) -> bool:
    """Whether Ollama listens at `port`."""
    connection = http.client.HTTPConnection(ports.HOST, port, timeout=5)
    try:
        connection.request("GET", "/api/version")
        return "version" in json.load(connection.getresponse())
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()


ENGINES: Mapping[str, Callable[[Job], None]] = {
    "llama.cpp": _llama_cpp,
    "ollama": _ollama,
    "vllm": _vllm,
    "transformers": _transformers,
}


def _say(what: str, port: int, key: str, model: str = NAME) -> None:
    """Print what a client of OpenAI's API needs: three lines."""
    print(
        f"{what}, for this computer only, until Ctrl-C.\n"
        "It loads for some seconds, in which a client gets status 503. For the client:"
    )
    print(f'base_url="http://{ports.HOST}:{port}/v1"\napi_key="{key}"\nmodel="{model}"', flush=True)


def _become(command: list[str], environment: Mapping[str, str]) -> None:
    """Run `command` in place of this process."""
    os.execvpe(command[0], command, {**os.environ, **environment})
