"""`zoo predict`: a pipeline runs over images."""

from dataclasses import dataclass
from typing import Annotated

import typer

from client.cli.data import existing
from client.cli.options import ZooOptions, opened, takes, word
from client.cli.output import answers, line, plain_table, write_json
from client.cli.progress import bars
from client.folders import as_file
from client.zoo import Zoo
from registry.work import Prediction, PredictResult

SHOWN_PROBABILITIES = 3


@dataclass(frozen=True, kw_only=True)
class PredictOptions(ZooOptions):
    """What `zoo predict` takes."""

    pipeline: Annotated[str, typer.Argument(help="Name or id of a pipeline; a name means the newest.")]
    data: Annotated[str, typer.Argument(help="An image, a folder, or a zip, parquet or npz file of images.")]


@takes(PredictOptions)
def predict(options: PredictOptions) -> None:
    """Run a pipeline over images."""
    _check_pipeline(options.pipeline)
    existing(options.data)
    with opened(options) as zoo:
        result = _predicted(zoo, options)
    if options.json:
        write_json(result)
        return
    table = plain_table("image", "label", "probabilities")
    for prediction in result.predictions:
        table.add_row(prediction.item, prediction.label, _likeliest(prediction))
    answers().print(table)
    line(f"{len(result.predictions)} images in {result.milliseconds:.0f} ms")


def _check_pipeline(text: str) -> None:
    """Find what cannot name a pipeline, or wrong use."""
    if "/" in text:
        raise typer.BadParameter(
            f"{text[:200]!r} reads as a module's name; a pipeline is named by its id, or by its name without a slash",
            param_hint="pipeline",
        )
    word(text, what="pipeline")


def _predicted(zoo: Zoo, options: PredictOptions) -> PredictResult:
    """Send the images and wait for what the worker says."""
    data = existing(options.data)
    with as_file(data) as file, bars() as bar:
        on_bytes, on_progress = bar.bytes(f"sending {data.name}"), bar.work("predicting")
        return zoo.pipelines.predict(
            options.pipeline, file, on_bytes=on_bytes, on_job=lambda job: on_progress(job.progress)
        )


def _likeliest(prediction: Prediction) -> str:
    """The most probable labels of an image."""
    ordered = sorted(prediction.probabilities.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{label} {probability:.3f}" for label, probability in ordered[:SHOWN_PROBABILITIES])
