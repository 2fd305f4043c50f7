"""Tokens: shown once, kept as hashes, good for what they say, until they end."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from registry.access import OPERATOR, Identity, TokenRole
from registry.errors import InvalidInputError, InvalidTokenError, NotFoundError
from registry.token_records import NewToken, TokenScope
from registry.tokens import TokenService, cookie_of, hash_of, is_well_formed, new_secret
from registry.zoo import Zoo
from tests.builders import NOW


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def tokens(zoo: Zoo, clock: Hands) -> TokenService:
    return TokenService(zoo.begin, clock)


def scope(**changes: object) -> TokenScope:
    return TokenScope.model_validate({"name": "laptop", "owner": "ada", "role": "publisher", **changes})


def make(tokens: TokenService, **changes: object) -> NewToken:
    return tokens.create(scope(**changes))


def test_a_token_says_who_its_holder_is(tokens: TokenService) -> None:
    made = make(tokens, namespaces=["ada"])
    assert tokens.identify(made.secret) == Identity("ada", TokenRole.PUBLISHER, namespaces=("ada",), token_id=made.id)


def test_a_cookie_says_the_same_and_is_no_token(tokens: TokenService) -> None:
    made = make(tokens)
    assert tokens.identify_cookie(cookie_of(made.secret)) == tokens.identify(made.secret)
    for wrong in (cookie_of(made.secret), hash_of(made.secret), hash_of(cookie_of(made.secret))):
        with pytest.raises(InvalidTokenError):
            tokens.identify(wrong)
    for wrong in (made.secret, hash_of(made.secret), hash_of(cookie_of(made.secret)), ""):
        with pytest.raises(InvalidTokenError):
            tokens.identify_cookie(wrong)


def test_secrets_can_be_told_from_other_text_and_from_each_other() -> None:
    secrets = {new_secret() for _ in range(200)}
    assert len(secrets) == 200
    assert all(re.fullmatch(r"zoo_[0-9A-Za-z]{49}", secret) and is_well_formed(secret) for secret in secrets)


def test_a_slip_of_the_hand_is_seen_without_asking_anybody(tokens: TokenService) -> None:
    secret = make(tokens).secret
    for place in (5, 30, -1):
        other = "a" if secret[place] != "a" else "b"
        slipped = secret[:place] + other + (secret[place + 1 :] if place != -1 else "")
        assert not is_well_formed(slipped)
    assert not any(is_well_formed(wrong) for wrong in ("", "zoo_", secret[:-1], secret + "0", secret.upper(), "é" * 53))


def test_no_secret_is_in_the_database(tokens: TokenService, zoo: Zoo) -> None:
    made = make(tokens)
    kept = b"".join(path.read_bytes() for path in zoo.settings.home.glob("zoo.sqlite3*"))
    assert made.id.encode() in kept
    assert made.secret.encode() not in kept
    assert cookie_of(made.secret).encode() not in kept


def test_lists_have_no_secret(tokens: TokenService) -> None:
    made = make(tokens)
    (listed,) = tokens.list(limit=9, cursor=None).items
    assert dict(listed) == {name: getattr(made, name) for name in type(listed).model_fields}
    assert made.secret not in listed.model_dump_json()


def test_tokens_are_listed_newest_first_a_page_at_a_time(tokens: TokenService, clock: Hands) -> None:
    made = []
    for _ in range(5):
        clock.now += timedelta(seconds=1)
        made.append(make(tokens).id)
    first = tokens.list(limit=3, cursor=None)
    second = tokens.list(limit=3, cursor=first.next_cursor)
    assert [each.id for each in (*first.items, *second.items)] == made[::-1]
    assert second.next_cursor is None


def test_an_expired_token_lets_nobody_in_even_if_it_was_just_used(tokens: TokenService, clock: Hands) -> None:
    made = make(tokens, expires_at=NOW + timedelta(seconds=3))
    tokens.identify(made.secret)
    clock.now += timedelta(seconds=3)
    with pytest.raises(InvalidTokenError, match="expired"):
        tokens.identify(made.secret)


def test_a_revoked_token_lets_nobody_in_from_that_moment(tokens: TokenService) -> None:
    made = make(tokens)
    tokens.identify(made.secret)
    tokens.revoke(made.id, identity=OPERATOR)
    for identify, given in ((tokens.identify, made.secret), (tokens.identify_cookie, cookie_of(made.secret))):
        with pytest.raises(InvalidTokenError):
            identify(given)


def test_another_replica_forgets_a_revoked_token_in_seconds(tokens: TokenService, zoo: Zoo, clock: Hands) -> None:
    made, other = make(tokens), TokenService(zoo.begin, clock)
    other.identify(made.secret)
    tokens.revoke(made.id, identity=OPERATOR)
    clock.now += timedelta(seconds=5)
    with pytest.raises(InvalidTokenError):
        other.identify(made.secret)


def test_one_may_give_up_ones_own_token_and_nobody_elses(tokens: TokenService) -> None:
    mine, theirs = make(tokens), make(tokens)
    identity = tokens.identify(mine.secret)
    with pytest.raises(NotFoundError) as unseen:
        tokens.revoke(theirs.id, identity=identity)
    with pytest.raises(NotFoundError) as unknown:
        tokens.revoke("token-nowhere", identity=identity)
    assert unseen.value.detail.replace(theirs.id, "") == unknown.value.detail.replace("token-nowhere", "")
    tokens.revoke(mine.id, identity=identity)
    assert [each.id for each in tokens.list(limit=9, cursor=None).items] == [theirs.id]


def test_the_last_use_is_noted_once_a_minute(tokens: TokenService, clock: Hands) -> None:
    made = make(tokens)
    used = []
    for _ in range(13):
        tokens.identify(made.secret)
        used.append(tokens.list(limit=1, cursor=None).items[0].last_used_at)
        clock.now += timedelta(seconds=10)
    assert used == [NOW] * 6 + [NOW + timedelta(minutes=1)] * 6 + [NOW + timedelta(minutes=2)]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"expires_at": NOW}, "/expires_at"),
        ({"expires_at": datetime(2030, 1, 1)}, "/expires_at"),
        ({"role": "admin", "namespaces": ["ada"]}, "/namespaces"),
        ({"role": "worker", "namespaces": ["ada"]}, "/namespaces"),
        ({"owner": "zoo"}, "/owner"),
    ],
)
def test_a_token_that_says_what_cannot_be_is_refused(
    tokens: TokenService, changes: dict[str, object], pointer: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        make(tokens, **changes)
    assert [fault.pointer for fault in refused.value.faults] == [pointer]
    assert tokens.list(limit=1, cursor=None).items == ()


def test_only_an_admin_that_lasts_can_manage_a_zoo(tokens: TokenService, clock: Hands) -> None:
    make(tokens)
    assert not tokens.has_admin()
    make(tokens, role="admin", expires_at=NOW + timedelta(seconds=1))
    assert tokens.has_admin()
    clock.now += timedelta(seconds=1)
    assert not tokens.has_admin()
    make(tokens, role="admin", expires_at=datetime(2999, 1, 1, tzinfo=UTC))
    assert tokens.has_admin()


def test_a_token_is_introduced_with_what_it_is_for(tokens: TokenService) -> None:
    made = make(tokens)
    told = tokens.introduce(tokens.identify(made.secret))
    assert (told.owner, told.role, told.namespaces) == ("ada", TokenRole.PUBLISHER, None)
    assert told.token is not None
    assert told.token.id == made.id
    assert tokens.introduce(OPERATOR).token is None


def test_what_is_remembered_of_tokens_is_bounded(tokens: TokenService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.tokens.MOST_REMEMBERED", 2)
    made = [make(tokens) for _ in range(4)]
    for each in made:
        tokens.identify(each.secret)
    assert [tokens.remembers(each.secret) for each in made] == [False, False, True, True]
