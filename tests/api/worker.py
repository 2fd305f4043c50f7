"""A worker that claims over HTTP, as `trainer` does, and scores with NumPy."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from registry.records import Job
from registry.work import (
    ModuleVerdict,
    Prediction,
    PredictResult,
    PredictWork,
    ScoreResult,
    ScoreWork,
    VerifyResult,
    VerifyWork,
)
from tests.api.serving import Service
from tests.numpy_worker import score, verdicts_of


def claim(http: httpx.Client, *kinds: str, wait_seconds: float = 0.0) -> Job | None:
    """Claim one job."""
    body = {"worker": "test", "kinds": kinds or ("train", "score", "predict", "verify"), "wait_seconds": wait_seconds}
    answer = http.post("/jobs/claim", json=body)
    return None if answer.status_code == 204 else Job.model_validate_json(answer.content)


def finish(http: httpx.Client, job: Job, result: ScoreResult | PredictResult | VerifyResult) -> httpx.Response:
    """End a job with its result."""
    body = {"attempt": job.attempt, "result": result.model_dump(mode="json")}
    return http.post(f"/jobs/{job.id}/finish", json=body)


def do(service: Service, job: Job) -> httpx.Response:
    """Do what a job asks for, and say so."""
    if isinstance(job.work, ScoreWork):
        made = ScoreResult(statistics=score(service.zoo, job.work), verdicts=verdicts_of(job.work))
        return finish(service.http, job, made)
    if isinstance(job.work, VerifyWork):
        return finish(service.http, job, VerifyResult(verdict=ModuleVerdict(module=job.work.module)))
    assert isinstance(job.work, PredictWork)
    service.http.get(f"/blobs/{job.work.images}").raise_for_status()
    prediction = Prediction(item="image", label="a", probabilities={"a": 0.75, "b": 0.25})
    return finish(service.http, job, PredictResult(predictions=(prediction,), milliseconds=1.5))


@contextmanager
def working(service: Service) -> Iterator[None]:
    """A worker that does every job but training while the block runs."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            job = claim(service.http, "score", "predict", "verify", wait_seconds=0.2)
            if job is not None:
                do(service, job).raise_for_status()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)
