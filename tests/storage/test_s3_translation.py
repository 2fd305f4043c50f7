"""What the object store says, in the zoo's words."""

import pytest
from obstore.exceptions import GenericError, PermissionDeniedError

from registry.errors import BusyError, NotFoundError, StorageError, StorageFullError
from storage.s3_translation import object_found, store_translated
from tests.builders import digest_of

ANSWER = (
    "Generic S3 error: Error performing PUT http://store.inside:8333/zoo/key in 1ms - Server returned non-2xx status"
)


def answered(status: int, code: str) -> str:
    return f"{ANSWER} code: {status} Some Phrase: <Error><Code>{code}</Code><Message>at store.inside</Message></Error>"


@pytest.mark.parametrize(
    ("error", "expected", "said"),
    [
        (GenericError(answered(507, "InsufficientStorage")), StorageFullError, "no room left"),
        (GenericError(answered(403, "QuotaExceeded")), StorageFullError, "no room left"),
        (GenericError(answered(503, "SlowDown")), BusyError, "busy (SlowDown); try again"),
        (GenericError(answered(429, "TooManyRequests")), BusyError, "try again"),
        (GenericError(answered(500, "InternalError")), StorageError, "failed (InternalError)"),
        (GenericError(f"{ANSWER} code: 502 Bad Gateway"), StorageError, "failed (502)"),
        (GenericError("HTTP error: error sending request\n kind: Timeout"), BusyError, "does not answer"),
        (GenericError("something new"), StorageError, "failed (no answer)"),
        (PermissionDeniedError(answered(403, "AccessDenied")), StorageError, "refuses the service's access keys"),
        (FileNotFoundError(answered(404, "NoSuchBucket")), StorageError, "no such bucket"),
        (GenericError(answered(404, "NoSuchBucket")), StorageError, "no such bucket"),
    ],
)
def test_each_refusal_has_its_error_and_tells_no_host(error: Exception, expected: type, said: str) -> None:
    with pytest.raises(expected) as caught, store_translated():
        raise error
    assert type(caught.value) is expected
    assert said in caught.value.detail
    assert "store.inside" not in caught.value.detail
    assert caught.value.__cause__ is error


def test_an_object_that_is_not_there_is_not_found_and_the_same_without_a_bucket_is_not() -> None:
    with pytest.raises(NotFoundError, match="upload them first"), object_found(digest_of("x")):
        raise FileNotFoundError(answered(404, "NoSuchKey"))
    with pytest.raises(StorageError, match="no such bucket"), object_found(digest_of("x")):
        raise FileNotFoundError(answered(404, "NoSuchBucket"))


def test_an_error_of_whoever_uses_the_store_stays_as_it_is() -> None:
    with pytest.raises(ConnectionResetError), store_translated():
        raise ConnectionResetError("the reader went away")
