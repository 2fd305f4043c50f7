"""`zoo yank`: hide a version that should not be used any more."""

from dataclasses import dataclass
from typing import Annotated

import typer

from client.cli.options import ZooOptions, opened, takes, wrong_use
from client.cli.output import line, write_json
from registry.names import ModuleRef


@dataclass(frozen=True, kw_only=True)
class YankOptions(ZooOptions):
    """What `zoo yank` takes."""

    ref: Annotated[str, typer.Argument(help="Version by its number: namespace/name@3.", metavar="REF")]
    reason: Annotated[str | None, typer.Argument(help="Why it should not be used any more.", metavar="REASON")] = None
    undo: Annotated[bool, typer.Option("--undo", help="Show the version again.")] = False


@takes(YankOptions)
def yank(options: YankOptions) -> None:
    """Hide a version from searches, rankings and `latest`.

    Whoever names it still gets it, with a warning.
    """
    with wrong_use():
        ref = ModuleRef.parse(options.ref)
    if ref.selector.version is None:
        raise typer.BadParameter(f"{options.ref[:200]!r} names no version by its number; write namespace/name@3")
    if (options.reason is None) != options.undo:
        raise typer.BadParameter("give a reason, or --undo")
    with opened(options) as zoo:
        module = zoo.modules.yank(ref.name, ref.selector.version, reason=options.reason)
    if options.json:
        write_json(module)
    else:
        line(f"{module.ref} is yanked: {module.yanked}" if module.yanked else f"{module.ref} is shown again")
