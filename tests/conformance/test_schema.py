"""A fuzzer holds the running service to its own description: every check on, nothing found."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conformance.deployment import client_of, own_service, random_namespace
from tests.conformance.seeding import Seeded, seed

TOKEN = "a-token-for-the-fuzzer"
SETTINGS = Path(__file__).with_name("schemathesis.toml")
MEDIA_TYPES = Path(__file__).with_name("fuzzer_media_types.py")
KNOWN_SHARE = 0.7
"""So often a name in a path is one of something that is there."""


@dataclass(frozen=True, slots=True)
class Target:
    """A service with a token, how many operations it has, and the fuzzer's settings for it."""

    url: str
    operations: int
    settings: Path


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    limits = {"wait_seconds": "0.05", "wait_limit_seconds": "0.1"}
    with (
        own_service(tmp_path / "zoo", token=TOKEN, **limits) as url,
        client_of(url, TOKEN) as http,
    ):
        seeded = seed(http, random_namespace())
        settings = tmp_path / "schemathesis.toml"
        settings.write_text(_known(seeded) + SETTINGS.read_text())
        paths = http.get("/openapi.json").json()["paths"]
        yield Target(url, sum(len(methods) for methods in paths.values()), settings)


def _known(seeded: Seeded) -> str:
    """What is in the zoo, as the fuzzer's settings have it; no claim waits long, and no stream is read to its end."""
    words = {**{name: (values, KNOWN_SHARE) for name, values in seeded.values.items()}}
    lines = [f'headers = {{ Authorization = "Bearer {TOKEN}" }}', "max-stream-events = 2", "request-timeout = 20"]
    lines += ["[parameters]"]
    lines += [
        f'"path.{name}" = {{ dictionary = "{name}", probability = {share} }}' for name, (_, share) in words.items()
    ]
    lines += ['"body.wait_seconds" = { dictionary = "wait_seconds", probability = 1.0 }', "[dictionaries]"]
    lines += [f"{name} = {{ values = {json.dumps(values)} }}" for name, (values, _) in words.items()]
    lines += ["wait_seconds = { values = [0, 0.01] }", ""]
    return "\n".join(lines)


def fuzz(target: Target, *options: str) -> None:
    """Run the fuzzer. It must ask every operation, and find nothing."""
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(target.settings)),
        *("run", f"{target.url}/openapi.json", "--checks", "all", "--workers", "1", "--no-color"),
        *("--continue-on-failure", *options),
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": str(MEDIA_TYPES)}
    folder = target.settings.parent
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-30_000:]
    assert re.search(rf"Tested: {target.operations}\b", said), said[-5_000:]
    assert re.search(r"\d+ generated, \d+ passed", said), said[-5_000:]


@pytest.mark.timeout(600)
def test_nothing_is_found_at_the_bounds_of_the_description(target: Target) -> None:
    fuzz(target, "--phases", "examples,coverage", "--generation-deterministic")


@pytest.mark.timeout(600)
def test_nothing_is_found_by_chance_and_along_links(target: Target) -> None:
    fuzz(target, "--phases", "fuzzing,stateful", "--max-examples", "3", "--generation-deterministic")


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("number", range(3))
def test_nothing_is_found_in_a_long_search(target: Target, number: int) -> None:
    fuzz(target, "--phases", "fuzzing,stateful", "--max-examples", "100", "--seed", str(number))
