"""docker-compose.yml: every service's command is run as the file gives it, and together they do the main job."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from client.zoo import Zoo
from registry.names import ModuleName
from registry.recipes import OutputSpec, TaskSpec, TrainingRecipe
from registry.records import JobStatus
from tests.end_to_end.processes import ROOT, START_SECONDS, TOKEN, answers, free_port, program, wait_for
from tests.numpy_worker import quadrant_zip

ROOMS = ("api", "client", "kernel_methods", "registry", "storage", "trainer")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def environment(service: str, home: Path, port: int) -> dict[str, str]:
    """A service's environment, with what stands for other hosts and folders put in."""
    given = dict(COMPOSE["services"][service]["environment"])
    assert given["ZOO_TOKEN"].startswith("${ZOO_TOKEN:?")
    given.update(ZOO_TOKEN=TOKEN, ZOO_HOME=str(home))
    if "ZOO_PORT" in given:
        given["ZOO_PORT"] = str(port)
    if "ZOO_URL" in given:
        given["ZOO_URL"] = given["ZOO_URL"].replace("api:8000", f"127.0.0.1:{port}")
    return given


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    """The service and a worker, started with the commands of the compose file, sharing one volume."""
    home, port = tmp_path_factory.mktemp("volume"), free_port()
    url = f"http://127.0.0.1:{port}"
    with contextlib.ExitStack() as stack:
        for service in ("api", "worker"):
            command = COMPOSE["services"][service]["command"]
            log = home / f"{service}.log"
            stack.enter_context(program(command, environment(service, home, port), log))
            wait_for(lambda: answers(url), seconds=START_SECONDS, log=log)
        yield stack.enter_context(Zoo(url, TOKEN, cache=home / "client-cache"))


def test_the_services_of_the_compose_file_train_publish_and_rank(zoo: Zoo, tmp_path: Path) -> None:
    data = tmp_path / "quadrants.zip"
    data.write_bytes(quadrant_zip(per_class=30))
    dataset = zoo.datasets.publish(data)
    recipe = TrainingRecipe(
        task=TaskSpec(dataset=dataset.digest), family="mlp", width=16, epochs=2, output=OutputSpec(epochs=2)
    )
    job = zoo.jobs.submit(ModuleName.parse("team/quadrants"), recipe)
    for state in zoo.jobs.events(job.id):
        job = state
    assert job.status is JobStatus.DONE, job.error
    assert zoo.modules.fetch("team/quadrants-input@1").stat().st_size > 0


@pytest.mark.parametrize(("target", "program_module"), [("api", "api.asgi"), ("worker", "trainer.__main__")])
def test_an_image_holds_everything_that_its_command_imports(target: str, program_module: str) -> None:
    stage = (ROOT / "Dockerfile").read_text().split(f"FROM base AS {target}")[1].split("FROM base")[0]
    copied = {room for room in ROOMS if f"COPY {room} {room}" in stage}
    code = f"import sys, {program_module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert copied == set(loaded.split()) & set(ROOMS)
