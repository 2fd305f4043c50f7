"""Images that stayed at home stay there until they are sent on purpose; what only they can answer is not waited for."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.cache import digest_of_file
from client.cli.app import main
from client.cli.data import Sending, task_of
from client.zoo import Zoo
from registry.dataset_file import limits_from, summarise
from registry.errors import ConflictError
from registry.settings import Settings
from registry.statements import DatasetStatement
from tests.numpy_worker import quadrant_zip

pytestmark = pytest.mark.usefixtures("no_logs_of_the_service", "zoo")

KEPT_HERE = Sending(stated_too=False)


@pytest.fixture
def data(zoo: Zoo, tmp_path: Path) -> Iterator[Path]:
    """A file that the zoo was told of, and does not have."""
    file = tmp_path / "private.zip"
    file.write_bytes(quadrant_zip(8))
    found = summarise(io.BytesIO(file.read_bytes()), limits=limits_from(Settings()))
    zoo.datasets.state(
        DatasetStatement(
            digest=digest_of_file(file),
            format=found.format,
            size_bytes=file.stat().st_size,
            classes=found.classes,
            counts=found.counts,
            shape=found.shape,
            same_shape=found.same_shape,
            left_out_count=0,
        )
    )
    yield file
    zoo.datasets.delete(digest_of_file(file))


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command says that fails."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 1
    return capsys.readouterr().err


@pytest.mark.parametrize("command", ["rank", "sets"])
def test_images_that_stayed_at_home_are_not_sent_by_the_way(
    command: str, zoo: Zoo, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(capsys, command, str(data))
    assert "these images stayed at home until now" in told
    assert "--send" in told
    assert json.loads(refused(capsys, command, str(data), "--json"))["code"] == "conflict"
    assert not zoo.datasets.show(digest_of_file(data)).held


def test_they_are_sent_on_purpose_and_then_like_others(zoo: Zoo, data: Path) -> None:
    digest = digest_of_file(data)
    assert task_of(zoo, str(data), (), Sending(stated_too=True)) == digest
    assert zoo.datasets.show(digest).held
    assert task_of(zoo, str(data), (), KEPT_HERE) == digest
    assert task_of(zoo, digest, (), KEPT_HERE) == digest


def test_images_that_the_zoo_was_never_told_of_are_sent(zoo: Zoo, tmp_path: Path) -> None:
    file = tmp_path / "new.zip"
    file.write_bytes(quadrant_zip(8, seed=1))
    task_of(zoo, str(file), (), KEPT_HERE)
    assert zoo.datasets.show(digest_of_file(file)).held
    zoo.datasets.delete(digest_of_file(file))


@pytest.mark.parametrize("command", ["rank", "sets"])
def test_a_description_by_itself_is_not_waited_for(
    command: str, zoo: Zoo, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = digest_of_file(data)
    task = zoo.tasks.create(digest, {"left": ("a", "c"), "right": ("b", "d")}).id
    for named in (digest, task):
        told = refused(capsys, command, named, "--seed", "7")
        assert "only a description of these images is in the zoo" in told
        assert "run `zoo rank DATA --here` where they are" in told


def test_whoever_does_not_say_otherwise_sends(zoo: Zoo, data: Path) -> None:
    with pytest.raises(ConflictError, match="stayed at home"):
        zoo.datasets.publish(data, stated_too=False)
    assert zoo.datasets.publish(data).held
