"""What progress says of itself in words."""

from client.cli.progress import told
from registry.records import Progress


def test_every_number_of_training_is_told_with_its_name() -> None:
    progress = Progress(
        stage="module 1 of 2", epoch=2, objective=0.5, alignment=0.25, examples_per_second=1234.4, seconds_left=9.2
    )
    words = "module 1 of 2, epoch 2, objective 0.5000, alignment 0.2500, 1,234 images/s, 9 s left"
    assert told(progress) == words


def test_what_is_not_known_is_not_told() -> None:
    assert told(Progress()) == "waiting for a worker"
    assert told(Progress(stage="output module", epoch=1)) == "output module, epoch 1"
