"""Pipelines of digits for the tests of inspection: a sound one, and the same with one module damaged."""

from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import torch
from PIL import Image

from client.inspections import Inspection, InspectionRequest, ModuleFile
from registry.module_file import read_module, write_module_file
from registry.names import Digest
from registry.networks.build import build, initialise
from tests.trainer.examples import digit_arrays, digits, ignore, never, recipe
from trainer.inspected import inspect
from trainer.run import train

ENDINGS = ("input", "hidden-1", "output")
SEEN = 900
"""The networks learn from so many digits, drawn from all writers; they are inspected on the others."""


def order() -> np.ndarray:
    """The digits in random order, for the package has them writer by writer."""
    return np.random.default_rng(0).permutation(len(digit_arrays()[1]))


@cache
def trained() -> tuple[bytes, ...]:
    """The files of a sound network of two hidden parts and an output module."""
    images, labels = digit_arrays()
    known = order()[:SEEN]
    data = replace(digits(classes=10), images=images[known], labels=labels[known])
    network = train(recipe(modules=2, epochs=8), data, report=ignore, should_stop=never)
    return tuple(module.file for module in network.modules)


def write_network(folder: Path) -> list[Path]:
    """The sound network's files, the input module first."""
    paths = [folder / f"digits-{ending}.safetensors" for ending in ENDINGS]
    for path, data in zip(paths, trained(), strict=True):
        path.write_bytes(data)
    return paths


def damage(path: Path) -> Digest:
    """Give a module fresh random weights; all that its file says of itself stays."""
    manifest = read_module(path).manifest
    network = build(manifest.architecture)
    initialise(network, torch.Generator().manual_seed(3))
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    return write_module_file(path, manifest, weights).digest


def unseen(folder: Path) -> Path:
    """Digits that no module saw."""
    images, labels = digit_arrays()
    chosen = order()[SEEN:]
    path = folder / "unseen.npz"
    np.savez(path, images=images[chosen, :, :, 0], labels=labels[chosen])
    return path


def unseen_pictures(folder: Path, *, broken: int) -> Path:
    """The same digits as a zip of pictures, of which some more cannot be read."""
    images, labels = digit_arrays()
    path = folder / "unseen.zip"
    with ZipFile(path, "w") as file:
        for index in order()[SEEN:]:
            picture = BytesIO()
            Image.fromarray(images[index, :, :, 0]).save(picture, "png")
            file.writestr(f"{labels[index]}/{index}.png", picture.getvalue())
        for index in range(broken):
            file.writestr(f"7/broken-{index}.png", b"no picture")
    return path


def inspected(paths: list[Path], data: Path, **changes: object) -> Inspection:
    """What an inspection of these modules finds."""
    modules = tuple(ModuleFile(name=path.stem, file=str(path)) for path in paths)
    request = InspectionRequest.model_validate({"modules": modules, "data": str(data), "examples": 800, **changes})
    return inspect(request, report=ignore)
