"""One run of the whole pipeline, shared by several tests, since it takes minutes."""

import pytest

from tests.helpers import workshop
from tests.helpers.workshop import run


@pytest.fixture(scope="session")
def ran(tmp_path_factory):
    """A clone in which the whole pipeline ran once on somebody's own chats, as an experiment."""
    folder = workshop.clone(tmp_path_factory.mktemp("own"))
    workshop.mine(folder)
    # Replies are short, since what they say is not looked at.
    short = ("-S", "generate.max_new_tokens=8", "-S", "predict.shots=1")
    run("dvc", "exp", "run", "-S", "data=mine", "-S", "experiment=smoke", *short, cwd=folder)
    return folder
