"""What is kept of requests that came with an idempotency key."""

from registry.frozen import Frozen


class RequestKey(Frozen):
    """The `Idempotency-Key` of one request, whose it is, and what tells the request from others."""

    owner: str
    key: str
    fingerprint: str


class FirstAnswer(Frozen):
    """What was answered when a key was used first: a model as JSON text, and whether it was new."""

    fingerprint: str
    answer: str
    created: bool
