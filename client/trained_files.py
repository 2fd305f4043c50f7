"""The module files that a training run left in a folder, found by what each says it stands on."""

import re
from pathlib import Path

from client.cache import digest_of_file
from registry.errors import NotFoundError
from registry.module_file import read_header
from registry.names import Digest


def trained_files(folder: Path, name: str) -> tuple[Path, ...]:
    """The files of the newest run under a name, the input module first.

    Files of an earlier run may lie beside them; a file belongs to the run when its `below` is the one before.

    Raises:
        NotFoundError: there is no input module.
        InvalidModuleFileError: a file is damaged.
    """
    ending = re.compile(re.escape(name) + r"-(hidden-[0-9]+|output)\.safetensors")
    first = folder / f"{name}-input.safetensors"
    if not first.is_file():
        raise NotFoundError(f"there is no module file {first}; train with this name and --out first")
    above = {_below(path): path for path in sorted(folder.iterdir()) if ending.fullmatch(path.name)}
    files = [first]
    while (found := above.pop(digest_of_file(files[-1]), None)) is not None:
        files.append(found)
    return tuple(files)


def _below(path: Path) -> Digest | None:
    """The digest of the module that a file's module stands on."""
    with path.open("rb") as file:
        return read_header(file, size_bytes=path.stat().st_size).manifest.below
