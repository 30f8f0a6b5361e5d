"""`python -m espejo` is the command `espejo`."""

from espejo.commands.cli import app

app()
