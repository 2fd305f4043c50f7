"""Pipelines over HTTP: check, compose, show, predict."""

from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from client.connection import Call, Connection
from client.errors import UnexpectedAnswerError
from client.jobs import Jobs, check_done
from client.transfer import Content, OnBytes, ignore_bytes, upload
from registry.frozen import Frozen
from registry.rankings import PipelineCheck
from registry.records import Job, Page, Pipeline
from registry.work import PredictResult

PREDICT_WAIT_SECONDS = 2
OnJob = Callable[[Job], None]


class _Composition(Frozen):
    """Modules that are to run one after the other."""

    name: str
    modules: tuple[str, ...]


def ignore_job(job: Job) -> None:
    """Tell nobody."""


class Pipelines:
    """Pipelines of the zoo."""

    def __init__(self, connection: Connection, jobs: Jobs) -> None:
        """Args: connection: the zoo; jobs: to follow a prediction that takes long."""
        self._connection, self._jobs = connection, jobs

    def check(self, name: str, refs: Sequence[str]) -> PipelineCheck:
        """Whether modules fit one after the other, and every place where they do not."""
        call = Call("POST", "/pipelines/check", body=_Composition(name=name, modules=tuple(refs)))
        return self._connection.ask(call, PipelineCheck)

    def compose(self, name: str, refs: Sequence[str]) -> Pipeline:
        """Compose modules, pinned to their digests. Raises PipelineMisfitError with every misfit."""
        call = Call("POST", "/pipelines", body=_Composition(name=name, modules=tuple(refs)), keyed=True)
        return self._connection.ask(call, Pipeline)

    def show(self, pipeline_id: str) -> Pipeline:
        """One pipeline. Raises NotFoundError."""
        return self._connection.ask(Call("GET", f"/pipelines/{pipeline_id}"), Pipeline)

    def list(self, *, limit: int = 50, cursor: str | None = None) -> Page[Pipeline]:
        """One page of pipelines, newest first."""
        params = {"limit": limit, "cursor": cursor}
        return self._connection.ask(Call("GET", "/pipelines", params=params), Page[Pipeline])

    def predict(
        self, pipeline_id: str, file: Path, *, on_bytes: OnBytes = ignore_bytes, on_job: OnJob = ignore_job
    ) -> PredictResult:
        """Labels and probabilities of images: one image, or a zip, parquet or npz file of them.

        Raises:
            NotFoundError: there is no such pipeline.
            InvalidDatasetError: the file holds no images.
            JobFailedError: the worker could not.
        """
        call = Call(
            "POST",
            f"/pipelines/{pipeline_id}/predict",
            headers={"Prefer": f"wait={PREDICT_WAIT_SECONDS}"},
            wait_seconds=PREDICT_WAIT_SECONDS,
        )
        response = upload(self._connection, call, Content(file), on_bytes=on_bytes)
        if response.status_code != httpx.codes.ACCEPTED:
            return self._connection.read(response, PredictResult)
        return self._followed(self._connection.read(response, Job).id, on_job=on_job)

    def _followed(self, job_id: int, *, on_job: OnJob) -> PredictResult:
        """The result of a prediction, when it has come."""
        for job in self._jobs.events(job_id):
            on_job(job)
        result = check_done(job).result
        if not isinstance(result, PredictResult):
            raise UnexpectedAnswerError(f"job {job_id} ended without a prediction")
        return result
