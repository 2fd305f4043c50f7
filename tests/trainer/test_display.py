"""The table at the end of a run says what its figures are measured on."""

import pytest
from rich.console import Console

from tests.builders import digest_of
from tests.trainer.examples import run
from trainer.display import TrainedRow, row_of, table_of


def row(measured_on: dict[str, str]) -> TrainedRow:
    return TrainedRow(
        method="pairwise",
        module="digits-input",
        file="digits-input.safetensors",
        digest=digest_of("file"),
        objective=0.7,
        alignment=0.6,
        centred_alignment=0.3,
        accuracy=0.9,
        measured_on=measured_on,
        seconds=1.0,
    )


@pytest.mark.parametrize(
    ("places", "told"),
    [
        (
            [{"objective": "training", "alignment": "held-out", "centred": "held-out"}, {"accuracy": "held-out"}],
            "objective: on the images of the training itself; "
            "alignment, centred, accuracy: on images held out from training",
        ),
        (
            [{"objective": "training", "alignment": "training"}, {"accuracy": "training"}],
            "objective, alignment, accuracy: on the images of the training itself",
        ),
        ([{"accuracy": "elsewhere"}], "accuracy: on elsewhere"),
    ],
)
def test_the_caption_says_what_each_figure_is_measured_on(places: list[dict[str, str]], told: str) -> None:
    console = Console(width=100)
    with console.capture() as printed:
        console.print(table_of([row(place) for place in places]))
    assert told in " ".join(printed.get().split())


@pytest.mark.parametrize(("share", "place"), [(0.0, "training"), (0.25, "held-out")])
def test_figures_of_a_run_are_of_held_out_images_only_where_some_were_held_out(share: float, place: str) -> None:
    network = run(epochs=1, held_out_share=share)
    first, *_, last = [row_of(module, method="pairwise", name="n", file="f") for module in network.modules]
    assert first.measured_on == {"objective": "training", "alignment": place, "centred": place}
    assert last.measured_on["accuracy"] == place
