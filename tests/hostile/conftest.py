"""A small log to harm, and processes that read what is left of it."""

import pytest
from harmed_logs import Original, Readers, original, tell


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Original:
    return original(tell(tmp_path_factory.mktemp("small") / "small.db"))


@pytest.fixture(scope="session")
def readers(tmp_path_factory: pytest.TempPathFactory):
    together = Readers(tmp_path_factory.mktemp("harmed"))
    yield together
    together.close()
