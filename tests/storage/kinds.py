"""The kinds of database that records are kept in; tests run on both unless they say otherwise."""

import pytest

SQLITE, POSTGRES = "sqlite", "postgresql"
BOTH = [SQLITE, pytest.param(POSTGRES, marks=pytest.mark.postgres)]
ONLY_SQLITE = pytest.mark.parametrize("kind", [SQLITE])
ONLY_POSTGRES = pytest.mark.parametrize("kind", BOTH[1:])
