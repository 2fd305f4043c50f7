"""What the service counts about itself, for Prometheus; docs/observability.md says what each means."""

import platform
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from registry.observation import Observation
from registry.records import Job

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """Counters of one app; a registry of their own lets several apps live in one process."""

    def __init__(self, *, version: str = "0") -> None:
        """Begin at zero. Args: version: of this program."""
        self._registry = CollectorRegistry()
        self._requests = self._counter(
            "zoo_http_requests", "Requests by method, route template and status.", "method", "route", "status"
        )
        self._seconds = Histogram(
            "zoo_http_request_seconds",
            "Seconds from a request's head to the end of its answer.",
            ["method", "route"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._received = self._counter("zoo_http_received_bytes", "Bytes of request bodies.")
        self._sent = self._counter("zoo_http_sent_bytes", "Bytes of answers' bodies.")
        self._damaged = self._counter(
            "zoo_damaged_reads", "Answers that found stored bytes damaged, and broke off or were refused."
        )
        self._ended = self._counter("zoo_jobs_ended", "Jobs ended by a request.", "kind", "status")
        self.waiting = self._gauge("zoo_http_waiting_requests", "Requests that wait for a worker's result or for work.")
        self._jobs = self._gauge("zoo_jobs", "Open jobs by kind and status.", "kind", "status")
        self._oldest = self._gauge("zoo_oldest_queued_job_seconds", "Age of the oldest queued job; 0 without any.")
        self._queries = self._gauge("zoo_queries_running", "Questions that are being answered.")
        self._connections = self._gauge("zoo_database_connections_in_use", "Connections in use in this process.")
        self._observed = self._gauge("zoo_observed", "1 while the database tells its figures, 0 while it is away.")
        build = self._gauge("zoo_build_info", "1, with the version of this program and of Python.", "version", "python")
        build.labels(version, platform.python_version()).set(1)
        self._gauge("zoo_start_time_seconds", "When this service started, in seconds since 1970.").set(time.time())

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self._registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(name, meaning, labels, registry=self._registry)

    def note(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request; `route` is a template, so that the number of series stays bounded."""
        known = method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(known, route).observe(seconds)

    def moved(self, *, received_bytes: int, sent_bytes: int) -> None:
        """Count the bytes of one request's body, and of its answer."""
        self._received.inc(received_bytes)
        self._sent.inc(sent_bytes)

    def damaged(self) -> None:
        """Count stored bytes that were found damaged."""
        self._damaged.inc()

    def ended(self, job: Job) -> None:
        """Count a job that has ended."""
        self._ended.labels(job.work.kind, job.status.value).inc()

    def observe(self, observation: Observation | None) -> None:
        """Show what was counted in the database; None where that could not be asked: the last figures stay."""
        self._observed.set(0 if observation is None else 1)
        if observation is None:
            return
        self._jobs.clear()
        for each in observation.jobs:
            self._jobs.labels(each.kind, each.status.value).set(each.count)
        self._oldest.set(observation.oldest_queued_seconds)
        self._queries.set(observation.queries_running)
        self._connections.set(observation.connections)

    def text(self) -> bytes:
        """Everything counted so far, in Prometheus' text format."""
        return generate_latest(self._registry)
