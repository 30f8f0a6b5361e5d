"""Write the tables of docs/licences.md: the licences of the models of conf/ and of the packages.

    python -m docs.licences      # or: make docs

A package's licence is what it says itself, in the metadata that was installed with it.
"""

import re
import sys
from collections.abc import Iterator
from email.message import Message
from importlib.metadata import metadata
from pathlib import Path
from typing import cast

from hydra import compose, initialize_config_dir
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "licences.md"
BLOCK = re.compile(r"<!-- fill (models|packages) -->\n.*?<!-- end -->", re.DOTALL)
PIN = re.compile(r"^([\w.-]+)==([\w.]+)", re.MULTILINE)

GEMMA = "[Gemma Terms of Use](https://ai.google.dev/gemma/terms)"
LLAMA2, LLAMA31, LLAMA32 = (f"Llama {version} Community License" for version in ("2", "3.1", "3.2"))
# By model.id: what its page on the hub names, or NOTICE of a bundled one. New models go here too.
MODELS = {
    "gemma3": GEMMA,
    "smollm2": "Apache-2.0",
    "BSC-LT/salamandra-2b-instruct": "Apache-2.0",
    "DeepESP/gpt2-spanish": "MIT",
    "HuggingFaceTB/SmolLM3-3B": "Apache-2.0",
    "Qwen/Qwen3-0.6B": "Apache-2.0",
    "Qwen/Qwen3-1.7B": "Apache-2.0",
    "Qwen/Qwen3.5-2B": "Apache-2.0",
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": "MIT",
    "meta-llama/Llama-2-7b-chat-hf": LLAMA2,
    "meta-llama/Llama-3.1-8B-Instruct": LLAMA31,
    "meta-llama/Llama-3.2-1B-Instruct": LLAMA32,
    "microsoft/Phi-3-mini-4k-instruct": "MIT",
    "openai-community/gpt2": "MIT",
    "mistralai/Mistral-7B-Instruct-v0.3": "Apache-2.0",
    "utter-project/EuroLLM-1.7B-Instruct": "Apache-2.0",
}
BUNDLED = {"gemma3": "Gemma 3 270M", "smollm2": "SmolLM2-135M-Instruct"}


def chosen() -> dict[str, str]:
    """{name in conf/model: model.id}."""
    files = sorted((ROOT / "conf" / "model").glob("[!_]*.yaml"))
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        return {file.stem: compose("config", [f"model={file.stem}"]).model.id for file in files}


def models() -> Iterator[str]:
    """A row a model; exits where no licence is known of one."""
    yield "| `model=` | model | licence |"
    yield "| --- | --- | --- |"
    for name, model in chosen().items():
        if model not in MODELS:
            sys.exit(f"conf/model/{name}.yaml: docs/licences.py has no licence of {model} yet.")
        page = f"[{model}](https://huggingface.co/{model})"
        yield f"| `{name}` | {BUNDLED.get(model, page)} | {MODELS[model]} |"


def pins() -> dict[str, str]:
    """{package: version} of requirements.lock, and torch of the Makefile."""
    texts = [(ROOT / name).read_text("utf-8") for name in ("requirements.lock", "Makefile")]
    torch = re.findall(r"torch==[\w.]+", texts[1])[0]
    return dict(PIN.findall(f"{texts[0]}\n{torch}"))


def licence(package: str) -> str:
    """What a package says its licence is, as an SPDX expression where it says so."""
    about = cast(Message, metadata(package))
    stated = about.get("License-Expression") or about.get("License") or ""
    try:
        return canonicalize_license_expression(stated)
    except InvalidLicenseExpression:
        kinds = [
            text.rpartition(" :: ")[2]
            for text in about.get_all("Classifier", [])
            if text.startswith("License ::") and text != "License :: OSI Approved"
        ]
        return "; ".join(kinds) or stated.strip().splitlines()[0]


def packages() -> Iterator[str]:
    """A row a package, in the order of the alphabet."""
    yield "| package | version | licence |"
    yield "| --- | --- | --- |"
    for package, version in sorted(pins().items(), key=lambda pin: pin[0].lower()):
        yield f"| {package} | {version} | {licence(package).replace('|', 'or')} |"


def filled(text: str) -> str:
    """A page with its tables written anew."""
    tables = {"models": models, "packages": packages}

    def block(match: re.Match) -> str:
        return "\n".join([f"<!-- fill {match[1]} -->", *tables[match[1]](), "<!-- end -->"])

    return BLOCK.sub(block, text)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8")
