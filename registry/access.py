"""Who asks: the owner of what they upload, what their token is for, in which namespaces, and what they may see."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

OPERATOR_NAME = "admin"
"""Whoever holds ZOO_TOKEN, or sits at a machine whose service has no tokens."""

NOBODY_NAME = ""
"""Whoever did not say who they are; no user can be called so, and nobody owns anything under it."""


class TokenRole(StrEnum):
    """What a token is for."""

    READER = "reader"
    PUBLISHER = "publisher"
    WORKER = "worker"
    ADMIN = "admin"


class Action(StrEnum):
    """A kind of request; every route is one of one kind."""

    LOOK = "look"
    READ = "read"
    INTRODUCE = "introduce"
    ASK = "ask"
    STORE = "store"
    PUBLISH = "publish"
    TRAIN = "train"
    REPORT = "report"
    MANAGE = "manage"


MEANINGS: Mapping[Action, str] = {
    Action.LOOK: "whether the service lives, what it counts, what its errors mean",
    Action.READ: "modules and pipelines that one may know of, and what changes of them",
    Action.INTRODUCE: "who one is, and giving up one's own token",
    Action.ASK: "datasets, tasks, questions, predictions, outcomes and jobs of one's own",
    Action.STORE: "bytes by digest, also in uploads that go on: sending them, and fetching those that one may have",
    Action.PUBLISH: "publishing, pointing aliases, yanking, deleting, composing",
    Action.TRAIN: "queueing a training run, whose modules are published",
    Action.REPORT: "claiming and ending jobs; whoever is no worker, only those of data that stays at home",
    Action.MANAGE: "tokens, private namespaces, webhooks, the audit",
}

_SELF = frozenset({Action.LOOK, Action.INTRODUCE})
_READER = _SELF | {Action.READ, Action.ASK, Action.STORE, Action.REPORT}
ALLOWED: Mapping[TokenRole, frozenset[Action]] = {
    TokenRole.READER: _READER,
    TokenRole.PUBLISHER: _READER | {Action.PUBLISH, Action.TRAIN},
    TokenRole.WORKER: _SELF | {Action.STORE, Action.REPORT},
    TokenRole.ADMIN: frozenset(Action),
}
"""What each role may do; whatever is not here may not be done."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What one may know of: the public namespaces, and those private ones that `owner` is a member of.

    Args:
        everything: all of it, whoever the owner is.
        owner: the member; nobody is a member under the empty name.
        within: the only private namespaces that count; None for all.
    """

    everything: bool = False
    owner: str = NOBODY_NAME
    within: tuple[str, ...] | None = None


EVERYTHING = Sight(everything=True)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks.

    Args:
        owner: the name under which data is kept.
        role: what may be done; None for whoever did not say who they are.
        namespaces: where it may be done; None for everywhere.
        token_id: which token said so; None where no kept token did.
    """

    owner: str
    role: TokenRole | None
    namespaces: tuple[str, ...] | None = None
    token_id: str | None = None

    def may(self, action: Action) -> bool:
        """Whether the role allows it; nobody may look, and nothing else."""
        return action is Action.LOOK if self.role is None else action in ALLOWED[self.role]

    def covers(self, namespace: str) -> bool:
        """Whether the token is for this namespace; whether its owner may know of it is another question."""
        return self.namespaces is None or namespace in self.namespaces

    @property
    def is_admin(self) -> bool:
        """Whether everything is allowed."""
        return self.role is TokenRole.ADMIN

    @property
    def works(self) -> bool:
        """Whether the jobs of all are this one's to do."""
        return self.role in (TokenRole.WORKER, TokenRole.ADMIN)

    @property
    def sight(self) -> Sight:
        """What this one may know of."""
        return EVERYTHING if self.is_admin else Sight(owner=self.owner, within=self.namespaces)


OPERATOR = Identity(OPERATOR_NAME, TokenRole.ADMIN)
NOBODY = Identity(NOBODY_NAME, None)
