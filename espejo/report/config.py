"""The params section `report`."""

from typing import Literal

from espejo.core.config import Count, Section


class ReportConfig(Section):
    """How the report is written."""

    section = "report"
    language: Literal["es", "en"]
    shown_contexts: Count
