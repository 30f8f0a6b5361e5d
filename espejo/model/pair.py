"""The model before and after training."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from espejo.core import faults
from espejo.core.errors import UserError
from espejo.model import hardware, manifest
from espejo.model.loading import load_base, needs_float32_adapters


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """Raise any error from loading the model in `folder` as UserError.

    For missing or damaged files each library raises errors of its own, without a common base class.
    """
    try:
        with faults.about(folder):
            yield
    except UserError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{folder} is damaged ({reason}); {faults.again(folder)}.") from error


class ModelPair:
    """The model before and after training; one copy of the weights where it has an adapter.

    `with pair.base() as model` and `with pair.tuned() as model` give either one; `tokenizer` and
    `manifest` (as `manifest.read` gives it) belong to both.
    """

    def __init__(self, folder: Path) -> None:
        self.manifest = manifest.read(folder)
        config, train = manifest.model_config(self.manifest), self.manifest["train"]
        with _naming(folder):
            self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self._base = self._tuned = load_base(config)
        self._adapter: PeftModel | None = None
        with _naming(folder):
            if train["method"] == "lora":
                self._adapter = PeftModel.from_pretrained(  # changes the base in place
                    self._base, folder, autocast_adapter_dtype=needs_float32_adapters(self._base)
                ).eval()
            else:
                self._tuned = AutoModelForCausalLM.from_pretrained(
                    folder,
                    dtype=hardware.dtype_of(config.precision),
                    device_map=hardware.device(),
                ).eval()
        for model in (self._base, self._tuned):
            name = hardware.resolve_attention(train["attention"], model.config)
            model.set_attn_implementation(name)

    @contextmanager
    def base(self) -> Iterator[PreTrainedModel]:
        """The model before training; an adapter is disabled inside the context."""
        with self._adapter.disable_adapter() if self._adapter else nullcontext():
            yield self._base

    @contextmanager
    def tuned(self) -> Iterator[PreTrainedModel]:
        """The trained model."""
        yield self._tuned

    def both(self) -> Iterator[tuple[str, PreTrainedModel]]:
        """("base", model), then ("tuned", model)."""
        with self.base() as model:
            yield "base", model
        with self.tuned() as model:
            yield "tuned", model
