"""`zoo train`: modules from labelled images, trained here or by a worker of the zoo."""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from client.cache import digest_of_bytes, digest_of_file
from client.cli.data import Sending, existing, publish_dataset
from client.cli.options import module_name, opened, takes
from client.cli.output import line, note, write_json
from client.cli.programs import check_ended, run
from client.cli.progress import bars
from client.cli.recipe_options import RecipeOptions
from client.cli.work import require_torch
from client.folders import as_file
from client.jobs import check_done
from client.trained_files import trained_files
from client.zoo import Zoo
from registry.frozen import Frozen
from registry.manifest import Role
from registry.names import ModuleName
from registry.records import Job, Pipeline, PublishedModule
from registry.work import TrainResult

ANY_DIGEST = digest_of_bytes(b"")
"""Stands for the dataset while its own digest is not known yet."""


class PublishedRun(Frozen):
    """What a run published: its modules, the input module first, and their pipeline if they make one."""

    modules: tuple[PublishedModule, ...]
    pipeline: Pipeline | None = None


@dataclass(frozen=True, kw_only=True)
class TrainOptions(RecipeOptions):
    """What `zoo train` takes."""

    data: Annotated[str, typer.Argument(help="Labelled images: zip, folder of class folders, parquet or npz.")]
    name: Annotated[str, typer.Option(help="NAMESPACE/NAME of the modules; they get endings such as -input.")]
    out: Annotated[
        Path | None, typer.Option(help="Folder for the module files; default: runs/NAME.", file_okay=False)
    ] = None
    submit: Annotated[bool, typer.Option("--submit", help="Let a worker of the zoo train, and publish.")] = False
    publish: Annotated[bool, typer.Option("--publish", help="Publish what was trained here.")] = False
    baseline: Annotated[bool, typer.Option("--baseline", help="Train the same network end to end beside it.")] = False
    checkpoint_seconds: Annotated[
        float | None, typer.Option(min=0, help="Time between checkpoints; default: ZOO_CHECKPOINT_SECONDS.")
    ] = None
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, also where there is a checkpoint.")] = False
    tensorboard: Annotated[
        Path | None, typer.Option(help="Folder for event files, which TensorBoard draws.", file_okay=False)
    ] = None
    leave_out_broken: Annotated[
        bool, typer.Option("--leave-out-broken", help="Leave out images that cannot be read.")
    ] = False

    def check(self) -> ModuleName:
        """The modules' name, once everything that can be wrong use has been looked at."""
        name = ModuleName.parse(module_name(self.name))
        existing(self.data)
        self.recipe(ANY_DIGEST)
        at_home = [
            option
            for option, given in (
                ("--baseline", self.baseline),
                ("--publish", self.publish),
                ("--out", self.out),
                ("--checkpoint-seconds", self.checkpoint_seconds),
                ("--fresh", self.fresh),
                ("--tensorboard", self.tensorboard),
            )
            if given not in (None, False)
        ]
        if self.submit and at_home:
            raise typer.BadParameter(
                f"--submit trains in the zoo and publishes there; it goes without {' and '.join(at_home)}"
            )
        return name


@takes(TrainOptions)
def train(options: TrainOptions) -> None:
    """Train modules on labelled images, here or by a worker of the zoo.

    A module is trained on pairs of images, knowing only whether both are of one class; the output module on labels.
    A run here that was ended goes on from its last checkpoint when the same command is given again.
    """
    name = options.check()
    if options.submit:
        _train_there(options)
    else:
        _train_here(options, name)


def _train_there(options: TrainOptions) -> None:
    """Send the data, queue the run, follow it to its end."""
    with opened(options) as zoo:
        if options.pairs is not None:
            zoo.blobs.put(options.pairs)
        sending = Sending(leave_out_broken=options.leave_out_broken)
        dataset = publish_dataset(zoo, existing(options.data), sending)
        job = _followed(zoo, zoo.jobs.submit(options.name, options.recipe(dataset.digest)))
    if options.json:
        write_json(job)
    elif isinstance(job.result, TrainResult):
        _write_refs(job.result.published, job.result.pipeline_id)


def _followed(zoo: Zoo, job: Job) -> Job:
    """A job when it is done. Raises JobFailedError when it was not."""
    note(f"job {job.id} is queued; it goes on without this command, see {zoo.url}/jobs/{job.id}")
    last = job
    with bars() as bar:
        on_progress = bar.work(f"job {job.id}")
        for last in zoo.jobs.events(job.id):
            on_progress(last.progress)
    return check_done(last)


def _train_here(options: TrainOptions, name: ModuleName) -> None:
    """Train in a process of its own, and publish where that is wanted."""
    require_torch()
    out = options.out or Path("runs") / name.name
    with as_file(existing(options.data)) as data, tempfile.TemporaryDirectory(prefix="module-zoo-") as folder:
        recipe = Path(folder) / "recipe.json"
        recipe.write_text(options.recipe(digest_of_file(data)).model_dump_json())
        command = trainer_command(options, recipe=recipe, data=data, out=out)
        quiet = options.json and options.publish
        status = run(command, stdout=subprocess.DEVNULL if quiet else None).returncode
    check_ended(status, what="training")
    if options.publish:
        _publish(options, name, out)


def trainer_command(options: TrainOptions, *, recipe: Path, data: Path, out: Path) -> list[str]:
    """The command line that trains."""
    switches = (
        ("--json", options.json),
        ("--baseline", options.baseline),
        ("--fresh", options.fresh),
        ("--leave-out-broken", options.leave_out_broken),
    )
    flags = [flag for flag, wanted in switches if wanted]
    given = (
        ("--pairs", options.pairs),
        ("--checkpoint-seconds", options.checkpoint_seconds),
        ("--tensorboard", options.tensorboard),
    )
    flags += [part for option, value in given if value is not None for part in (option, str(value))]
    where = [
        "--recipe",
        str(recipe),
        "--data",
        str(data),
        "--name",
        ModuleName.parse(options.name).name,
        "--out",
        str(out),
    ]
    return [sys.executable, "-m", "trainer", "train", *where, *flags]


def _publish(options: TrainOptions, name: ModuleName, out: Path) -> None:
    """Publish the files of a run, the input module first, and compose them."""
    files = trained_files(out, name.name)
    with opened(options) as zoo, bars() as bar:
        modules = tuple(
            zoo.modules.publish(f"{name.namespace}/{file.stem}", file, on_bytes=bar.bytes(f"sending {file.name}"))
            for file in files
        )
        whole = modules[-1].role is Role.OUTPUT
        pipeline = zoo.pipelines.compose(name.name, [module.ref for module in modules]) if whole else None
    if options.json:
        write_json(PublishedRun(modules=modules, pipeline=pipeline))
    else:
        _write_refs(tuple(module.ref for module in modules), pipeline.id if pipeline else None)


def _write_refs(refs: tuple[str, ...], pipeline_id: str | None) -> None:
    """What was published."""
    for ref in refs:
        line(f"published {ref}")
    if pipeline_id is not None:
        line(f"composed {pipeline_id}")
