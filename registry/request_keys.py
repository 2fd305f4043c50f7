"""Idempotency keys: a request that is sent again under its key is answered as it was, and does nothing a second time.

The key is kept in the very transaction that does what the request asks: after a crash both are there or neither is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from pydantic import BaseModel

from registry.errors import Fault, KeyReusedError
from registry.key_records import RequestKey
from registry.names import Digest
from registry.ports import UnitOfWork

Model = TypeVar("Model", bound=BaseModel)

LIFETIME = timedelta(days=1)
"""For so long a key is remembered."""


@dataclass(frozen=True, slots=True)
class Made(Generic[Model]):
    """What a request made or found, and whether it is new."""

    model: Model
    created: bool


def once(
    work: UnitOfWork,
    key: RequestKey | None,
    make: Callable[[], Made[Model]],
    *,
    model: type[Model],
    at: datetime,
    about: Digest | None = None,
) -> Made[Model]:
    """What `make` makes within this transaction; under a key that was used before, what it made then.

    Two requests with one key do not meet: the second waits until the first has committed, and gets its answer.

    Args:
        work: the transaction; nothing of it is done yet, but that where `make` holds it holds already: whoever holds
            may want keys of others, and whoever has a key would wait for them.
        key: the request's; None does it every time.
        make: does what is asked. A refusal is not kept: it has changed nothing, so the key is free again.
        model: of which kind the answer is.
        at: now.
        about: the dataset that the answer tells of; it is forgotten with that.

    Raises:
        KeyReusedError: the key was used for another request.
    """
    if key is None:
        return make()
    first = work.request_keys.reserve(key, at=at, since=at - LIFETIME)
    if first is None:
        made = make()
        work.request_keys.keep(key, answer=made.model.model_dump_json(), created=made.created, about=about)
        return made
    if first.fingerprint != key.fingerprint:
        detail = f"the Idempotency-Key {key.key!r} was used for another request; take a new key for each request"
        raise KeyReusedError(detail, faults=[Fault("/header/Idempotency-Key", detail, KeyReusedError.code)])
    return Made(model.model_validate_json(first.answer), created=first.created)
