"""The model before and after training, held once where an adapter allows it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from espejo.core import faults
from espejo.core.errors import UserError
from espejo.model import hardware, manifest
from espejo.model.loading import load_base, upcast


@contextmanager
def _damage(folder: Path) -> Iterator[None]:
    """Raise whatever stops the loading of a model in `folder` as UserError.

    For a file that is missing or damaged each library has errors of its own, of no common kind.
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
    """The model before and after training, held once where an adapter allows it.

    `with mirror.base() as model` and `with mirror.tuned() as model` give either one;
    `tokenizer` and `manifest` (what `save` wrote) belong to both.
    """

    def __init__(self, folder: Path) -> None:
        self.manifest = manifest.read(folder)
        model, train = self.manifest["model"], self.manifest["train"]
        with _damage(folder):
            self.tokenizer = AutoTokenizer.from_pretrained(folder)
        base = load_base(model)
        with _damage(folder):
            if train["method"] == "lora":
                self._tuned = PeftModel.from_pretrained(
                    base, folder, autocast_adapter_dtype=upcast(base)
                ).eval()
                self._base = None
            else:
                dtype = hardware.dtype_of(model["precision"])
                self._tuned = AutoModelForCausalLM.from_pretrained(
                    folder, dtype=dtype, device_map=hardware.device()
                ).eval()
                self._base = base
        for each in filter(None, (self._base, self._tuned)):
            each.set_attn_implementation(hardware.attention(train["attention"], each.config))

    def tuned(self) -> AbstractContextManager[PreTrainedModel]:
        """The trained model."""
        return nullcontext(self._tuned)

    def base(self) -> AbstractContextManager[PreTrainedModel]:
        """The model as it was; an adapter is switched off while the context lasts."""
        if self._base is not None:
            return nullcontext(self._base)
        return _without_adapter(self._tuned)

    def both(self) -> Iterator[tuple[str, PreTrainedModel]]:
        """("base", model), then ("tuned", model)."""
        with self.base() as model:
            yield "base", model
        with self.tuned() as model:
            yield "tuned", model


@contextmanager
def _without_adapter(model: PeftModel) -> Iterator[PeftModel]:
    with model.disable_adapter():
        yield model
