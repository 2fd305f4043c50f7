"""Verification: whether workers have built and run a module. It is told of bytes, so of every version that has them."""

from datetime import datetime

from registry.audit import note
from registry.names import Digest
from registry.ports import UnitOfWork
from registry.records import STAFF, Job, JobStatus, PublishedModule, Verification, VerificationState
from registry.work import ModuleVerdict, VerifyResult, VerifyWork


def request(work: UnitOfWork, module: Digest, *, at: datetime) -> None:
    """Have a worker look at a module, unless one has with success, or is about to.

    A module that was refused is looked at again: whoever publishes its bytes a second time asks for that.
    """
    if not found_of(work, module).verified:
        look_at(work, module, at=at)


def look_at(work: UnitOfWork, module: Digest, *, at: datetime) -> Job:
    """The job that is to verify a module: the one that is open, or a new one."""
    asked = VerifyWork(module=module)
    return work.jobs.find_open(asked) or work.jobs.submit(asked, owner=STAFF, at=at)


def settle(work: UnitOfWork, verdict: ModuleVerdict, *, at: datetime) -> None:
    """Record what a worker found, for every version with these bytes; for bytes that are no version any more, nothing.

    One success is enough and stays. A refusal stays until another look succeeds. Both changes of what a version may be
    used for enter the zoo's history; a first success changes no answer and does not.
    """
    work.verifications.hold(verdict.module)
    versions = work.modules.by_digest(verdict.module)
    before = found_of(work, verdict.module)
    if not versions or before.verified:
        return
    state = VerificationState.VERIFIED if verdict.refused is None else VerificationState.REFUSED
    work.verifications.put(verdict.module, Verification(state=state, at=at, reason=verdict.refused))
    _spare_look(work, verdict, at=at)
    if (verdict.refused is not None) != before.refused:
        for version in versions:
            note(work, "verify" if verdict.refused is None else "refuse", version.ref, at=at)


def _spare_look(work: UnitOfWork, verdict: ModuleVerdict, *, at: datetime) -> None:
    """End the look that waits for a worker still: whoever scored the module has looked at it."""
    job = work.jobs.find_open(VerifyWork(module=verdict.module))
    if job is not None and job.status is JobStatus.QUEUED:
        result = VerifyResult(verdict=verdict)
        work.jobs.end(job.id, attempt=None, status=JobStatus.DONE, result=result, error=None, at=at)


def found_of(work: UnitOfWork, module: Digest) -> Verification:
    """What was found of a module; unverified where no worker has looked yet."""
    return work.verifications.get([module]).get(module, Verification())


def refusal(module: PublishedModule) -> str:
    """Why a refused version cannot be used, and what to do, in one sentence."""
    why = module.verification.reason or "no reason was given"
    return f"{module.ref} was refused when a worker built and ran it: {why}; publish a version that runs"
