"""A folder on the Hugging Face hub: pushed only when asked, and private unless asked."""

import shutil
from pathlib import Path

from httpx2 import TransportError  # what huggingface_hub uses
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from espejo.core.errors import UserError
from espejo.export import folders, merged
from espejo.export.merged import Trained

_ADAPTER = ("adapter_config.json", "adapter_model.safetensors")


def write_adapter(trained: Trained, folder: Path) -> None:
    """Write the adapter, the tokenizer with the exported template and the settings."""
    for name in _ADAPTER:
        shutil.copyfile(trained.folder / name, folder / name)
    trained.generation_config().save_pretrained(folder)
    merged.write_tokenizer(trained, folder)


def push(folder: Path, repository: str, public: bool, kind: str = "model") -> str:
    """Upload `folder` to the hub as `repository` (USER/NAME) and return its address.

    A repository that is there keeps its visibility, so one that is public is refused unless
    `public`. `kind` is model or space. Raises UserError for what goes wrong on the way.
    """
    api = HfApi()
    try:
        try:
            there = api.repo_info(repository, repo_type=kind)
        except RepositoryNotFoundError:
            sdk = "gradio" if kind == "space" else None
            api.create_repo(repository, repo_type=kind, private=not public, space_sdk=sdk)
        else:
            if not (there.private or public):
                raise UserError(
                    f"{repository} is on the hub already, and public: everybody could download "
                    "what is pushed. Make it private there, name another, or add `--public`."
                )
        done = api.upload_folder(
            repo_id=repository,
            repo_type=kind,
            folder_path=folder,
            ignore_patterns=folders.MARK,
            commit_message="Exported by espejo",
        )
    except (TransportError, OfflineModeIsEnabled) as error:
        raise UserError(
            f"The Hugging Face hub does not answer, so nothing was pushed; {folder} is ready: run "
            "the command again where there is a network."
        ) from error
    except LocalTokenNotFoundError as error:
        raise UserError(_LOG_IN) from error
    except HFValidationError as error:
        raise UserError(
            f"{repository!r} is no name on the hub: write `--push USER/NAME`, in letters, digits, "
            "dots and dashes."
        ) from error
    except HfHubHTTPError as error:
        if error.response is not None and error.response.status_code in (401, 403):
            raise UserError(_LOG_IN) from error
        raise UserError(f"The hub refused {repository} ({str(error).splitlines()[0]}).") from error
    return str(done.repo_url)


_LOG_IN = (
    "The hub does not let you write there: run `hf auth login` with a token that may write, and "
    "push to a name that begins with your own."
)
