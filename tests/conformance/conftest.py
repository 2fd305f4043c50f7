"""What every conformance test gets: the deployment, a namespace of its own, and its leavings removed.

    ZOO_CONFORMANCE_URL=https://zoo.example ZOO_CONFORMANCE_TOKEN=... python -m pytest tests/conformance

Without the variables the tests start a service of their own, with a token and without a worker. On a deployment that
others use, workers may take the jobs of these tests first; what cannot be told then is skipped. Pipelines cannot be
deleted, so the few modules they hold stay, yanked.
"""

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

import httpx
import pytest

from tests.conformance.deployment import client_of, own_service, random_namespace

OWN_TOKEN = "the-token-of-the-conformance-suite"


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where the zoo is, and the token that may write."""

    url: str
    token: str | None


@dataclass(slots=True)
class Leavings:
    """What is to be removed in the end: paths to delete, the last made first, and modules."""

    paths: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    url = os.environ.get("ZOO_CONFORMANCE_URL")
    if url:
        yield Deployment(url.rstrip("/"), os.environ.get("ZOO_CONFORMANCE_TOKEN") or None)
        return
    with own_service(tmp_path_factory.mktemp("conformance") / "zoo", token=OWN_TOKEN) as own:
        yield Deployment(own, OWN_TOKEN)


@pytest.fixture(scope="session")
def http(deployment: Deployment) -> Iterator[httpx.Client]:
    with closing(client_of(deployment.url, deployment.token)) as client:
        yield client


@pytest.fixture(scope="session")
def namespace(http: httpx.Client) -> Iterator[str]:
    """A namespace of this run; in the end its versions are deleted, and yanked where a pipeline holds them."""
    name = random_namespace()
    yield name
    found = http.get("/modules", params={"namespace": name, "limit": 200}).json()["items"]
    for module in sorted(found, key=lambda each: each["below"] is None):
        path = f"/modules/{name}/{module['name']}"
        for version in http.get(path).json()["versions"]:
            told = f"{path}/versions/{version['version']}"
            if http.delete(told).status_code == 409:
                http.put(f"{told}/yank", json={"reason": "a conformance test is over"})


@pytest.fixture(scope="session")
def leavings(http: httpx.Client) -> Iterator[Leavings]:
    """Datasets and jobs to be removed when all tests are over."""
    made = Leavings()
    yield made
    for path in reversed(made.paths):
        http.delete(path)
