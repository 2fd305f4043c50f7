"""Contracts of what access is kept in: tokens, namespaces and who sees what, who brought which bytes."""

from datetime import timedelta

from registry.access import EVERYTHING, Sight
from registry.audit import note
from registry.manifest import Role
from registry.names import ModuleName, Selector
from registry.namespace_records import Namespace, Visibility
from registry.records import Alias, ModuleSearch
from registry.token_records import KeptToken, Token
from tests.builders import NOW, digest_of, later, pipeline, published_module

ADA, EVE, NOBODY = Sight(owner="ada"), Sight(owner="eve"), Sight()


def kept_token(number: int = 1, **changes: object) -> KeptToken:
    """A token with hashes of its own."""
    fields = {"id": f"token-{number}", "name": "n", "owner": "ada", "role": "reader", "created_at": later(number)}
    token = Token.model_validate({**fields, **changes})
    return KeptToken(token=token, secret_hash=f"secret {number}", cookie_hash=f"cookie {number}")


def private(namespace: str, *members: str) -> Namespace:
    """A private namespace."""
    return Namespace(namespace=namespace, visibility=Visibility.PRIVATE, members=members)


class TokenRecordsContract:
    """Tokens are found by their hashes, listed newest first, and gone when removed."""

    def test_a_token_is_found_by_its_id_and_by_each_hash(self, begin):
        kept = kept_token(namespaces=("a", "b"), expires_at=later(99))
        with begin() as work:
            work.tokens.add(kept)
        with begin() as work:
            assert work.tokens.get("token-1") == work.tokens.by_secret("secret 1") == kept.token
            assert work.tokens.by_cookie("cookie 1") == kept.token
            assert work.tokens.by_secret("cookie 1") is work.tokens.by_cookie("secret 1") is None

    def test_the_last_use_is_part_of_a_token(self, begin):
        with begin() as work:
            work.tokens.add(kept_token())
            work.tokens.note_use("token-1", at=later(5))
            work.tokens.note_use("token-none", at=later(5))
        with begin() as work:
            assert work.tokens.get("token-1").last_used_at == later(5)

    def test_tokens_are_listed_newest_first_a_page_at_a_time(self, begin):
        with begin() as work:
            for number in range(5):
                work.tokens.add(kept_token(number))
        with begin() as work:
            first = work.tokens.list(limit=3, cursor=None)
            second = work.tokens.list(limit=3, cursor=first.next_cursor)
        assert [each.id for each in (*first.items, *second.items)] == [f"token-{number}" for number in (4, 3, 2, 1, 0)]
        assert second.next_cursor is None

    def test_a_removed_token_is_gone_and_removing_it_again_is_told(self, begin):
        with begin() as work:
            work.tokens.add(kept_token())
            assert work.tokens.remove("token-1")
            assert not work.tokens.remove("token-1")
            assert work.tokens.by_secret("secret 1") is None

    def test_an_admin_counts_until_it_expires(self, begin):
        with begin() as work:
            work.tokens.add(kept_token(1))
            assert not work.tokens.has_admin(at=NOW)
            work.tokens.add(kept_token(2, role="admin", expires_at=later(10)))
            assert work.tokens.has_admin(at=later(9))
            assert not work.tokens.has_admin(at=later(10))
            work.tokens.add(kept_token(3, role="admin"))
            assert work.tokens.has_admin(at=later(1e6))


class NamespaceRecordsContract:
    """A private namespace has members; what is in one is found by units of work that see it, and by no others."""

    def test_a_namespace_is_public_until_it_is_made_private(self, begin):
        with begin() as work:
            assert work.namespaces.get("vault").visibility is Visibility.PUBLIC
            work.namespaces.put(private("vault", "bob", "ada", "ada"), at=NOW)
            assert work.namespaces.get("vault") == private("vault", "ada", "bob")
            work.namespaces.put(private("vault", "eve"), at=NOW + timedelta(days=1))
            assert work.namespaces.all_private() == (private("vault", "eve"),)
            work.namespaces.put(Namespace(namespace="vault", visibility=Visibility.PUBLIC), at=NOW)
            assert work.namespaces.all_private() == ()

    def test_members_see_what_others_do_not(self, begin):
        with begin() as work:
            work.namespaces.put(private("vault", "ada"), at=NOW)
            work.namespaces.put(private("empty"), at=NOW)
        expected = {
            EVERYTHING: ("empty", "vault"),
            ADA: ("vault",),
            EVE: (),
            NOBODY: (),
            Sight(owner="ada", within=("vault",)): ("vault",),
            Sight(owner="ada", within=("other",)): (),
        }
        for sight, seen in expected.items():
            with begin(sight) as work:
                assert work.namespaces.private_in_sight() == seen
                assert work.namespaces.in_sight("vault") == ("vault" in seen)
                assert work.namespaces.in_sight("public")

    def test_every_read_of_modules_keeps_to_what_is_in_sight(self, begin):
        hidden, shown = published_module("vault/m", tags=["t"], at=later(1)), published_module("open/m")
        above = published_module("vault/above", role=Role.HIDDEN, below=hidden.digest)
        name = ModuleName("vault", "m")
        with begin() as work:
            work.namespaces.put(private("vault", "ada"), at=NOW)
            for module in (hidden, shown, above):
                work.modules.add(module)
            note(work, "publish", hidden.ref, at=NOW)
            work.pipelines.add(pipeline("held", digests=(hidden.digest,), namespace="vault"))
            work.modules.move_alias(name, Alias(alias="best", version=1, digest=hidden.digest, revision=1), at=NOW)
        seen = _reads_of(begin, EVERYTHING, name, hidden.digest)
        assert _reads_of(begin, ADA, name, hidden.digest) == seen
        for sight in (EVE, NOBODY, Sight(owner="ada", within=("open",))):
            unseen = _reads_of(begin, sight, name, hidden.digest)
            assert [bool(before) for before in seen] == [True] * len(seen)
            assert [bool(after) for after in unseen] == [False] * len(seen)

    def test_a_transaction_may_look_at_everything_where_a_rule_needs_it(self, begin):
        hidden = published_module("vault/m")
        with begin() as work:
            work.namespaces.put(private("vault"), at=NOW)
            work.modules.add(hidden)
        with begin(EVE) as work:
            assert work.modules.by_digest(hidden.digest) == ()
            assert work.seeing_everything().modules.by_digest(hidden.digest) == (hidden,)

    def test_a_pipeline_is_in_sight_where_all_its_namespaces_are(self, begin):
        made = pipeline("whole", digests=(digest_of(1), digest_of(2)))
        with begin() as work:
            assert work.pipelines.add(made)
            assert not work.pipelines.add(made)
            work.namespaces.put(private("ada", "ada"), at=NOW)
        for sight, seen in ((ADA, True), (EVERYTHING, True), (EVE, False), (NOBODY, False)):
            with begin(sight) as work:
                found = (
                    work.pipelines.get("whole"),
                    work.pipelines.newest_named(made.name),
                    work.pipelines.using(digest_of(1)),
                    work.pipelines.list(limit=9, cursor=None).items,
                )
                assert [bool(each) for each in found] == [seen] * 4

    def test_a_pipeline_of_which_no_namespace_is_known_is_in_nobodys_sight(self, begin):
        with begin() as work:
            work.pipelines.add(pipeline("bare", digests=()))
        for sight, seen in ((EVERYTHING, True), (ADA, False), (NOBODY, False)):
            with begin(sight) as work:
                assert (work.pipelines.get("bare") is not None) == seen


class BlobOwnerRecordsContract:
    """Whoever brought bytes is known until it is forgotten, each by themselves."""

    def test_who_brought_bytes_is_known_until_it_is_forgotten(self, begin):
        first, second = digest_of(1), digest_of(2)
        with begin() as work:
            for _ in range(2):
                work.blob_owners.add(first, owner="ada")
            work.blob_owners.add(first, owner="bob")
            work.blob_owners.add(second, owner="bob")
            assert work.blob_owners.has(first, owner="ada")
            assert not work.blob_owners.has(second, owner="ada")
            work.blob_owners.remove(first, owner="ada")
            assert not work.blob_owners.has(first, owner="ada")
            assert work.blob_owners.has(first, owner="bob")
            work.blob_owners.remove(first, owner=None)
            assert not work.blob_owners.has(first, owner="bob")
            assert work.blob_owners.has(second, owner="bob")


def _reads_of(begin, sight, name, digest):
    with begin(sight) as work:
        return _reads(work, name, digest)


def _reads(work, name, digest):
    """What every read of modules finds of one module, each empty where it finds nothing."""
    search = ModuleSearch(namespace=name.namespace)
    roles = ["input"]
    return [
        work.modules.find(name, Selector(version=1)),
        work.modules.find(name, Selector(digest=digest)),
        work.modules.find(name, Selector(alias="latest")),
        work.modules.by_digest(digest),
        work.modules.search(search, limit=9, cursor=None).items,
        work.modules.facets(search)["role"],
        work.modules.facets(search)["tag"],
        [each for each in work.modules.newest(roles) if each.digest == digest],
        [each for each in work.modules.shortlist(roles, limit=9, newcomers=3).modules if each.digest == digest],
        [each for each in work.modules.shortlist(roles, limit=1, newcomers=1).modules if each.digest == digest],
        work.modules.shortlist(roles, limit=0, newcomers=0).in_zoo - 1,  # the other one is seen by all
        work.modules.stones([digest]),
        work.modules.of_digests([digest]),
        work.modules.standing_on(digest),
        work.modules.find(name, Selector(alias="best")),
        work.modules.alias(name, "best"),
        work.modules.aliases(name),
        work.modules.alias_history(name, "best"),
        work.modules.search(ModuleSearch(q=name.namespace), limit=9, cursor=None).items,
        work.modules.search(ModuleSearch(q=name.namespace), limit=1, cursor=None).items,
        work.modules.facets(ModuleSearch(q=name.namespace))["namespace"],
        work.modules.summaries(name, limit=9, cursor=None).items,
        work.modules.descendants(digest, limit=9, cursor=None).items,
        [change for change in work.changes.since(0, limit=9) if name.namespace in change.ref],
        work.changes.since(0, limit=9, namespace=name.namespace),
        work.pipelines.list(limit=9, cursor=None, holding=digest).items,
    ]
