import io
import random
from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load, save

from registry.recipes import OutputSpec
from registry.tensor_file import read_tensor_header
from tests.trainer.examples import digests, recipe, run
from trainer.checkpoints import NOT_SAVED, Journal, Saved, Snapshot, StageNotes, file_sink
from trainer.progress import Stopped
from trainer.run import TrainedNetwork
from trainer.stage_state import go_on_drawing

TIMES = 10


class Interruptions:
    """Stops a run at random batches and starts it again from a checkpoint, which may be older than the stop."""

    def __init__(self, *, seed: int, longest: int) -> None:
        self.stops = 0
        self._draw = random.Random(seed)
        self._longest = longest
        self._kept: bytes | None = None

    def run(self, **changes: object) -> TrainedNetwork:
        while True:
            try:
                saved = Saved(self._sink, every_seconds=0.0, resume_from=self._kept)
                return run(saved=saved, should_stop=self._countdown(), **changes)
            except Stopped:
                self.stops += 1

    def _sink(self, data: bytes) -> None:
        if self._draw.random() < 0.7:
            self._kept = data

    def _countdown(self) -> Callable[[], bool]:
        left = self._draw.randrange(2, self._longest) if self.stops < TIMES else 10**9

        def stop() -> bool:
            nonlocal left
            left -= 1
            return left < 0

        return stop


NETWORK = {"family": "lenet5", "width": 3, "epochs": 2}
DEEP = {"family": "resnet18", "width": 4, "epochs": 1, "modules": 2, "batch_size": 32}
RUNS = [
    pytest.param({"modules": 2}, id="in-turn"),
    pytest.param({**DEEP, "head": "look-ahead"}, id="look-ahead"),
    pytest.param({"modules": 2, "schedule": "at-once", "head": "convolutions"}, id="at-once"),
    pytest.param({"modules": 2, "method": "end-to-end"}, id="end-to-end"),
    pytest.param({"method": "end-to-end", "output": OutputSpec(labels_per_class=3)}, id="few-labels"),
    pytest.param({"objective": "prototype_momentum", "modules": 2}, id="remembered-means"),
    pytest.param({"objective": "contrastive_memory"}, id="remembered-features"),
    pytest.param({**NETWORK, "augment": True, "views": 2, "cutout": 0.25}, id="augmented"),
    pytest.param({"patience": 2, "epochs": 10, "optimiser": {"name": "sgd", "learning_rate": 1.0}}, id="patience"),
    pytest.param({**NETWORK, "optimiser": {"name": "sgd"}}, id="sgd"),
    pytest.param({"optimiser": {"name": "muon"}, **NETWORK}, id="muon"),
    pytest.param({"method": "similarity", "modules": 2}, id="similarity"),
    pytest.param({"pairs": {"partners": 3}, "modules": 2}, id="pairs"),
]


@pytest.mark.parametrize("changes", RUNS)
def test_a_run_stopped_ten_times_gives_the_same_files_as_an_undisturbed_one(changes):
    interruptions = Interruptions(seed=1, longest=4 if changes.get("method") == "end-to-end" else 9)
    assert digests(interruptions.run(**changes)) == digests(run(**changes))
    assert interruptions.stops == TIMES


def test_checkpoints_change_nothing():
    kept: list[bytes] = []
    assert digests(run(saved=Saved(kept.append, every_seconds=0.0), modules=2)) == digests(run(modules=2))
    assert len(kept) > 20


def test_a_finished_run_is_taken_up_without_another_step():
    kept: list[bytes] = []
    whole = run(saved=Saved(kept.append, every_seconds=0.0), modules=2)
    asked = []

    def never_asked() -> bool:
        asked.append(True)
        return True

    again = run(saved=Saved(resume_from=kept[-1]), should_stop=never_asked, modules=2)
    assert digests(again) == digests(whole)
    assert not asked


def test_a_checkpoint_is_written_only_so_often():
    kept: list[bytes] = []
    run(saved=Saved(kept.append, every_seconds=1000.0), modules=2)
    assert kept == []


def checkpoint() -> bytes:
    """Of a run that is in its first module."""
    kept: list[bytes] = []
    with pytest.raises(Stopped):
        run(saved=Saved(kept.append, every_seconds=0.0), should_stop=lambda: len(kept) == 3)
    return kept[-1]


def damaged() -> list[Callable[[bytes], bytes]]:
    return [
        pytest.param(lambda data: data[:-5], id="cut-off"),
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: b"\xff" * 100, id="no-tensor-file"),
        pytest.param(lambda data: save(load(data)), id="without-notes"),
        pytest.param(lambda data: save(load(data), metadata={"notes": "{}"}), id="with-other-notes"),
        pytest.param(lambda data: _without(data, "sums"), id="a-tensor-missing"),
        pytest.param(lambda data: data[:-40] + b"\7" * 40, id="other-bytes-at-its-end"),
    ]


def _notes(data: bytes) -> dict[str, str]:
    return dict(read_tensor_header(io.BytesIO(data), size_bytes=len(data)).metadata)


def _without(data: bytes, ending: str) -> bytes:
    return save({k: v for k, v in load(data).items() if not k.endswith(ending)}, metadata=_notes(data))


@pytest.mark.parametrize("damage", damaged())
def test_a_damaged_checkpoint_is_not_taken_and_the_run_starts_anew(damage, capsys):
    assert digests(run(saved=Saved(resume_from=damage(checkpoint())))) == digests(run())
    assert "the run starts anew" in capsys.readouterr().out


def test_a_checkpoint_of_another_recipe_is_not_taken(capsys):
    assert digests(run(seed=5, saved=Saved(resume_from=checkpoint()))) == digests(run(seed=5))
    assert "checkpoint is of another run" in capsys.readouterr().out


def test_a_journal_keeps_copies_that_no_later_step_changes():
    written: list[bytes] = []
    journal = Journal("this", written.append, every_seconds=0.0)
    weights = torch.ones(3)
    journal.keep(Snapshot(StageNotes(stage=0, objectives=(0.1,)), {"weights": weights}))
    weights.zero_()
    journal.keep(Snapshot(StageNotes(stage=1), {}))
    other = Journal("this")
    assert other.resume(written[-1])
    assert other.stage(0).tensors["weights"].tolist() == [1.0] * 3
    assert other.stage(0).notes.objectives == (0.1,)
    assert other.stage(2) is None


def test_a_generator_goes_on_where_it_was_or_from_the_state_of_another_device():
    generator, other = torch.Generator().manual_seed(1), torch.Generator()
    state = generator.get_state()
    drawn = torch.rand(5, generator=generator)
    go_on_drawing(other, state)
    assert torch.equal(torch.rand(5, generator=other), drawn)
    of_a_gpu = torch.arange(16, dtype=torch.uint8)
    once, again = (_drawn_from(of_a_gpu) for _ in range(2))
    assert torch.equal(once, again)
    assert not torch.equal(once, _drawn_from(of_a_gpu + 1))


def _drawn_from(state: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator()
    go_on_drawing(generator, state)
    return torch.rand(5, generator=generator)


def test_a_file_of_checkpoints_holds_the_last_one_whole(tmp_path):
    write = file_sink(tmp_path / "deep" / "run.checkpoint")
    write(b"first, the longer one")
    write(b"second")
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "deep").iterdir()] == [("run.checkpoint", b"second")]


def test_nothing_is_kept_where_nothing_is_written():
    journal = NOT_SAVED.journal(recipe())
    journal.keep(Snapshot(StageNotes(stage=0), {"weights": torch.ones(3)}))
    assert journal.stage(0) is None
