"""Which blob store the settings name, and what is said when they cannot be followed."""

import subprocess
import sys

import pytest

from registry.errors import SettingsError
from registry.settings import Settings
from storage.blob_choice import open_blobs
from storage.folder_blobs import FolderBlobs

WITHOUT_OBSTORE = """
import sys
sys.modules["obstore"] = None
from registry.errors import SettingsError
from registry.settings import Settings
from storage.wiring import open_zoo
open_zoo(Settings()).close()
try:
    open_zoo(Settings(blobs="s3://bucket"))
except SettingsError as error:
    print(error.detail)
"""


def test_with_nothing_said_it_is_a_folder(tmp_path):
    assert isinstance(open_blobs(Settings(home=tmp_path)), FolderBlobs)


def test_without_the_extra_a_folder_works_and_a_bucket_says_what_to_install(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_OBSTORE],
        env={"ZOO_HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "install module-zoo[s3]" in done.stdout


@pytest.mark.parametrize(
    "blobs",
    [
        "bucket",
        "s3://",
        "s3://B",
        "s3://bucket/../x y",
        "file:///tmp",
        "https://bucket",
        "s3://bucket//x",
        "s3://bucket/..",
        "s3://bucket/../x",
    ],
)
def test_a_place_that_is_no_bucket_is_refused(monkeypatch, blobs):
    monkeypatch.setenv("ZOO_BLOBS", blobs)
    with pytest.raises(SettingsError, match=r"ZOO_BLOBS.*s3://BUCKET"):
        Settings.load()


@pytest.mark.parametrize("blobs", ["s3://bucket", "s3://bucket/", "s3://bucket/prefix", "s3://my.bucket-1/a/b_c/"])
def test_a_bucket_with_or_without_a_prefix_is_taken(blobs):
    assert Settings(blobs=blobs).blobs == blobs


@pytest.mark.parametrize("name", ["ZOO_S3_ENDPOINT", "ZOO_S3_PUBLIC_ENDPOINT"])
@pytest.mark.parametrize("endpoint", ["store:8333", "ftp://store", "http://", "http://store/path", "http://a b"])
def test_an_endpoint_that_is_no_address_is_refused(monkeypatch, name, endpoint):
    monkeypatch.setenv(name, endpoint)
    with pytest.raises(SettingsError, match=f"{name}.*http://HOST:PORT"):
        Settings.load()


@pytest.mark.parametrize("given", [{"s3_redirect": True}, {"s3_endpoint": "http://store:8333"}])
def test_what_is_said_of_a_store_that_is_not_named_is_refused(tmp_path, given):
    with pytest.raises(SettingsError, match="needs ZOO_BLOBS"):
        open_blobs(Settings(home=tmp_path, **given))


def test_the_secret_of_the_store_is_not_shown():
    assert "hidden" not in repr(Settings(blobs="s3://bucket", s3_secret_access_key="hidden"))
