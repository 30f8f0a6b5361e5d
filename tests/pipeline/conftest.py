"""One run of the whole pipeline, shared by several tests, since it takes minutes."""

import pytest

from tests.helpers import workshop
from tests.helpers.workshop import run


@pytest.fixture(scope="session")
def ran(tmp_path_factory):
    """A clone in which the whole pipeline ran once on somebody's own chats, as an experiment."""
    folder = workshop.clone(tmp_path_factory.mktemp("own"))
    workshop.mine(folder)
    run("dvc", "exp", "run", "-S", "data=mine", "-S", "experiment=smoke", cwd=folder)
    return folder
