"""`zoo compose`: modules become a pipeline."""

from dataclasses import dataclass
from typing import Annotated

import typer

from client.cli.options import ZooOptions, module_ref, opened, takes, word
from client.cli.output import line, write_json


@dataclass(frozen=True, kw_only=True)
class ComposeOptions(ZooOptions):
    """What `zoo compose` takes."""

    name: Annotated[str, typer.Argument(help="Name of the pipeline.")]
    refs: Annotated[list[str], typer.Argument(help="Its modules, the input module first.", metavar="REF")]


@takes(ComposeOptions)
def compose(options: ComposeOptions) -> None:
    """Compose modules into a pipeline.

    It is pinned to the modules' digests. Where modules do not fit, every misfit is named.
    """
    name, refs = word(options.name, what="name of a pipeline"), [module_ref(ref) for ref in options.refs]
    if len(refs) < 2:
        raise typer.BadParameter(f"a pipeline has two modules or more, got {refs[0]!r} only; add its output module")
    with opened(options) as zoo:
        pipeline = zoo.pipelines.compose(name, refs)
    if options.json:
        write_json(pipeline)
        return
    line(f"{pipeline.id} {pipeline.name}")
    for module in pipeline.modules:
        line(f"  {module.role:6} {module.ref} {module.digest}")
    line(f"  labels {', '.join(pipeline.labels)}")
