"""The train stage on a tiny model, for a launcher to start: `-m tests.helpers.launched`.

It reads params.yaml, formatted.parquet and the model tiny/ in the current folder. Each process
writes into a folder named after its rank. `seen-RANK.json` holds the lengths in tokens of the rows
that it got, step by step, and how many weights were sharded.
"""

import json
import os
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import DistributedType
from torch.distributed.tensor import DTensor
from trl import SFTTrainer

from espejo.core.stage import run
from espejo.model import tokenizers
from espejo.training import distributed
from stages import train
from tests.helpers import tiny

TOKENIZER = tiny.tokenizer(["<|im_start|>", "<|im_end|>"], "<|im_end|>", tiny.CHATML)


def shard_on_processors():
    """accelerate shards on GPUs only, torch on CPUs as well: tell it that these are GPUs."""
    init = PartialState.__init__

    def patched(self, *arguments, **named):
        init(self, *arguments, **named)
        if self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.MULTI_GPU

    PartialState.__init__ = patched


def main():
    if distributed.sharded():
        shard_on_processors()
    rank = os.environ.get("RANK", "0")
    seen = {"rows": []}
    step = SFTTrainer.training_step

    def recorded(self, model, inputs, *arguments, **named):
        seen["rows"].append(inputs["attention_mask"].sum(1).tolist())
        weights = list(self.model.parameters())
        seen["weights"], seen["sharded"] = (
            len(weights),
            sum(isinstance(weight, DTensor) for weight in weights),
        )
        return step(self, model, inputs, *arguments, **named)

    SFTTrainer.training_step = recorded
    tokenizers.locate = lambda model: ("tiny", "main")
    tokenizers.load_tokenizer = lambda model: TOKENIZER
    folder = Path(rank)
    train.main(
        Path("formatted.parquet"),
        folder / "model",
        folder / "train.json",
        folder / "loss.csv",
        folder / "epochs.md",
    )
    Path(f"seen-{rank}.json").write_text(json.dumps(seen), "utf-8")


if __name__ == "__main__":
    with distributed.only_rank_0_prints():
        run(main)
