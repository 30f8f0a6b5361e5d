"""Read chats of any app, dialogues, and questions with answers into one table.

What a file is shows in its content, not in its name; `registry` lists the readers, and
docs/adding-a-source.md says how to write another.

    from espejo import sources
    sources.read("result.json", timezone="America/Argentina/Cordoba")
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from espejo.sources.export import ExportError, Options
from espejo.sources.folder import Folder, ParseConfig, read_all, read_folder, zone
from espejo.sources.registry import Kind

__all__ = ["ExportError", "Folder", "Kind", "ParseConfig", "read", "read_folder"]


def read(
    path: str | Path, timezone: str | None = None, columns: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Return the messages of a file, or of all files in a folder, whatever app they are of.

    The columns are those of `whatsapp.read`, and app (the source), split (train, validation or test
    where the source names it, else null), origin (of a forwarded message, whose words it holds
    where the export says it) and all_names (all names of its author, a line each). Times are
    local: instants become those of `timezone` (an IANA name; None: this machine's). `columns` says
    what the columns of a table are called, as in {"question": "Pregunta"}.

    Of two people of one name, who wrote first keeps it, and the other is NAME (1234). (The pipeline
    calls both NAME (1234), since an older export would change who wrote first.)

    Raises UserError for an unknown `timezone`, and ExportError (a UserError) if there is nothing to
    read or a file cannot be read.
    """
    options = Options(zone(timezone), columns or {})
    return read_all(Path(path), None, options, first_keeps_name=True).messages
