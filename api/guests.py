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

    Bytes that were there before their first request came stay, and so do those that something refers to: a module, a
    dataset, or a prediction that has not ended its images. The counts are this process's own.
    """

    def __init__(self, zoo: Zoo) -> None:
        """Args: zoo: where the bytes are, and what may refer to them."""
        self._zoo = zoo
        self._lock = threading.Lock()
        self._holders: Counter[Digest] = Counter()
        self._stays: set[Digest] = set()

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

    def job_ended(self, job: Job) -> None:
        """Tidy the images of a prediction that has just ended."""
        if isinstance(job.work, PredictWork):
            self.tidy(job.work.images)

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
