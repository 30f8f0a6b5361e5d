"""Where a model is, bundled or on the Hugging Face hub, and its tokenizer.

Apart from the models: what only needs a tokenizer does without PEFT, which takes seconds to import.
"""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from espejo.core.errors import UserError
from espejo.model import bundled
from espejo.model.config import ModelConfig


def locate(config: ModelConfig) -> tuple[str, str | None]:
    """The folder or hub id that `from_pretrained` takes, and the resolved revision (a commit).

    Raises UserError when the model is not on this machine and cannot be downloaded.
    """
    if config.source == "bundled":
        return str(bundled.folder(config.id)), config.revision
    name, revision = config.id, config.revision
    try:
        snapshot = snapshot_download(name, revision=revision, allow_patterns="config.json")
    except GatedRepoError as error:
        raise UserError(
            f"The model {name} asks you to accept its licence: do so on its page on the hub, run "
            "`hf auth login`, and try again."
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise UserError(
            f"The hub has no model {name} at revision {revision}: fix id and revision in "
            f"conf/model/{config.name}.yaml."
        ) from error
    except LocalEntryNotFoundError as error:
        raise UserError(
            f"The model {name} is not on this machine and the Hugging Face hub does not answer: "
            f"run `hf download {name} --revision {revision}` where there is a network and copy its "
            "cache folder here (HF_HOME), or use a bundled model: `-S model=gemma3` or "
            "`-S model=smollm2`."
        ) from error
    return name, Path(snapshot).name  # a snapshot's folder is named after its commit


def load_tokenizer(config: ModelConfig) -> PreTrainedTokenizerBase:
    """The tokenizer of the model in `config`, with its `added_tokens`.

    Raises UserError when it cannot be downloaded, or gives no character offsets of its tokens.
    """
    name, revision = locate(config)
    pinned = {} if config.source == "bundled" else {"revision": revision}
    tokenizer = AutoTokenizer.from_pretrained(name, **pinned)
    if not tokenizer.is_fast:
        raise UserError(f"The tokenizer of {config.id} gives no character offsets: choose another.")
    if config.added_tokens:
        tokenizer.add_special_tokens({"additional_special_tokens": config.added_tokens})
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    return tokenizer
