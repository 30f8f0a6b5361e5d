"""A data set of the Hugging Face hub, as files for the readers."""

import re
from pathlib import PurePosixPath
from typing import Any

import msgspec

from espejo.core.errors import UserError
from espejo.sources.export import SourceFile


def fetch(dataset: str, revision: str | None) -> list[SourceFile]:
    """The splits of a data set as JSON Lines, one file a split, called after it.

    `revision` is a commit, so that the same data come each time.

    Raises UserError for another revision, and where the data set cannot be fetched: it is not
    there, or there is no network.
    """
    if not re.fullmatch("[0-9a-f]{40}", revision or ""):
        raise UserError(
            f"data.revision is {revision!r}: expected the commit of {dataset} to read, 40 digits "
            "and letters that its page on the hub shows under Files, History."
        )
    import datasets  # slow to load, and most data lie in a folder

    datasets.disable_progress_bars()
    try:
        splits = datasets.load_dataset(dataset, revision=revision)
    except Exception as error:  # of many libraries: requests, fsspec, huggingface_hub, pyarrow …
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise UserError(
            f"The data set {dataset} (revision {revision}) could not be fetched: {reason}. With a "
            "network, check data.dataset and data.revision; without one, download its files "
            "elsewhere, put them into the folder data.raw, and set data.dataset=null."
        ) from error
    return [_lines(f"{dataset}/{name}.jsonl", split) for name, split in splits.items()]


def _lines(path: str, split: Any) -> SourceFile:  # noqa: ANN401 - a datasets.Dataset
    data = msgspec.json.Encoder().encode_lines(split.to_list())  # an image's bytes as base64
    return SourceFile(PurePosixPath(path), lambda size: data[:size])
