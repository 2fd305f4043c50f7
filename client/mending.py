"""A download that came out wrong: the bad parts alone are fetched again."""

from client.cache import Draft
from client.connection import Call, Connection
from client.errors import UnexpectedAnswerError, error_of
from registry.errors import NotFoundError
from registry.parts import PartDigests


def mend(connection: Connection, path: str, draft: Draft) -> bool:
    """Fetch again those parts of a draft that are not as the zoo has them.

    Returns:
        Whether there was something to go by; the draft's digest tells whether it is right now.

    Raises:
        CorruptBlobError: the zoo's own bytes are damaged.
        httpx.TransportError: it broke off.
    """
    try:
        told = connection.ask(Call("GET", f"{path.removesuffix('/file')}/parts"), PartDigests)
    except (NotFoundError, UnexpectedAnswerError):
        return False
    if told.digest != draft.digest or draft.size != told.size_bytes:
        return False
    found = draft.parts(told.part_bytes)
    for number, (here, there) in enumerate(zip(found, told.parts, strict=True)):
        if here != there:
            start = number * told.part_bytes
            _fetch(connection, path, draft=draft, start=start, end=min(start + told.part_bytes, told.size_bytes))
    draft.hash_again()
    return True


def _fetch(connection: Connection, path: str, *, draft: Draft, start: int, end: int) -> None:
    """Write over some bytes of a draft; an answer with other ones leaves it as it is."""
    headers = {"Accept-Encoding": "identity", "Range": f"bytes={start}-{end - 1}"}
    call = Call("GET", path, headers=headers)
    with connection.stream(call, stall_seconds=connection.timeouts.stall_seconds) as response:
        if response.status_code >= 400:
            raise error_of(response)
        if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-{end - 1}/"):
            return
        for chunk in response.iter_raw():
            draft.overwrite(start, chunk)
            start += len(chunk)
