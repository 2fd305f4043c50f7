"""`zoo publish`: a module file becomes the next version of a module."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from client.cache import digest_of_file
from client.cli.options import ZooOptions, module_name, opened, takes
from client.cli.output import line, write_json
from client.cli.progress import bars
from client.zoo import Zoo
from registry.errors import NotFoundError
from registry.records import PublishedModule


@dataclass(frozen=True, kw_only=True)
class PublishOptions(ZooOptions):
    """What `zoo publish` takes."""

    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Module file (safetensors).")]
    name: Annotated[str, typer.Argument(help="Module to publish it under.", metavar="NAMESPACE/NAME")]


@takes(PublishOptions)
def publish(options: PublishOptions) -> None:
    """Publish a module file as the next version of a module.

    The same bytes are published once: a second time gives the version that has them.
    """
    name = module_name(options.name)
    with opened(options) as zoo, bars() as bar:
        known = _known(zoo, name, options.file)
        module = known or zoo.modules.publish(name, options.file, on_bytes=bar.bytes(f"sending {options.file.name}"))
    if options.json:
        write_json(module)
    else:
        line(f"{'was there already:' if known else 'published'} {module.ref} {module.digest}")


def _known(zoo: Zoo, name: str, file: Path) -> PublishedModule | None:
    """The version that has these bytes already; None where they are new, and have to be sent."""
    try:
        return zoo.modules.show(f"{name}@{digest_of_file(file)}")
    except NotFoundError:
        return None
