"""The first step of `make repro`: checks all settings, and whether DVC can read the data.

DVC reads every file of the data's folder before any stage begins. At a pipe it waits forever, and
of a name that is not UTF-8 it complains without saying which.
"""

import os
from pathlib import Path

import yaml

from espejo.chat.decline import ChatConfig
from espejo.core import faults, files
from espejo.core.config import DataConfig, GroupConfig, Section, checked_all
from espejo.core.errors import UserError
from espejo.core.stage import params
from espejo.dataset.canaries import AuditConfig
from espejo.dataset.filters import FilterConfig
from espejo.evaluation.config import EvaluateConfig
from espejo.formatting.config import FormatConfig
from espejo.model.config import GenerateConfig, ModelConfig
from espejo.prediction.config import PredictConfig
from espejo.privacy.cleaning import CleanConfig
from espejo.report.config import ReportConfig
from espejo.sources import ParseConfig
from espejo.statistics.measures import StatisticsConfig
from espejo.training.config import LaunchConfig, TrainConfig

# All sections of params.yaml, in the order in which stages read them.
CONFIGS: tuple[type[Section], ...] = (
    *(DataConfig, ParseConfig, CleanConfig, GroupConfig, FilterConfig, FormatConfig, AuditConfig),
    *(ModelConfig, GenerateConfig, TrainConfig, LaunchConfig, PredictConfig, EvaluateConfig),
    *(StatisticsConfig, ReportConfig, ChatConfig),
)


def check(folder: Path) -> None:
    """Raise UserError for a folder of data that is missing, or with a file DVC cannot read."""
    if not folder.is_dir():
        raise UserError(
            f"{folder} is no folder: `make mine` makes data/raw/mine for your own data, and "
            "`git checkout data/raw` brings the invented data back."
        )
    for path in sorted(folder.rglob("*")):
        if not (path.is_file() or path.is_dir()):
            raise UserError(
                f"{path} is no ordinary file (a pipe, a socket, a device or a link to nothing): "
                "move it away."
            )
        if os.fsencode(path) != str(path).encode("utf-8", "replace"):
            raise UserError(
                f"{path}: the name is not in UTF-8, as DVC needs it: rename the file, for "
                "example to chat.txt."
            )


def main() -> None:
    """Check settings and files, then print which data and model params.yaml names."""
    path = Path("params.yaml")
    checked_all(files.mapping(path, yaml.safe_load), CONFIGS, path)
    data, model = params(DataConfig), params(ModelConfig).name
    check(Path(data.raw))
    kind = "" if data.kind == "chats" else f" ({data.kind})"
    print(
        f"espejo: data {data.raw}{kind}, model {model} (as params.yaml has it; the demo with "
        "another model: make repro MODEL=smollm2)"
    )


if __name__ == "__main__":
    with faults.told("espejo"):
        main()
