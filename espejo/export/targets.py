"""`espejo export`: the trained model in another form, in a folder of its own."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from espejo.chat import decline, pauses
from espejo.core import files
from espejo.core.errors import UserError
from espejo.export import folders, gguf_files, hub, merged, model_card, ollama, space
from espejo.export.gate import Verdict
from espejo.export.merged import Trained
from espejo.model import manifest as manifests

MODELFILE, CARD = "Modelfile", "README.md"


@dataclass(frozen=True)
class Options:
    """How to export: what each target reads of it is in the command's help."""

    dtype: str = "float32"
    kind: str = "f16"  # of GGUF
    checkout: Path | None = None  # of llama.cpp
    adapter: bool = False  # for the hub: only the adapter
    push: str | None = None
    public: bool = False


def export(
    target: str, trained: Trained, verdict: Verdict, folder: Path, options: Options
) -> list[str]:
    """Write the export `target` into `folder`; returns what to print, line by line.

    Raises UserError where something is missing, before anything is written.
    """
    _check(target, trained, options)
    about = {"target": target, "verdict": verdict.name, "overridden": verdict.overridden}
    with folders.written(folder, about) as draft:
        lines, notes, whole = _WRITERS[target](trained, draft, folder, options)
        notes = [note for note in (verdict.note, *notes) if note]
        card = model_card.card(trained.manifest, verdict.trained, verdict.name, whole, notes)
        if target == "space":  # its README is the Space's own
            files.write(card, draft / "model" / CARD)
        else:
            files.write(card, draft / CARD)
            manifests.write(merged.given_away(trained.manifest, whole), draft)
    summary = f"{target}: {folder}, {folders.size(folder)}"
    if options.push:
        kind = "space" if target == "space" else "model"
        place = hub.push(folder, options.push, options.public, kind)
        lines = [f"Pushed to {place}, {'public' if options.public else 'private'}."]
    return [summary, *lines]


def _check(target: str, trained: Trained, options: Options) -> None:
    needs_adapter = target == "adapter-gguf" or (target == "hub" and options.adapter)
    if needs_adapter and not trained.has_adapter:
        raise UserError(
            f"{trained.folder}/ was trained with all weights, so it has no adapter to export: take "
            "`--to merged` or `--to gguf`."
        )
    if options.dtype == "float16" and trained.base.precision == "wide":
        raise UserError(
            f"{trained.name} computes numbers that float16 cannot hold, so that its replies would "
            "be noise: take `--dtype bfloat16`, which is as small."
        )
    if target in ("gguf", "adapter-gguf", "ollama"):
        kind = "f16" if target == "adapter-gguf" else options.kind
        gguf_files.check(trained, kind, options.checkout)


def context(trained: Trained) -> int:
    """How many tokens an engine should hold: a prompt as long as in training, and the reply."""
    prompter = trained.prompter
    needed = prompter.max_context_chars + len(prompter.system) + trained.generate.max_new_tokens
    longest = getattr(merged.shape(trained), "max_position_embeddings", needed)
    return min(1 << (needed - 1).bit_length(), longest)


def llama_server(trained: Trained, model: Path, more: Sequence[str] = ()) -> str:
    """The command that serves the GGUF file `model` with the settings of params generate."""
    generate = trained.generate
    settings: Mapping[str, object] = {
        "--temp": generate.temperature,
        "--top-k": generate.top_k,
        "--top-p": generate.top_p,
        "--min-p": 0,
        "--repeat-penalty": generate.repetition_penalty,
        "--repeat-last-n": -1,
        "-n": generate.max_new_tokens,
        "-c": context(trained),
    }
    words = ["llama-server", "-m", str(model), *more, "--host", "127.0.0.1", "--port", "8080"]
    words += [str(word) for pair in settings.items() for word in pair]
    words += [word for stop in trained.stop_strings for word in ("-r", stop)]
    return shlex.join(words)


# A new target is one of these, with its name in cli.py's `--to`, and pushed by hub.push if it may
# be. Each writes its files into a draft of `folder` and returns lines to print, notes for the card
# and whether the weights are whole.
_Written = tuple[list[str], list[str], bool]


def _merged(trained: Trained, draft: Path, folder: Path, options: Options) -> _Written:
    merged.write(trained, merged.load(trained), draft, options.dtype)
    note = f"The weights are whole, in {options.dtype}."
    return ["An API on this machine: `espejo serve --engine transformers`"], [note], True


def _gguf(trained: Trained, draft: Path, folder: Path, options: Options) -> _Written:
    file, cost = gguf_files.write(trained, draft, options.kind, options.checkout)
    use = llama_server(trained, folder / file.name)
    note = f"`{file.name}` is for llama.cpp: `{llama_server(trained, Path(file.name))}`"
    return (
        [
            *filter(None, [cost]),
            "Here: `espejo chat --engine llama.cpp`, and for programs `espejo serve`",
            f"Elsewhere, with llama.cpp: `{use}`",
        ],
        [cost, note],
        True,
    )


def _adapter_gguf(trained: Trained, draft: Path, folder: Path, options: Options) -> _Written:
    adapter, base = gguf_files.write_adapter(trained, draft, options.checkout)
    use = llama_server(trained, folder / base.name, ["--lora", str(folder / adapter.name)])
    beside = llama_server(trained, Path(base.name), ["--lora", adapter.name])
    note = f"`{adapter.name}` is the adapter, `{base.name}` the base model: `{beside}`"
    sizes = ", ".join(f"{file.name} {folders.size(file)}" for file in (adapter, base))
    return [sizes, f"Talk to it on http://127.0.0.1:8080: `{use}`"], [note], False


def _ollama(trained: Trained, draft: Path, folder: Path, options: Options) -> _Written:
    file, cost = gguf_files.write(trained, draft, options.kind, options.checkout)
    files.write(ollama.modelfile(trained, file.name, context(trained)), draft / MODELFILE)
    create = f"ollama create {ollama.NAME} -f {MODELFILE} && ollama run {ollama.NAME}"
    note = (
        f"For Ollama, in this folder: `{create}`. espejo's tests run the GGUF file in llama.cpp; "
        "this command they do not run."
    )
    use = f"cd {shlex.quote(str(folder))} && {create}"
    return [*filter(None, [cost]), f"Talk to it in Ollama: `{use}`"], [cost, note], True


def _hub(trained: Trained, draft: Path, folder: Path, options: Options) -> _Written:
    if options.adapter:
        hub.write_adapter(trained, draft)
    else:
        merged.write(trained, merged.load(trained), draft, options.dtype)
    line = (
        f"Nothing has left this machine. Read {folder / CARD}; the same command with "
        "`--push USER/NAME` uploads the folder to a private place on the hub."
    )
    return [line], [], not options.adapter


def _space(trained: Trained, draft: Path, folder: Path, options: Options) -> _Written:
    manifest = merged.given_away(trained.manifest, whole=False)
    # The statistics, which say how long the author pauses, stay here.
    manifest[pauses.KEY] = pauses.typical_pause(trained.manifest)
    space.write(draft, trained.folder, manifest, trained.generate, decline.read())
    line = (
        f"Nothing has left this machine. Read {folder / CARD}: the page asks for a password, which "
        "you set on the hub. The same command with `--push USER/NAME` uploads the folder to a "
        "private Space."
    )
    return [line], [], False


_WRITERS = {
    "merged": _merged,
    "gguf": _gguf,
    "adapter-gguf": _adapter_gguf,
    "ollama": _ollama,
    "hub": _hub,
    "space": _space,
}
