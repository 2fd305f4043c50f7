"""A real zoo in a temporary folder, and a worker that needs no torch."""

from pathlib import Path

import pytest

from registry.settings import Settings
from registry.zoo import Zoo
from storage.wiring import open_zoo


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    return open_zoo(Settings(home=tmp_path, examples=200))
