"""Read chats as WhatsApp exports them: a .txt, a .zip or a folder of them, as one table.

An export says nothing about itself: neither language, nor phone, nor whether 3/4 is in March or in
April. Everything is decided once for a whole file, from all of its lines, and told in `Export`.
WhatsApp's own words are data, in notices.json.

    from espejo import whatsapp
    whatsapp.read("WhatsApp Chat with Ana.zip")
"""

from pathlib import Path

import pandas as pd

from espejo.whatsapp.account import Account
from espejo.whatsapp.chats import joined
from espejo.whatsapp.errors import ExportError
from espejo.whatsapp.files import exports_in
from espejo.whatsapp.folder import Folder, ParseConfig, read_folder
from espejo.whatsapp.reader import Export, read_file

__all__ = [
    "Account",
    "Export",
    "ExportError",
    "Folder",
    "ParseConfig",
    "exports_in",
    "joined",
    "read",
    "read_file",
    "read_folder",
]


def read(path: str | Path) -> pd.DataFrame:
    """The messages of a .txt, of a .zip or of all exports in a folder; columns as in `Export`.

    Of several exports of one chat each message counts once. Raises ExportError when there is
    nothing to read or a file is no export.
    """
    path = Path(path)
    files = exports_in(path) if path.is_dir() else [path]
    exports = [export.messages for file in files for export in read_file(file)]
    return joined(exports)[0]
