"""A small zoo with something of everything, on either database, and questions that were answered."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from registry.modules import AliasCondition
from registry.names import ModuleName
from registry.outcome_records import PostedOutcome
from registry.rankings import Ranking, RankingQuestion
from registry.recipes import TaskSpec, TrainingRecipe
from registry.settings import Settings
from registry.zoo import Zoo
from storage.engine import open_engine
from storage.wiring import open_zoo
from tests.numpy_worker import (
    OWNER,
    add_dataset,
    linear_module,
    output_module,
    publish,
    quadrant_module,
    quadrant_zip,
    verify_all,
    work_all,
)

DIGITS = ModuleName("ada", "digits")


@contextmanager
def settings_on(kind: str, home: Path, request) -> Iterator[Settings]:
    """Settings of a zoo in a folder, on one kind of database."""
    server = nullcontext(None) if kind == "sqlite" else request.getfixturevalue("postgres").database()
    with server as database:
        yield Settings.model_validate({"home": home, "examples": 60, "database": database})


def fill(settings: Settings) -> None:
    """Publish, point, yank, compose, upload, rank and train, as far as no network runs."""
    zoo = open_zoo(settings)
    below = publish(zoo, "ada/digits", quadrant_module())
    publish(zoo, "ada/digits", linear_module(1, tags=("square",)))
    publish(zoo, "ada/digits", linear_module(2, tags=("round",)))
    head = publish(zoo, "ada/head", output_module(below.digest))
    zoo.modules.yank(DIGITS, 3, "worse")
    for version in (2, 1):
        zoo.modules.set_alias(DIGITS, "production", version, condition=AliasCondition())
    zoo.pipelines.compose("pair", [below.ref, head.ref])
    data = add_dataset(zoo, quadrant_zip(8))
    query = Ranking.model_validate_json(ranking_of(zoo, data)).query
    zoo.outcomes.post(query, [PostedOutcome(module="ada/digits@2", value=0.9)], owner=OWNER)
    recipe = TrainingRecipe(task=TaskSpec(dataset=data, classes={"x": ("a", "b"), "y": ("c", "d")}), family="mlp")
    zoo.jobs.submit_training(ModuleName("ada", "more"), recipe, owner=OWNER)
    job = zoo.jobs.claim(["train"], worker="numpy")
    zoo.jobs.heartbeat(job.id, attempt=1, progress=job.progress, checkpoint=zoo.blobs.put(b"a checkpoint"))
    verify_all(zoo)
    zoo.close()


def ranking_of(zoo: Zoo, data: str) -> str:
    """The ranking of the zoo's modules on a dataset, as JSON text."""
    query = zoo.reusability.ask_ranking(RankingQuestion(task=data), owner=OWNER)
    work_all(zoo)
    answer = zoo.queries.state(query, owner=OWNER).answer
    assert isinstance(answer, Ranking)
    return answer.model_dump_json()


@contextmanager
def engine_of(settings: Settings):
    """An engine that is closed in the end."""
    engine = open_engine(settings.database_url)
    yield engine
    engine.dispose()
