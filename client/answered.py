"""What a zoo's refusal says beside the error that it stands for; apart, so that the command line starts fast."""


class AnsweredProblem(Exception):  # noqa: N818
    """The cause of an error that came over HTTP: which request it answers, and what the answer told beside."""

    def __init__(
        self, request: str, *, problem_type: str, request_id: str, retry_after_seconds: float | None = None
    ) -> None:
        """Args: request: method, address and status, for tracebacks; the others as the answer has them."""
        super().__init__(f"{request}, request id {request_id or 'none'}")
        self.type, self.request_id, self.retry_after_seconds = problem_type, request_id, retry_after_seconds
