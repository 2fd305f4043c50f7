"""A whole service whose bytes are in a real object store, by a real client, with and without signed links."""

import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from client.cache import digest_of_bytes
from client.connection import Timeouts
from client.zoo import Zoo
from registry.names import ModuleName
from registry.recipes import OutputSpec, TaskSpec, TrainingRecipe
from registry.records import JobStatus
from storage import s3_blobs
from tests.api.serving import serving
from tests.end_to_end.processes import TOKEN, program
from tests.end_to_end.store_proxy import StoreProxy, proxy_to
from tests.numpy_worker import linear_module, quadrant_zip
from tests.object_store import ObjectStore

pytestmark = pytest.mark.s3

PATIENT = Timeouts(retry_seconds=0.01)
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def proxy(object_store: ObjectStore) -> Iterator[StoreProxy]:
    with proxy_to(object_store.endpoint) as found:
        yield found


@pytest.fixture(params=[False, True], ids=["through-the-service", "from-the-store"])
def redirect(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def url(tmp_path: Path, object_store: ObjectStore, proxy: StoreProxy, redirect: bool) -> Iterator[str]:
    settings = {"token": TOKEN, "s3_redirect": redirect, "s3_public_endpoint": proxy.url, **object_store.settings()}
    with serving(tmp_path / "home", **settings) as service:
        yield str(service.http.base_url).rstrip("/")


@pytest.fixture
def zoo(url: str, tmp_path: Path) -> Iterator[Zoo]:
    with Zoo(url, TOKEN, cache=tmp_path / "cache", timeouts=PATIENT) as found:
        yield found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "module.safetensors"
    path.write_bytes(linear_module(1))
    return path


def test_a_module_goes_there_and_comes_back(zoo: Zoo, url: str, file: Path, proxy: StoreProxy, redirect: bool) -> None:
    published = zoo.modules.publish("team/eyes", file)
    assert httpx.get(f"{url}/readyz").json() == {"status": "ok"}
    assert zoo.modules.fetch("team/eyes@1").read_bytes() == file.read_bytes()
    assert len(proxy.heads) == redirect
    assert zoo.modules.publish("team/eyes", file) == published
    listed = httpx.get(f"{url}/modules/team/eyes/versions/1/tensors").json()
    assert listed["digest"] == digest_of_bytes(file.read_bytes())


def test_the_token_stays_with_the_zoo(zoo: Zoo, proxy: StoreProxy, redirect: bool) -> None:
    data = secrets.token_bytes(1000)
    assert zoo.blobs.fetch(zoo.blobs.put(data)).read_bytes() == data
    assert len(proxy.heads) == redirect
    for head in proxy.heads:
        assert "authorization" not in head.lower()
        assert TOKEN not in head


@pytest.mark.parametrize("redirect", [True], indirect=True)
def test_a_download_that_breaks_goes_on_at_the_store_with_a_new_link(zoo: Zoo, proxy: StoreProxy) -> None:
    data = secrets.token_bytes(3_000_000)
    digest = zoo.blobs.put(data)
    proxy.breaks = [1_000_000, 1_000_000]
    assert zoo.blobs.fetch(digest).read_bytes() == data
    ranges = proxy.ranges()
    assert ranges[0] is None
    places = [int(found[1]) for asked in ranges[1:] if asked and (found := re.fullmatch(r"bytes=([0-9]+)-", asked))]
    assert len(places) == len(ranges) - 1 == 2
    assert 0 < places[0] < places[1] < 2_000_000


@pytest.mark.parametrize("redirect", [True], indirect=True)
def test_a_link_that_expired_on_the_way_is_asked_for_anew(
    zoo: Zoo, proxy: StoreProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_blobs, "LINK_SECONDS", 1)
    data = secrets.token_bytes(1000)
    digest = zoo.blobs.put(data)
    proxy.delays = [2.5]
    assert zoo.blobs.fetch(digest).read_bytes() == data
    assert len(proxy.heads) == 2


@pytest.mark.parametrize("redirect", [True], indirect=True)
def test_a_redirect_says_what_the_bytes_are_and_is_kept_for_less_time_than_it_is_good(zoo: Zoo, url: str) -> None:
    data = secrets.token_bytes(1000)
    digest = zoo.blobs.put(data)
    sent = httpx.get(f"{url}/blobs/{digest}", headers=AUTHORIZED)
    assert sent.status_code == 307
    assert sent.headers["etag"] == f'"{digest}"'
    assert sent.headers["repr-digest"].startswith("sha-256=:")
    assert sent.headers["cache-control"] == "private, max-age=240"
    assert "X-Amz-Expires=300" in sent.headers["location"]
    assert sent.content == b""
    assert httpx.get(sent.headers["location"]).content == data
    assert httpx.get(f"{url}/blobs/{digest}").status_code == 401


@pytest.mark.parametrize("redirect", [True], indirect=True)
def test_what_needs_no_bytes_is_answered_by_the_zoo_itself(zoo: Zoo, url: str, file: Path) -> None:
    module = zoo.modules.publish("team/eyes", file)
    path = f"{url}/modules/team/eyes/versions/1/file"
    told = httpx.head(path)
    assert (told.status_code, told.headers["content-length"]) == (200, str(file.stat().st_size))
    assert httpx.get(path, headers={"If-None-Match": told.headers["etag"]}).status_code == 304
    beyond = httpx.get(path, headers={"Range": f"bytes={file.stat().st_size}-"})
    assert (beyond.status_code, beyond.json()["code"]) == (416, "range_not_satisfiable")
    assert httpx.get(path).status_code == 307
    assert module is not None


@pytest.mark.timeout(600)
@pytest.mark.parametrize("redirect", [True], indirect=True)
def test_a_worker_reads_its_data_from_the_store_and_never_shows_it_the_token(
    zoo: Zoo, url: str, proxy: StoreProxy, tmp_path: Path
) -> None:
    data = tmp_path / "quadrants.zip"
    data.write_bytes(quadrant_zip(per_class=30))
    task = TaskSpec(dataset=zoo.datasets.publish(data).digest)
    recipe = TrainingRecipe(task=task, family="mlp", width=16, epochs=1, output=OutputSpec(epochs=1))
    told = {"ZOO_URL": url, "ZOO_TOKEN": TOKEN, "ZOO_HOME": str(tmp_path / "worker")}
    with program(["python", "-m", "trainer", "work"], told, tmp_path / "worker.log"):
        job = zoo.jobs.submit(ModuleName.parse("team/quadrants"), recipe)
        for state in zoo.jobs.events(job.id):
            job = state
    assert job.status is JobStatus.DONE, job.error
    assert proxy.heads
    assert not any("authorization" in head.lower() or TOKEN in head for head in proxy.heads)


def test_two_replicas_share_a_bucket(tmp_path: Path, object_store: ObjectStore) -> None:
    settings, home = object_store.settings(), tmp_path / "home"
    with serving(home, **settings) as one, serving(home, **settings) as other:
        data = secrets.token_bytes(1000)
        digest = digest_of_bytes(data)
        assert one.http.put(f"/blobs/{digest}", content=data).status_code == 201
        assert other.http.put(f"/blobs/{digest}", content=data).status_code == 200
        assert other.http.get(f"/blobs/{digest}").content == data


def test_readiness_tells_that_the_store_has_gone_and_come_back(tmp_path: Path, object_store: ObjectStore) -> None:
    with proxy_to(object_store.endpoint) as way:
        settings = {**object_store.settings(), "s3_endpoint": way.url}
        with serving(tmp_path / "home", **settings) as service:
            assert service.http.get("/readyz").status_code == 200
            way.closed = True
            answer = soon(service.http, 503)
            assert (answer.status_code, answer.json()["code"]) == (503, "busy")
            assert "the object store does not answer" in answer.json()["detail"]
            refused = service.http.put(f"/blobs/{digest_of_bytes(b'new')}", content=b"new")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            way.closed = False
            assert service.http.put(f"/blobs/{digest_of_bytes(b'new')}", content=b"new").status_code == 201
            soon(service.http, 200)


def soon(http: httpx.Client, status: int) -> httpx.Response:
    """The answer of readiness once it has a status; a look at the parts is told again for a second."""
    deadline = time.monotonic() + 40
    while (answer := http.get("/readyz")).status_code != status:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.2)
    return answer
