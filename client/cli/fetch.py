"""`zoo fetch`: a version's file, verified."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from client.cache import place_copy
from client.cli.options import ZooOptions, module_ref, opened, takes
from client.cli.output import line, warn_of_yanked, write_json
from client.cli.progress import bars
from client.zoo import Zoo
from registry.frozen import Frozen
from registry.names import DigestField
from registry.records import PublishedModule


class Fetched(Frozen):
    """A version, and where its file is now."""

    ref: str
    digest: DigestField
    file: str


@dataclass(frozen=True, kw_only=True)
class FetchOptions(ZooOptions):
    """What `zoo fetch` takes."""

    ref: Annotated[str, typer.Argument(help="Version: namespace/name@3, @sha256:... or @alias.", metavar="REF")]
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Where to write it; default: NAME-VERSION.safetensors here.",
            dir_okay=False,
            readable=False,
        ),
    ] = None


@takes(FetchOptions)
def fetch(options: FetchOptions) -> None:
    """Fetch a version's file, verified.

    The bytes are checked against their digest while they come, and kept in the cache, so that they come once.
    """
    ref = module_ref(options.ref)
    target = options.output
    if target is not None and not target.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {str(target.parent)!r} to write {target.name!r} into")
    with opened(options) as zoo:
        module = zoo.modules.show(ref)
        warn_of_yanked(module)
        target = target or Path(f"{module.name}-{module.version}.safetensors")
        _fetch_to(zoo, module, target)
    if options.json:
        write_json(Fetched(ref=module.ref, digest=module.digest, file=str(target)))
    else:
        line(f"{target} {module.digest} verified")


def _fetch_to(zoo: Zoo, module: PublishedModule, target: Path) -> None:
    """Fetch a version into the cache, and copy it from there."""
    with bars() as bar:
        ref = f"{module.namespace}/{module.name}@{module.digest}"
        cached = zoo.modules.fetch(ref, on_bytes=bar.bytes(f"fetching {module.ref}"))
    place_copy(cached, target)
