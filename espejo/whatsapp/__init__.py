"""Read chats that WhatsApp exported (a .txt, a .zip or a folder of them) into one table.

An export does not state its language, the phone that wrote it, or whether 3/4 is in March or in
April. Each of these is decided once per file, from all of its lines, and recorded in `Export`.
WhatsApp's own words (notices, placeholders) are data, in notices.json.

    from espejo import whatsapp
    whatsapp.read("WhatsApp Chat with Ana.zip")
"""

from pathlib import Path

import pandas as pd

from espejo.whatsapp.account import Account
from espejo.whatsapp.chats import merge_exports
from espejo.whatsapp.errors import ExportError
from espejo.whatsapp.files import exports_in, find_exports
from espejo.whatsapp.folder import Folder, read_exports
from espejo.whatsapp.reader import Export, read_file

__all__ = [
    "Account",
    "Export",
    "ExportError",
    "Folder",
    "exports_in",
    "find_exports",
    "merge_exports",
    "read",
    "read_exports",
    "read_file",
]


def read(path: str | Path) -> pd.DataFrame:
    """Return the messages of a .txt, a .zip or all exports in a folder; columns as in `Export`.

    A message that several exports of one chat contain is returned once. Raises ExportError if
    there is nothing to read or a file is not an export.
    """
    path = Path(path)
    files = exports_in(path) if path.is_dir() else [path]
    tables = [export.messages for file in files for export in read_file(file)]
    return merge_exports(tables)[0]
