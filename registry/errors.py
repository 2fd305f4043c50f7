"""Every error a user can cause or meet, as one tree.

A `ZooError` is one sentence that names the values seen and the remedy. `code` is stable and part of the
contract; `status` is the HTTP status it becomes. Several faults of one request travel together as `faults`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a request: where it is, as a JSON pointer, and what is wrong with it."""

    pointer: str
    detail: str
    code: str = "invalid"


class ZooError(Exception):
    """Root of the tree: a wrong request or state, told in one sentence."""

    code: ClassVar[str] = "zoo_error"
    title: ClassVar[str] = "The request could not be carried out"
    status: ClassVar[int] = 400

    def __init__(self, detail: str, *, faults: Sequence[Fault] = ()) -> None:
        """Args: detail: one sentence with the values seen; faults: each single fault, where there are several."""
        super().__init__(detail)
        self.detail = detail
        self.faults = tuple(faults)


class InvalidInputError(ZooError):
    """Something in the request is wrong; sending it again unchanged will fail again."""

    code = "invalid_input"
    title = "The request is not valid"
    status = 422


class KeyReusedError(InvalidInputError):
    """An `Idempotency-Key` was sent before, with another request; each request needs a key of its own."""

    code = "idempotency_key_reused"
    title = "The key belongs to another request"


class InvalidNameError(InvalidInputError):
    """A name, a reference or a digest is not written as the contract says."""

    code = "invalid_name"
    title = "Not a valid name or reference"


class InvalidModuleFileError(InvalidInputError):
    """A module file is not a well-formed safetensors file with a manifest."""

    code = "invalid_module_file"
    title = "Not a valid module file"


class InvalidManifestError(InvalidModuleFileError):
    """The manifest inside a module file breaks its schema or its own rules."""

    code = "invalid_manifest"
    title = "Not a valid manifest"


class InvalidArchitectureError(InvalidInputError):
    """An architecture is not on the allow-list, or its parts do not fit together."""

    code = "invalid_architecture"
    title = "Not a valid architecture"


class InvalidWeightsError(InvalidModuleFileError):
    """The tensors of a module file are not those of its architecture, or are not finite."""

    code = "invalid_weights"
    title = "The weights do not fit the architecture"


class InvalidDatasetError(InvalidInputError):
    """An upload is not a labelled dataset within the bounds."""

    code = "invalid_dataset"
    title = "Not a valid dataset"


class InvalidTaskError(InvalidInputError):
    """A task names classes that its dataset lacks, or leaves fewer than two."""

    code = "invalid_task"
    title = "Not a valid task"


class InvalidRecipeError(InvalidInputError):
    """A training recipe asks for what cannot be trained."""

    code = "invalid_recipe"
    title = "Not a valid training recipe"


class PipelineMisfitError(InvalidInputError):
    """The modules of a pipeline do not fit one after the other; every misfit is a fault."""

    code = "pipeline_misfit"
    title = "The modules do not fit together"


class NotScorableError(InvalidInputError):
    """A module cannot be scored on a task: it has no feature map, or the task gives it nothing to do."""

    code = "not_scorable"
    title = "The module cannot be scored"


class TooLargeError(InvalidInputError):
    """An upload, or what it unpacks to, is over a bound; the bound is in the sentence."""

    code = "too_large"
    title = "Over the size limit"
    status = 413


class WrongDigestError(ZooError):
    """Bytes do not have the digest that the request names; nothing of them was kept."""

    code = "wrong_digest"
    title = "The bytes do not match the digest"
    status = 400


class NotFoundError(ZooError):
    """What the request names is not there, or is not for the caller to know of."""

    code = "not_found"
    title = "Not found"
    status = 404


class ConflictError(ZooError):
    """The request contradicts the present state."""

    code = "conflict"
    title = "Conflict with the present state"
    status = 409


class LeaseLostError(ConflictError):
    """Another attempt holds the job now; what this worker brings is not taken."""

    code = "lease_lost"
    title = "Another attempt holds the job"


class UploadLockedError(ConflictError):
    """Another request adds bytes to the upload; wait, and ask where it is."""

    code = "upload_locked"
    title = "Another request adds to the upload"
    status = 423


class UploadStalledError(ConflictError):
    """No bytes came for too long; what came before is kept, so ask where the upload is and go on there."""

    code = "upload_stalled"
    title = "No bytes came for too long"
    status = 408


class GoneError(NotFoundError):
    """What the request names was there, and has expired."""

    code = "gone"
    title = "Gone"
    status = 410


class ChecksumMismatchError(ZooError):
    """The bytes of a request do not have the checksum that it names; none of them was kept."""

    code = "checksum_mismatch"
    title = "The bytes do not match the checksum"
    status = 460


class TusVersionError(ZooError):
    """A request about an upload does not say that it speaks tus 1.0."""

    code = "tus_version"
    title = "Another version of tus"
    status = 412


class ReferencedError(ConflictError):
    """Something cannot be deleted because others refer to it; each is a fault."""

    code = "referenced"
    title = "Others refer to it"


class PreconditionFailedError(ZooError):
    """`If-Match` or `If-None-Match` does not hold: somebody changed it in between."""

    code = "precondition_failed"
    title = "It changed in between"
    status = 412


class PreconditionRequiredError(ZooError):
    """A compare-and-swap was asked for without saying what to compare with."""

    code = "precondition_required"
    title = "A precondition is needed"
    status = 428


class UnauthenticatedError(ZooError):
    """The request needs a token, and has none."""

    code = "unauthenticated"
    title = "A token is needed"
    status = 401


class InvalidTokenError(UnauthenticatedError):
    """The token is not known, has expired, or was revoked."""

    code = "invalid_token"
    title = "The token is not valid"


class ForbiddenError(ZooError):
    """The token is known but may not do this."""

    code = "forbidden"
    title = "Not allowed"
    status = 403


class RateLimitedError(ZooError):
    """Too many requests in too short a time; `Retry-After` says when the next is taken."""

    code = "rate_limited"
    title = "Too many requests"
    status = 429

    def __init__(self, detail: str, *, faults: Sequence[Fault] = (), retry_after_seconds: int = 1) -> None:
        """Args: detail: one sentence with the limit; retry_after_seconds: when the next request is taken."""
        super().__init__(detail, faults=faults)
        self.retry_after_seconds = retry_after_seconds


class CorruptBlobError(ZooError):
    """Stored bytes no longer have their digest."""

    code = "corrupt_blob"
    title = "Stored bytes are damaged"
    status = 500


class StorageFullError(ZooError):
    """The disk or the object store has no room left; nothing was half-written."""

    code = "storage_full"
    title = "No room left"
    status = 507


class StorageError(ZooError):
    """The database or the object store failed in a way that nobody foresaw."""

    code = "storage_failed"
    title = "Storage failed"
    status = 500


class BusyError(ZooError):
    """The service has more work than it can take now; try again later."""

    code = "busy"
    title = "Busy"
    status = 503


class JobFailedError(ZooError):
    """A worker could not do what the request needs; the sentence says why."""

    code = "job_failed"
    title = "The work failed"
    status = 500


class SettingsError(ZooError):
    """The service cannot start with these settings."""

    code = "invalid_settings"
    title = "The settings do not allow a start"
    status = 500
