"""Classes and data as commands take them."""

import hashlib
import os
import zipfile
from pathlib import Path

import pytest
import typer

from client.cli.data import parse_classes
from client.folders import as_file
from registry.errors import InvalidDatasetError


@pytest.mark.parametrize(
    ("texts", "classes"),
    [
        ([], {}),
        (["cat,dog"], {"cat": ("cat",), "dog": ("dog",)}),
        (["vehicle=car+ship", "animal=cat + dog"], {"vehicle": ("car", "ship"), "animal": ("cat", "dog")}),
        (["animal=cat+dog,car"], {"animal": ("cat", "dog"), "car": ("car",)}),
    ],
)
def test_classes_are_picked_or_merged(texts: list[str], classes: dict[str, tuple[str, ...]]) -> None:
    assert parse_classes(texts) == classes


@pytest.mark.parametrize("text", ["", "cat,", "=cat", "animal=", "animal=cat+", "cat,cat"])
def test_classes_without_a_name_or_twice_are_wrong_use(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_classes([text])


def make_folder(folder: Path, names: list[str]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def digest(data: Path) -> str:
    with as_file(data) as file:
        return hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_same_folder_always_gives_the_same_zip(tmp_path: Path) -> None:
    names = ["cat/1.png", "dog/1.png", "dog/2.png"]
    first, second = make_folder(tmp_path / "a", names), make_folder(tmp_path / "b", names[::-1])
    (second / "cat/1.png").chmod(0o600)
    assert digest(first) == digest(second)


def test_a_zip_holds_files_only_sorted_without_hidden_ones_and_links(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "a", ["dog/1.png", "cat/1.png", ".git/x", "cat/.DS_Store"])
    (folder / "cat" / "link.png").symlink_to(folder / "dog" / "1.png")
    (folder / "loop").symlink_to(folder)
    with as_file(folder) as file, zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["cat/1.png", "dog/1.png"]
        assert archive.read("cat/1.png") == b"cat/1.png"
    assert not file.exists()


def test_a_file_is_itself(tmp_path: Path) -> None:
    file = tmp_path / "data.zip"
    file.write_bytes(b"zip")
    with as_file(file) as same:
        assert same == file


def test_an_empty_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidDatasetError, match=str(tmp_path)), as_file(tmp_path):
        pass
    with pytest.raises(FileNotFoundError, match=r"missing\.zip"), as_file(tmp_path / "missing.zip"):
        pass


def test_a_folder_with_names_that_are_no_text_is_refused_by_name(tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / label).mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/a/caf\xe9.png")).touch()
    with (
        pytest.raises(InvalidDatasetError, match=r"1 names of files are not UTF-8: 'a/caf\\xe9\.png'"),
        as_file(tmp_path),
    ):
        pass
