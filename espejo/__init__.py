"""espejo: from exported WhatsApp chats to a chatbot that writes like their author, measured."""

import logging
import os
import warnings

# Two runs on one machine (`dvc queue start -j 2`) must not burn each other's cores with waiting.
# Read when torch is first imported, so it stands here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# With fewer threads than it asked for torch 2.13 leaves a part of some results unwritten: the loss
# became no number.
os.environ["OMP_DYNAMIC"] = "false"

# At its import bitsandbytes notes that an optional package is missing; nobody has to act on it.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
# TRL and transformers deprecate each other's settings; nobody here can act on that either.
warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
