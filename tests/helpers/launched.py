"""The train stage on a tiny model, for a launcher to start: `-m tests.helpers.launched`.

It reads params.yaml, formatted.parquet and the model tiny/ where it stands. Each process writes
into a folder named after its rank, so that it shows which of them wrote. `seen-RANK.json` holds the
rows that it was given, step by step, as numbers of their tokens, and how many of the model's
weights were sharded.
"""

import json
import os
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import DistributedType
from torch.distributed.tensor import DTensor
from trl import SFTTrainer

from espejo.core.stage import run
from espejo.model import loading
from espejo.training import distributed
from stages import train
from tests.helpers import tiny

TOKENIZER = tiny.tokenizer(["<|im_start|>", "<|im_end|>"], "<|im_end|>", tiny.CHATML)


def shard_on_processors():
    """accelerate shards on GPUs only; torch does on processors as well. Tell it these are GPUs."""
    begin = PartialState.__init__

    def begun(self, *arguments, **named):
        begin(self, *arguments, **named)
        if self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.MULTI_GPU

    PartialState.__init__ = begun


def main():
    if distributed.sharded():
        shard_on_processors()
    rank = os.environ.get("RANK", "0")
    seen = {"rows": []}
    step = SFTTrainer.training_step

    def watched(self, model, inputs, *arguments, **named):
        seen["rows"].append(inputs["attention_mask"].sum(1).tolist())
        weights = list(self.model.parameters())
        seen["weights"], seen["sharded"] = (
            len(weights),
            sum(isinstance(weight, DTensor) for weight in weights),
        )
        return step(self, model, inputs, *arguments, **named)

    SFTTrainer.training_step = watched
    loading.locate = lambda model: ("tiny", "main")
    loading.load_tokenizer = lambda model: TOKENIZER
    mine = Path(rank)
    (mine / "plots").mkdir(parents=True, exist_ok=True)
    train.main(
        Path("formatted.parquet"),
        mine / "model",
        mine / "train.json",
        mine / "plots",
        mine / "epochs.md",
    )
    Path(f"seen-{rank}.json").write_text(json.dumps(seen), "utf-8")


if __name__ == "__main__":
    with distributed.one_voice():
        run(main)
