"""`zoo outcome`: what a ranked module really reached."""

from dataclasses import dataclass
from typing import Annotated

import typer
from pydantic import ValidationError

from client.cli.options import ZooOptions, opened, takes
from client.cli.output import line, write_json
from registry.outcome_records import How, PostedOutcome
from registry.wrong_values import told


@dataclass(frozen=True, kw_only=True)
class OutcomeOptions(ZooOptions):
    """What `zoo outcome` takes."""

    query: Annotated[str, typer.Argument(help="The query of the ranking, as `zoo rank` prints it.")]
    module: Annotated[str, typer.Argument(help="A module of the ranking: namespace/name@version, or its digest.")]
    value: Annotated[
        float,
        typer.Argument(metavar="ACCURACY", help="What it reached; larger is better. A negative one goes after --."),
    ]
    how: Annotated[How, typer.Option(help="How the module was used.")] = "other"
    metric: Annotated[str, typer.Option(help="What was measured.")] = "accuracy"
    note: Annotated[str | None, typer.Option(help="Anything to remember, at most 500 characters.")] = None


@takes(OutcomeOptions)
def outcome(options: OutcomeOptions) -> None:
    """Tell what a ranked module really reached on your task.

    From three modules of a ranking on, `zoo calibration` shows how well it was predicted. What is told again replaces
    what was told before.
    """
    posted = _posted(options)
    with opened(options) as zoo:
        kept = zoo.outcomes.post(options.query, [posted])
    if options.json:
        write_json(kept)
        return
    one = kept.outcomes[0]
    said = "kept" if kept.created else "replaced" if kept.replaced else "was there already"
    line(f"{said}: {one.module.ref} {one.metric} {one.value:g} ({one.how.replace('_', ' ')}) for {one.query}")


def _posted(options: OutcomeOptions) -> PostedOutcome:
    """The outcome as the zoo takes it, or wrong use."""
    fields = {name: getattr(options, name) for name in PostedOutcome.model_fields}
    try:
        return PostedOutcome.model_validate(fields)
    except ValidationError as error:
        raise typer.BadParameter("; ".join(told(wrong, str(wrong["loc"][0])) for wrong in error.errors())) from error
