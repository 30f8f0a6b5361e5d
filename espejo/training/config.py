"""The params sections `train` and `launch`; dvc.yaml takes the command from the latter."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from espejo.core.config import Positive, Section, Seed, Share, Some, Word


class PreferenceConfig(Section):
    """The training after the training: the author's replies against the model's own (DPO)."""

    loss_type: Literal["sigmoid", "ipo"]
    beta: Positive
    likelihood_weight: Annotated[float, Field(ge=0)]  # of the supervised loss beside it
    learning_rate: Positive
    pairs: Some | None  # of replies, spread evenly over the training texts; null: all
    batch_size: Some  # pairs in a step
    epochs: Some


class TrainConfig(Section):
    """How the model is trained."""

    section = "train"
    method: Literal["lora", "full"]
    loss: Literal["reply", "text"]
    rank: Some
    alpha: Some
    dropout: Annotated[float, Field(ge=0, lt=1)]
    targets: list[Word]
    layers: Some | None
    epochs: Some
    max_steps: int  # below 1: no limit but the epochs
    batch_size: Some
    micro_batch_size: Some | None  # texts in memory at once; null: the whole batch
    padding: Some | None
    gradient_checkpointing: bool
    attention: Word
    learning_rate: Positive
    scheduler: Word
    warmup_ratio: Share
    weight_decay: Annotated[float, Field(ge=0)]
    max_grad_norm: Annotated[float, Field(ge=0)]  # 0: no clipping
    log_steps: Some
    evals_per_run: Some
    patience: Some | None
    preference: PreferenceConfig | None
    sample_prompts: list[str]
    seed: Seed
    launcher: Word


class LaunchConfig(Section):
    """Launchers: the command before `-m stages.train`; users can add their own."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Word]
    section = "launch"
    command: Word
    single: Word
    cpu2: Word
    ddp: Word
    fsdp: Word
