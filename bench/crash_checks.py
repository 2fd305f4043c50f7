"""What `bench.crashes` asks of a service after a kill: all that was acknowledged is there, nothing is half there."""

import time
from typing import Any
from urllib.parse import quote

import httpx
from sqlalchemy import Engine

from bench.crash_load import NAMES, Acknowledged, digest_of
from registry.settings import Settings
from storage.care.doctor import Doctor
from storage.wiring import open_blobs

PATIENCE_SECONDS = 60.0
END_SECONDS = 1200.0
"""So long the worker may take, in the end, for what was asked while it died again and again."""
SAMPLE = 20
"""So many of the versions that have become visible are read whole after a kill; the last look reads all."""
DOCTORED = 10
"""Every so manieth look has the doctor read every record and every byte."""
Key = tuple[str, int]
Versions = dict[Key, str]


class Checks:
    """Looks through a service, after a kill at some of the bytes, in the last look at all of them."""

    def __init__(self, url: str, log: Acknowledged, settings: Settings, engine: Engine) -> None:
        """Args: log: what was acknowledged; settings, engine: where the service stores, for the doctor."""
        self._http = httpx.Client(base_url=url, timeout=30.0, trust_env=False)
        self._log, self._settings, self._engine = log, settings, engine
        self._read: set[tuple[str, int]] = set()
        self._done: set[str] = set()
        self._uploaded: set[str] = set()
        self._looks = 0

    def close(self) -> None:
        """End the client."""
        self._http.close()

    def look(self, *, last: bool = False) -> list[str]:
        """Everything that is wrong, in words."""
        if last:
            self._read.clear()
            self._done.clear()
        with self._log.lock:
            versions, deleted = dict(self._log.versions), set(self._log.deleted)
            yanked, moves, datasets = set(self._log.yanked), dict(self._log.moves), set(self._log.datasets)
            asked = [*(f"/jobs/{job}" for job in self._log.jobs), *(f"/queries/{query}" for query in self._log.queries)]
        wrong = [*self._log.wrong, *self._versions(versions, deleted, yanked, all_bytes=last), *self._moves(moves)]
        wrong += self._ended(asked) if last else self._there(asked)
        self._looks += 1
        doctored = last or self._looks % DOCTORED == 0
        wrong += self._datasets(datasets if last else datasets - self._uploaded)
        return [*wrong, *(self._doctor() if doctored else [])]

    def _get(self, path: str) -> httpx.Response:
        """An answer of a service that is up."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            answered = self._http.get(path)
            if answered.status_code != 503 or time.monotonic() > deadline:
                return answered
            time.sleep(0.05)

    def _versions(self, acknowledged: Versions, deleted: set[Key], yanked: set[Key], *, all_bytes: bool) -> list[str]:
        """What is wrong with versions: those that are visible, and those that should be, or should not."""
        wrong: list[str] = []
        for name in NAMES:
            listed = self._listed(name)
            unread = sorted(version for version in listed if (name, version) not in self._read)
            for version in unread if all_bytes else unread[-SAMPLE // len(NAMES) :]:
                wrong += self._bytes(name, version, listed[version]["digest"])
            for (owner, version), digest in acknowledged.items():
                if owner == name and (name, version) not in self._log.leaving:
                    wrong += _lost(f"{name}@{version}", listed.get(version), digest, (name, version) in yanked)
            still = [number for owner, number in deleted if owner == name and number in listed]
            wrong += [f"{name}@{number} was deleted and is there" for number in still]
        return wrong

    def _listed(self, name: str) -> dict[int, dict[str, str]]:
        """Every version of a module that is shown, by its number; the list comes in pages."""
        found: dict[int, dict[str, str]] = {}
        cursor: str | None = ""
        while cursor is not None:
            seen = self._get(f"/modules/{name}" + (f"?cursor={quote(cursor)}" if cursor else ""))
            page = seen.json() if seen.is_success else {"versions": [], "next_cursor": None}
            found |= {each["version"]: each for each in page["versions"]}
            cursor = page["next_cursor"]
        return found

    def _bytes(self, name: str, version: int, digest: str) -> list[str]:
        """What is visible is whole: the manifest is shown, and the bytes have the digest."""
        if (name, version) in self._read:
            return []
        path = f"/modules/{name}/versions/{version}"
        manifest, file = self._get(path), self._get(f"{path}/file")
        if (name, version) in self._log.leaving:
            return []
        self._read.add((name, version))
        if manifest.is_success and file.is_success and digest_of(file.content) == digest:
            return []
        return [f"{name}@{version} is half there: {manifest.status_code}, {file.status_code}"]

    def _moves(self, moves: dict[tuple[str, int], int]) -> list[str]:
        wrong = []
        for name in {name for name, _ in moves}:
            told = self._get(f"/modules/{name}/aliases/production/history").json()
            history = {move["revision"]: move["version"] for move in told["items"]}
            wrong += [
                f"move {revision} of the alias of {name} to {version} is lost: {history.get(revision)}"
                for (owner, revision), version in moves.items()
                if owner == name and history.get(revision) != version
            ]
            if sorted(history) != list(range(1, len(history) + 1)):
                wrong.append(f"the alias of {name} has a gap in its history: {sorted(history)}")
        return wrong

    def _datasets(self, digests: set[str]) -> list[str]:
        """Datasets that are lost; the doctor reads their bytes."""
        self._uploaded |= digests
        return [f"dataset {digest} is lost" for digest in digests if not self._get(f"/datasets/{digest}").is_success]

    def _there(self, asked: list[str]) -> list[str]:
        """Jobs and queries that are lost, or could not be done; those that are done are not looked at again."""
        wrong: list[str] = []
        for path in asked:
            if path not in self._done:
                answered = self._get(path)
                status = answered.json()["status"] if answered.is_success else "lost"
                if status == "done":
                    wrong += self._brought(answered.json())
                    self._done.add(path)
                elif status not in ("queued", "running"):
                    wrong.append(f"{path} was acknowledged and is {status}: {answered.text[:300]}")
        return wrong

    def _brought(self, job: dict[str, Any]) -> list[str]:
        """What is missing of the modules that a training run has published."""
        refs = (job.get("result") or {}).get("published", ())
        places = [ref.partition("@") for ref in refs]
        paths = [f"/modules/{name}/versions/{version}/file" for name, _, version in places]
        return [f"{path} is missing, of job {job['id']}" for path in paths if not self._get(path).is_success]

    def _ended(self, asked: list[str]) -> list[str]:
        """Wait until all that was asked is done, now that nobody dies any more."""
        deadline = time.monotonic() + END_SECONDS
        while not (wrong := self._there(asked)):
            open_still = [path for path in asked if path not in self._done]
            if not open_still:
                break
            if time.monotonic() > deadline:
                return [f"{path} is not done after {END_SECONDS:.0f} s" for path in open_still]
            time.sleep(0.5)
        return wrong

    def _doctor(self) -> list[str]:
        """Every problem the doctor finds, while the load goes on."""
        report = Doctor(self._engine, open_blobs(self._settings), self._settings.home / "quarantine").examine()
        return [f"doctor: {problem.kind} {problem.where}: {problem.detail}" for problem in report.problems]


def _lost(ref: str, summary: dict[str, str | None] | None, digest: str, yanked: bool) -> list[str]:  # noqa: FBT001
    """What is wrong with a version that was acknowledged."""
    if summary is None:
        return [f"{ref} was acknowledged and is not there"]
    if summary["digest"] != digest:
        return [f"{ref} has other bytes than were acknowledged"]
    return [f"{ref} is not yanked any more"] if yanked and summary["yanked"] is None else []
