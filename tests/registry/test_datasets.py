"""Datasets: checked whole, private, removed with all that came of them."""

import io
import zipfile

import pytest

from registry.errors import InvalidDatasetError, NotFoundError
from registry.names import Digest
from registry.zoo import Zoo
from tests.numpy_worker import OWNER, add_dataset, publish, quadrant_module, quadrant_zip


def test_a_dataset_is_described_and_found_by_its_owner_only(zoo: Zoo) -> None:
    data = add_dataset(zoo)
    dataset = zoo.datasets.get(data, owner=OWNER)
    assert (dataset.examples, dataset.classes, dataset.counts) == (80, ("a", "b", "c", "d"), (20, 20, 20, 20))
    assert (dataset.shape, dataset.same_shape) == ((8, 8, 1), True)
    with pytest.raises(NotFoundError):
        zoo.datasets.get(data, owner="eve")


def test_bytes_that_are_no_dataset_are_not_kept(zoo: Zoo) -> None:
    blob = zoo.blobs.put(b"no dataset")
    with pytest.raises(InvalidDatasetError):
        zoo.datasets.add(blob, owner=OWNER)
    with pytest.raises(NotFoundError):
        zoo.blobs.info(blob)


def test_the_bytes_of_a_module_are_kept_when_they_are_no_dataset(zoo: Zoo) -> None:
    module = publish(zoo, "ada/module", quadrant_module())
    with pytest.raises(InvalidDatasetError):
        zoo.datasets.add(module.digest, owner=OWNER)
    assert zoo.blobs.info(module.digest).size_bytes == module.size_bytes


def test_bytes_stay_while_another_owner_holds_them(zoo: Zoo) -> None:
    data = add_dataset(zoo)
    assert zoo.datasets.add(zoo.blobs.put(quadrant_zip()), owner="bob").created
    zoo.datasets.remove(data, owner=OWNER)
    assert zoo.datasets.get(data, owner="bob").examples == 80
    zoo.datasets.remove(data, owner="bob")
    with pytest.raises(NotFoundError):
        zoo.blobs.info(data)


def test_the_same_dataset_is_added_once(zoo: Zoo) -> None:
    data = add_dataset(zoo)
    assert not zoo.datasets.add(data, owner=OWNER).created
    assert len(zoo.datasets.list(owner=OWNER, limit=10, cursor=None).items) == 1


def test_bytes_that_were_recorded_again_meanwhile_are_not_deleted(zoo: Zoo) -> None:
    data = add_dataset(zoo)

    def recorded_again(blob: Digest) -> None:
        if blob == data:
            zoo.datasets.add(blob, owner=OWNER)
        zoo.keeper.discard(blob)

    zoo.datasets.remove(data, owner=OWNER, discard=recorded_again)
    assert zoo.datasets.get(data, owner=OWNER).examples == 80
    assert zoo.blobs.info(data).size_bytes > 0


def test_a_dataset_whose_bytes_are_gone_is_not_recorded(zoo: Zoo) -> None:
    data = add_dataset(zoo)
    zoo.blobs.delete(data)
    with pytest.raises(NotFoundError, match="upload them again"):
        zoo.datasets.add(data, owner="bob")


def test_one_owners_leniency_does_not_decide_for_another(zoo: Zoo) -> None:
    broken = io.BytesIO(quadrant_zip())
    with zipfile.ZipFile(broken, "a") as archive:
        archive.writestr(zipfile.ZipInfo("a/broken.png"), b"\x89PNG\r\n\x1a\n cut off")
    blob = zoo.blobs.put(broken.getvalue())
    assert zoo.datasets.add(blob, owner=OWNER, leave_out_broken=True).dataset.left_out_count == 1
    with pytest.raises(InvalidDatasetError, match="broken"):
        zoo.datasets.add(blob, owner="bob")
    assert zoo.datasets.get(blob, owner=OWNER).examples == 80
    assert zoo.blobs.info(blob).size_bytes > 0


def test_bytes_that_somebody_else_brought_stay_when_a_dataset_of_theirs_goes(zoo: Zoo) -> None:
    data = add_dataset(zoo)
    with zoo.begin() as work:
        work.blob_owners.add(data, owner="bob")
    zoo.datasets.remove(data, owner=OWNER)
    assert zoo.blobs.info(data).size_bytes > 0


def test_bytes_that_are_no_dataset_stay_where_somebody_brought_them(zoo: Zoo) -> None:
    blob = zoo.blobs.put(b"not a dataset")
    with zoo.begin() as work:
        work.blob_owners.add(blob, owner="bob")
    with pytest.raises(InvalidDatasetError):
        zoo.datasets.add(blob, owner=OWNER)
    assert zoo.blobs.info(blob).size_bytes > 0
