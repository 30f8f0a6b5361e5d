"""espejo: from exported WhatsApp chats to a chatbot that writes like their author, measured."""

import logging
import sys
import warnings
from pathlib import Path

from espejo.core import faults, runtime

runtime.settle()  # before torch is imported, which reads the environment once

# At its import bitsandbytes notes that an optional package is missing; nobody has to act on it.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
# TRL and transformers deprecate each other's settings; nobody here can act on that either.
warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")

if Path(sys.argv[0]).name == "espejo":  # the command, before its own imports
    faults.guard("espejo")
