"""The trained model as GGUF files, which llama.cpp, Ollama and others run."""

import gc
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from transformers import PreTrainedModel

from espejo.core import files
from espejo.core.errors import UserError
from espejo.export import bits, llama_cpp, merged
from espejo.export.merged import Trained

TYPES = ("f16", "q8_0", "q4_k_m")
# A K-quant packs 256 numbers of a row together; rows of another length it leaves in 5 to 8 bits.
_BLOCK = 256


def check(trained: Trained, kind: str, checkout: Path | None) -> None:
    """Raise UserError where llama.cpp's programs are missing, or `kind` gains nothing."""
    llama_cpp.converter(checkout)
    if kind != "q4_k_m":
        return
    width = merged.shape(trained).hidden_size
    if width % _BLOCK:
        raise UserError(
            f"Q4_K_M gains nothing on {trained.name}: its rows have {width} numbers, no multiple "
            f"of {_BLOCK}, so llama.cpp keeps most of them in 5 to 8 bits; take `--type q8_0`."
        )
    llama_cpp.quantizer(checkout)


def write(trained: Trained, folder: Path, kind: str, checkout: Path | None) -> tuple[Path, str]:
    """Write the trained model into `folder` as a GGUF file of that `kind` (of TYPES).

    Returns the file and, below f16, a sentence on what the precision costs.
    """
    model = merged.load(trained)
    rows = [] if kind == "f16" else bits.test_replies(trained)
    exact = bits.of_model(model, rows) if rows else 0.0
    file = folder / f"{trained.name}-{kind}.gguf"
    with _weights(trained, model, folder) as weights:
        del model  # or it would stay in memory, beside the converter's
        gc.collect()
        scripts = llama_cpp.converter(checkout)
        if kind == "q4_k_m":
            whole = weights / "f16.gguf"
            llama_cpp.convert(scripts, weights, whole, "f16", trained.name)
            llama_cpp.quantize(llama_cpp.quantizer(checkout), whole, file, "Q4_K_M")
        else:
            llama_cpp.convert(scripts, weights, file, kind, trained.name)
    return file, "" if kind == "f16" else bits.cost(trained, file, rows, exact, checkout)


def write_adapter(trained: Trained, folder: Path, checkout: Path | None) -> tuple[Path, Path]:
    """Write the adapter into `folder`, and its base model in f16, as GGUF files: (adapter, base).

    The base model's file has the exported template: an adapter's holds no tokenizer.
    """
    scripts = llama_cpp.converter(checkout)
    adapter = folder / f"{trained.name}-adapter-f32.gguf"
    base = folder / f"{trained.name}-base-f16.gguf"
    with _weights(trained, merged.load_base(trained), folder) as weights:
        llama_cpp.convert(scripts, weights, base, "f16", trained.name)
        llama_cpp.convert_adapter(scripts, trained.folder, weights, adapter)
    return adapter, base


@contextmanager
def _weights(trained: Trained, model: PreTrainedModel, folder: Path) -> Iterator[Path]:
    """A temporary folder in `folder` with `model`, as llama.cpp's converter reads it."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        weights = Path(scratch)
        merged.write(trained, model, weights)
        _add_no_tokens(weights / "tokenizer_config.json")
        _vocabulary(trained, weights)
        yield weights


def _add_no_tokens(path: Path) -> None:
    """Have llama.cpp tokenize texts as they are: the template writes the first token itself."""
    config = files.mapping(path, json.loads)
    config |= {"add_bos_token": False, "add_eos_token": False}
    files.write(json.dumps(config, indent=2, ensure_ascii=False) + "\n", path)


def _vocabulary(trained: Trained, folder: Path) -> None:
    """The base model's tokenizer.model, without which some models (Phi 3) are not converted."""
    if trained.base.source != "hub":
        return
    # Where it has none, or it is not on this machine, tokenizer.json must do.
    with suppress(EntryNotFoundError, LocalEntryNotFoundError):
        hf_hub_download(
            trained.base.id, "tokenizer.model", revision=trained.base.revision, local_dir=folder
        )
