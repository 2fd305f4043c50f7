"""`zoo publish`: a module file, or a backbone that the user has weights of, becomes the next version of a module."""

import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from client.cache import digest_of_file
from client.cli.options import ZooOptions, module_name, opened, takes
from client.cli.output import line, write_json
from client.cli.programs import check_ended, run
from client.cli.progress import bars
from client.cli.work import require_torch
from client.trained_files import trained_files
from client.zoo import Zoo
from registry.errors import NotFoundError
from registry.frozen import Frozen
from registry.names import ModuleName
from registry.records import PublishedModule
from registry.wrapping import WrapRequest
from registry.wrong_values import told

FILES = "backbone"
"""What the files of a backbone are called until they are published."""

OF_BACKBONES = {
    "modules": 1,
    "cut": [],
    "preset": None,
    "image_size": None,
    "mean": None,
    "std": None,
    "description": "",
    "license": "",
    "tag": [],
}
"""Options that a module file does not take, for it has its own manifest; and what they are where nothing is typed."""


class PublishedBackbone(Frozen):
    """The modules that a backbone was cut into, the input module first."""

    modules: tuple[PublishedModule, ...]


@dataclass(frozen=True, kw_only=True)
class PublishOptions(ZooOptions):
    """What `zoo publish` takes."""

    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Module file, or weights (safetensors).")]
    module: Annotated[
        str | None, typer.Argument(help="Module to publish it under.", metavar="NAMESPACE/NAME", show_default=False)
    ] = None
    name: Annotated[str | None, typer.Option(help="The same as an option.", metavar="NAMESPACE/NAME")] = None
    torchvision: Annotated[str | None, typer.Option(help="The file has weights of this network of torchvision.")] = None
    timm: Annotated[str | None, typer.Option(help="The file has weights of this network of timm.")] = None
    modules: Annotated[int, typer.Option(help="Cut a backbone into so many modules of about the same work.")] = 1
    cut: Annotated[list[int], typer.Option(help="Cut a backbone before this stage; may be repeated.")] = field(
        default_factory=list
    )
    preset: Annotated[str | None, typer.Option(help="Weights of torchvision whose preprocessing is meant.")] = None
    image_size: Annotated[int | None, typer.Option(help="Side of a backbone's images, in pixels.")] = None
    mean: Annotated[str | None, typer.Option(help="Of a backbone's channels, as 0.485,0.456,0.406.")] = None
    std: Annotated[str | None, typer.Option(help="Of a backbone's channels, as 0.229,0.224,0.225.")] = None
    description: Annotated[str, typer.Option(help="Of a backbone, for people.")] = ""
    license: Annotated[str, typer.Option(help="Of a backbone's weights.")] = ""
    tag: Annotated[list[str], typer.Option(help="Of a backbone; may be repeated.")] = field(default_factory=list)

    @property
    def target(self) -> ModuleName:
        """Under which name to publish, typed one way or the other; or wrong use."""
        if (self.module is None) == (self.name is None):
            raise typer.BadParameter("give the module's NAMESPACE/NAME once, after the file or as --name")
        return ModuleName.parse(module_name(self.module or self.name or ""))

    def request(self) -> WrapRequest | None:
        """The backbone that is asked for; None for a module file, or wrong use."""
        if self.torchvision is None and self.timm is None:
            self._check_plain()
            return None
        if self.torchvision is not None and self.timm is not None:
            raise typer.BadParameter("a file has weights of one network: give --torchvision or --timm")
        try:
            return WrapRequest(
                library="timm" if self.torchvision is None else "torchvision",
                backbone=self.torchvision or self.timm or "",
                modules=self.modules,
                cuts=tuple(self.cut),
                preset=self.preset,
                image_size=self.image_size,
                mean=_channels(self.mean, option="--mean"),
                std=_channels(self.std, option="--std"),
                description=self.description,
                license=self.license,
                tags=tuple(self.tag),
            )
        except ValidationError as error:
            raise typer.BadParameter(_said(error)) from error

    def _check_plain(self) -> None:
        """Wrong use where options of backbones are typed for a module file."""
        typed = [key for key, usual in OF_BACKBONES.items() if getattr(self, key) != usual]
        if typed:
            options = ", ".join(f"--{key.replace('_', '-')}" for key in typed)
            raise typer.BadParameter(f"{options}: only for weights of a backbone, with --torchvision or --timm")


@takes(PublishOptions)
def publish(options: PublishOptions) -> None:
    """Publish a module file as the next version of a module, or a backbone of torchvision or timm.

    The same bytes are published once: a second time gives the version that has them. A backbone that is cut into
    several modules is published as NAME-input, NAME-hidden-1 and so on.
    """
    target, request = options.target, options.request()
    if request is not None:
        _publish_backbone(options, target, request)
        return
    with opened(options) as zoo:
        module, created = _published(zoo, target, options.file)
    if options.json:
        write_json(module)
    else:
        _say(module, created=created)


def _publish_backbone(options: PublishOptions, target: ModuleName, request: WrapRequest) -> None:
    """Make the backbone's module files in a process that has torch, and publish them, the input module first."""
    require_torch()
    with tempfile.TemporaryDirectory(prefix="module-zoo-") as folder, opened(options) as zoo:
        out = Path(folder)
        (out / "request.json").write_text(request.model_dump_json())
        command = wrap_command(options.file, out, as_json=options.json)
        check_ended(run(command, stdout=subprocess.DEVNULL).returncode, what="wrapping")
        files = trained_files(out, FILES)
        found = [_published(zoo, name_of(target, file, alone=len(files) == 1), file) for file in files]
    if options.json:
        write_json(PublishedBackbone(modules=tuple(module for module, _ in found)))
        return
    for module, created in found:
        _say(module, created=created)


def wrap_command(weights: Path, out: Path, *, as_json: bool = False) -> list[str]:
    """The command line that makes module files of a backbone, as ``request.json`` in ``out`` asks for."""
    where = ["--request", str(out / "request.json"), "--weights", str(weights), "--out", str(out), "--name", FILES]
    return [sys.executable, "-m", "trainer", "wrap", *where, *(["--json"] if as_json else [])]


def name_of(target: ModuleName, file: Path, *, alone: bool) -> str:
    """What one part of a backbone is published as."""
    return str(target) if alone else f"{target}{file.stem.removeprefix(FILES)}"


def _published(zoo: Zoo, name: ModuleName | str, file: Path) -> tuple[PublishedModule, bool]:
    """The version with a file's bytes, and whether it is new; known bytes are sent again only if they were refused."""
    known = _known(zoo, name, file)
    if known is not None and not known.verification.refused:
        return known, False
    with bars() as bar:
        return zoo.modules.publish(name, file, on_bytes=bar.bytes(f"sending {file.name}")), known is None


def _known(zoo: Zoo, name: ModuleName | str, file: Path) -> PublishedModule | None:
    """The version that has a file's bytes, if there is one."""
    try:
        return zoo.modules.show(f"{name}@{digest_of_file(file)}")
    except NotFoundError:
        return None


def _say(module: PublishedModule, *, created: bool) -> None:
    line(f"{'published' if created else 'was there already:'} {module.ref} {module.digest}")


def _channels(text: str | None, *, option: str) -> tuple[float, float, float] | None:
    """Three numbers with commas between them, or wrong use."""
    if text is None:
        return None
    try:
        red, green, blue = map(float, text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{text[:100]!r} is not three numbers, as 0.5,0.5,0.5", param_hint=option) from error
    return red, green, blue


def _said(error: ValidationError) -> str:
    """What is wrong with what was typed, in one line."""
    return "; ".join(told(fault, ".".join(map(str, fault["loc"]))) for fault in error.errors(include_url=False))
