"""What a zoo's refusal says beside the error that it stands for; apart, so that the command line starts fast."""


class AnsweredProblem(Exception):  # noqa: N818
    """The cause of an error that came over HTTP: which request it answers, the problem's type, the request's id."""

    def __init__(self, request: str, *, problem_type: str, request_id: str) -> None:
        """Args: request: method, address and status, for tracebacks; the others as the answer has them."""
        super().__init__(f"{request}, request id {request_id or 'none'}")
        self.type, self.request_id = problem_type, request_id
