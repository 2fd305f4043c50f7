"""Data as commands take it: a file, a folder, or what the zoo has already; and what its labels mean."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from client.cli.output import note
from client.cli.progress import bars
from client.folders import as_file
from client.zoo import Zoo
from registry.errors import ConflictError, NotFoundError
from registry.names import parse_digest
from registry.records import Dataset, LeftOut

CLASSES_HELP = 'What the labels mean: "cat,dog" picks labels, "vehicle=car+ship" merges them; may be repeated.'

SendOption = Annotated[
    bool, typer.Option("--send", help="Send the images also where `zoo rank --here` has kept them here until now.")
]

_TASK_ID = re.compile(r"task-[A-Za-z0-9_-]+")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def parse_classes(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Classes, each with the dataset labels merged into it, in the order given.

    Raises:
        typer.BadParameter: a name is empty, or a class is given twice.
    """
    classes: dict[str, tuple[str, ...]] = {}
    for text in (part for given in texts for part in given.split(",")):
        label, equals, merged = text.partition("=")
        parts = tuple(part.strip() for part in (merged if equals else label).split("+"))
        name = label.strip()
        if not name or not all(parts):
            raise typer.BadParameter(f"{text!r} has an empty name; write class, or class=label+label")
        if name in classes:
            raise typer.BadParameter(f"the class {name!r} is given twice; merge its labels with '+'")
        classes[name] = parts
    return classes


def existing(text: str) -> Path:
    """A file or folder that is there, or wrong use."""
    path = Path(text)
    if not text or not path.exists():
        raise typer.BadParameter(f"there is no file or folder {text!r}")
    return path


@dataclass(frozen=True, kw_only=True)
class Sending:
    """How images are sent: without the broken ones, and also where only a description was sent before."""

    leave_out_broken: bool = False
    stated_too: bool = True


ALL_OF_IT = Sending()


def publish_dataset(zoo: Zoo, data: Path, sending: Sending = ALL_OF_IT) -> Dataset:
    """Send a file or folder to the zoo, unless it has it already, and say what was left out.

    Raises:
        ConflictError: the images are not to be sent where only a description of them was.
    """
    with as_file(data) as file, bars() as bar:
        on_bytes = bar.bytes(f"sending {data.name}")
        dataset = zoo.datasets.publish(
            file, leave_out_broken=sending.leave_out_broken, stated_too=sending.stated_too, on_bytes=on_bytes
        )
    tell_left_out(str(data), dataset.left_out_count, dataset.left_out)
    return dataset


def tell_left_out(data: str, count: int, first: Sequence[LeftOut]) -> None:
    """Say how many of the items in a dataset were left out, and why the first of them."""
    if count:
        note(f"{count} of the items in {data} were left out:")
    for item in first[:5]:
        note(f"  {item.item}: {item.reason}")


def task_of(zoo: Zoo, data: str, classes: Sequence[str], sending: Sending) -> str:
    """The task that a command means: a task's id, a dataset's digest, or data here that is sent first.

    Raises:
        ConflictError: the zoo has no more than a description of the images, so that its workers cannot score them.
    """
    merged = parse_classes(classes)
    if _TASK_ID.fullmatch(data) and not Path(data).exists():
        if merged:
            raise typer.BadParameter(f"{data} has its classes already; name a dataset to choose others")
        _check_held(zoo, data)
        return data
    if _DIGEST.fullmatch(data):
        digest = parse_digest(data)
        _check_held(zoo, data)
    else:
        digest = publish_dataset(zoo, existing(data), sending).digest
    return zoo.tasks.create(digest, merged).id if merged else digest


def _check_held(zoo: Zoo, data: str) -> None:
    """Raises ConflictError where nobody but whoever has the images of a task or dataset can score modules on them."""
    try:
        dataset = zoo.datasets.show(parse_digest(data) if _DIGEST.fullmatch(data) else zoo.tasks.show(data).dataset)
    except NotFoundError:  # of somebody else, or not there: the question tells
        return
    if not dataset.held:
        raise ConflictError(
            f"only a description of these images is in the zoo (dataset {dataset.digest}); "
            "run `zoo rank DATA --here` where they are"
        )


def check_use(data: str, classes: Sequence[str]) -> None:
    """Find wrong use before anything is sent."""
    parse_classes(classes)
    if not _TASK_ID.fullmatch(data) and not _DIGEST.fullmatch(data):
        existing(data)
