"""The model in llama.cpp, as an exported GGUF file: on a processor quicker than transformers."""

import random
from collections.abc import Callable, Generator, Hashable, Mapping
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

from transformers import AutoTokenizer

from espejo.chat.engine import Waiting
from espejo.chat.line import Line
from espejo.core import faults
from espejo.core.errors import UserError
from espejo.formatting.prompts import trained_prompter
from espejo.model import manifest as manifests
from espejo.model.config import GenerateConfig
from espejo.serving import llama_cpp

# Of prompt and reply: what the server reserves memory for, however much the model could read.
_MAX_TOKENS = 4096


class LlamaServer:
    """The tuned model of `folder` (the output of the stage train), exported as the file `gguf`.

    With `adapter` (a GGUF file too) `gguf` is the base model. `checkout` is a folder of llama.cpp
    to use. Raises UserError when there is no trained model, no llama.cpp, or it cannot run the
    file.
    """

    def __init__(
        self,
        folder: Path,
        gguf: Path,
        adapter: Path | None = None,
        checkout: Path | None = None,
    ) -> None:
        self.manifest: Mapping[str, Any] = manifests.read(folder)
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder)
        except Exception as error:  # each library has errors of its own, without a common class
            raise UserError(
                f"{folder} is damaged ({str(error).splitlines()[0]}); {faults.again(folder)}."
            ) from error
        self.prompter = trained_prompter(tokenizer, self.manifest)
        self.has_base = adapter is not None
        more = ["--special", *(("--lora", str(adapter)) if adapter else ())]
        self._server = llama_cpp.Server(gguf, _MAX_TOKENS, more, checkout)
        defaults = self._server.properties["default_generation_settings"]
        self.max_tokens: int = defaults["n_ctx"]
        # Of the last reply: its prompt's tokens in the cache (cache_n), and read anew (prompt_n).
        self.timings: Mapping[str, Any] = {}
        self._line = Line()

    def pieces(
        self,
        prompt: str,
        generate: GenerateConfig,
        conversation: Hashable,
        base: bool = False,
    ) -> Generator[str | Waiting, None, None]:
        """The raw text of a reply while it is generated: see `Engine.pieces`.

        The server itself finds, by their tokens, the conversations that it has read.
        """
        body = self._request(prompt, generate, base)

        def write(put: Callable[[str], None], stopped: Event) -> None:
            with closing(self._server.stream("/completion", body)) as parts:
                for part in parts:
                    if stopped.is_set():
                        return
                    self.timings = part.get("timings", self.timings)
                    if text := part.get("content"):
                        put(text)

        return self._line.pieces(write)

    def close(self) -> None:
        """End the server."""
        self._line.close()
        self._server.close()

    def _request(self, prompt: str, generate: GenerateConfig, base: bool) -> dict[str, Any]:
        """What transformers' settings for `generate` mean to llama.cpp."""
        adapters = [{"id": 0, "scale": 0.0 if base else 1.0}] if self.has_base else []
        return {
            # Tokens, not text: the server must neither add a second <bos> nor split it otherwise.
            "prompt": self.prompter.tokenizer(prompt, add_special_tokens=False)["input_ids"],
            "n_predict": generate.max_new_tokens,
            # In the order in which transformers applies them, and no others.
            "samplers": ["penalties", "temperature", "top_k", "top_p"],
            "repeat_penalty": generate.repetition_penalty,
            "repeat_last_n": self.max_tokens,  # of all tokens: of the prompt too
            "temperature": generate.temperature,  # 0: the likeliest token
            "top_k": generate.top_k,  # 0: no limit
            "top_p": generate.top_p,
            "seed": random.getrandbits(32),  # which `--seed` makes repeatable
            "stop": list(self.prompter.stops),
            "cache_prompt": True,
            "lora": adapters,
        }
