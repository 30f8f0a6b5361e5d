"""Asking a model for replies, many at once."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from tqdm import tqdm
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase, set_seed


class Reply(NamedTuple):
    """What a model wrote, without its end, and whether it came to one by itself."""

    text: str
    finished: bool


def settings(
    tokenizer: PreTrainedTokenizerBase, end: str, generate: Mapping[str, float]
) -> GenerationConfig:
    """How to sample: the params section `model.generate`, stopping at the token(s) `end`."""
    stops = tokenizer(end, add_special_tokens=False)["input_ids"]
    return GenerationConfig(
        do_sample=generate["temperature"] > 0,
        temperature=generate["temperature"] or None,
        top_k=generate["top_k"],
        top_p=generate["top_p"],
        repetition_penalty=generate["repetition_penalty"],
        max_new_tokens=generate["max_new_tokens"],
        # A reply ends with the last token of `end`; the model's own end of text stops it as well.
        eos_token_id=sorted({stops[-1], tokenizer.eos_token_id} - {None}),
        pad_token_id=tokenizer.pad_token_id,
    )


@torch.inference_mode()
def reply_all(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    how: GenerationConfig,
    stops: Sequence[str],
    seed: int,
    batch: int = 64,  # a step reads all weights, for one reply or for many
    label: str = "replying",
) -> list[Reply]:
    """One sampled reply a prompt, up to the first of `stops`, in the order of `prompts`."""
    set_seed(seed)
    replies = [Reply("", False)] * len(prompts)
    # Prompts of like length together: what is padded is computed for nothing.
    order = sorted(range(len(prompts)), key=lambda at: len(prompts[at]))
    for start in tqdm(range(0, len(order), batch), desc=label, unit="batch", leave=False):
        chosen = order[start : start + batch]
        asked = tokenizer(
            [prompts[at] for at in chosen],
            add_special_tokens=False,
            padding=True,
            padding_side="left",
            return_tensors="pt",
        ).to(model.device)
        written = model.generate(**asked, generation_config=how)
        texts = tokenizer.batch_decode(written[:, asked["input_ids"].shape[1] :])
        for at, text in zip(chosen, texts, strict=True):
            replies[at] = ended(text, stops)
    return replies


def ended(text: str, stops: Sequence[str]) -> Reply:
    """`text` up to the first of `stops`."""
    said = text
    for stop in stops:
        said = said.split(stop, 1)[0]
    return Reply(said, finished=said != text)
