"""Guests: bytes that came with a request and go with it, unless something that stays refers to them."""

import threading
from collections import Counter

from registry.errors import NotFoundError
from registry.names import Digest
from registry.records import Job
from registry.work import PredictWork
from registry.zoo import Zoo


class Guests:
    """Counts who needs which bytes, so that one request's tidying never takes another's away.

    Bytes that were there before their first request came stay, and so do those that a module or a dataset refers
    to. The images of a prediction are held by its job. The counts are this process's own.
    """

    def __init__(self, zoo: Zoo) -> None:
        """Args: zoo: where the bytes are, and what may refer to them."""
        self._zoo = zoo
        self._lock = threading.Lock()
        self._holders: Counter[Digest] = Counter()
        self._stays: set[Digest] = set()
        self._of_jobs: dict[int, Digest] = {}

    def enter(self, digest: Digest) -> bool:
        """Hold bytes that are about to be stored; True when they were there before."""
        with self._lock:
            there = self._is_there(digest)
            if there and not self._holders[digest]:
                self._stays.add(digest)
            self._holders[digest] += 1
            return there

    def keep(self, digest: Digest) -> None:
        """Let bytes stay when their last holder leaves."""
        with self._lock:
            self._stays.add(digest)

    def leave(self, digest: Digest) -> None:
        """Let go; with the last holder the bytes go too, unless they are to stay or something refers to them."""
        with self._lock:
            self._leave(digest)

    def tidy(self, digest: Digest) -> None:
        """Delete bytes that nothing refers to any more; those that a request needs, when its last holder leaves."""
        with self._lock:
            self._stays.discard(digest)
            if not self._holders[digest]:
                self._zoo.keeper.discard(digest)

    def hold_for(self, job: Job, digest: Digest) -> None:
        """Hold a job's images, which are there, until the job ends."""
        with self._lock:
            self._holders[digest] += 1
            self._of_jobs[job.id] = digest

    def let_go(self, job_id: int) -> bool:
        """End a job's hold; False when there is none."""
        with self._lock:
            digest = self._of_jobs.pop(job_id, None)
            if digest is not None:
                self._leave(digest)
        return digest is not None

    def job_ended(self, job: Job) -> None:
        """Tidy the images of a prediction that has just ended, even one that began before this process did."""
        if self.let_go(job.id) or not isinstance(job.work, PredictWork):
            return
        with self._lock:
            if not self._holders[job.work.images]:
                self._zoo.keeper.discard(job.work.images)

    def _leave(self, digest: Digest) -> None:
        self._holders[digest] -= 1
        if self._holders[digest] > 0:
            return
        del self._holders[digest]
        if digest not in self._stays:
            self._zoo.keeper.discard(digest)
        self._stays.discard(digest)

    def _is_there(self, digest: Digest) -> bool:
        try:
            self._zoo.blobs.info(digest)
        except NotFoundError:
            return False
        return True
