"""What every keeper of verdicts on modules does."""

from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from registry.names import ModuleName, Selector
from registry.records import ModuleSearch, Verification, VerificationState
from tests.builders import NOW, digest_of, later, published_module
from tests.storage.contracts.modules import add

NAME, OTHER = ModuleName("ada", "digits"), ModuleName("eve", "copy")
BYTES = digest_of("bytes")
FIRST = Selector(version=1)
VERIFIED = Verification(state=VerificationState.VERIFIED, at=NOW)
REFUSED = Verification(state=VerificationState.REFUSED, at=later(0.000001), reason="not finite: Größe")


class VerificationRecordsContract:
    """Needs a fixture `begin`."""

    def test_what_nobody_looked_at_has_no_record_and_is_unverified(self, begin):
        add(begin, published_module())
        with begin() as work:
            assert work.verifications.get([digest_of("ada/digits@1")]) == {}
            assert work.modules.find(NAME, FIRST).verification == Verification()

    @pytest.mark.parametrize("found", [VERIFIED, REFUSED])
    def test_what_was_found_comes_back_as_it_was_with_every_version_of_the_bytes(self, begin, found):
        add(begin, published_module(digest=BYTES), published_module("eve/copy", digest=BYTES))
        add(begin, published_module("eve/other"))
        put(begin, found)
        with begin() as work:
            assert work.verifications.get([BYTES, digest_of("eve/other@1")]) == {BYTES: found}
            listed = [*work.modules.by_digest(BYTES), work.modules.find(NAME, FIRST)]
            assert [module.verification for module in listed] == [found] * 3
            assert work.modules.find(ModuleName("eve", "other"), FIRST).verification == Verification()

    def test_a_version_that_is_added_later_has_what_was_found_of_its_bytes(self, begin):
        put(begin, VERIFIED)
        add(begin, published_module(digest=BYTES))
        with begin() as work:
            assert work.modules.find(NAME, FIRST).verification == VERIFIED

    def test_the_last_finding_counts(self, begin):
        put(begin, REFUSED)
        put(begin, VERIFIED)
        with begin() as work:
            assert work.verifications.get([BYTES, BYTES]) == {BYTES: VERIFIED}

    def test_what_was_found_goes_with_the_last_version_of_the_bytes(self, begin):
        add(begin, published_module(digest=BYTES), published_module("eve/copy", digest=BYTES))
        put(begin, VERIFIED)
        with begin() as work:
            work.modules.delete(NAME, 1)
            assert work.verifications.get([BYTES]) == {BYTES: VERIFIED}
            work.modules.delete(OTHER, 1)
            assert work.verifications.get([BYTES]) == {}

    def test_many_are_asked_for_at_once(self, begin):
        put(begin, VERIFIED)
        with begin() as work:
            assert work.verifications.get([*(digest_of(number) for number in range(1200)), BYTES]) == {BYTES: VERIFIED}
            assert work.verifications.get([]) == {}

    def test_a_search_shows_and_narrows_by_what_was_found(self, begin):
        add(begin, published_module(digest=BYTES), published_module("ada/bad", digest=digest_of("bad")))
        add(begin, published_module("ada/new"))
        put(begin, VERIFIED)
        with begin() as work:
            work.verifications.put(digest_of("bad"), REFUSED)
        with begin() as work:
            assert found(work, verified=True) == {"digits": VERIFIED}
            assert found(work, verified=False) == {"bad": REFUSED, "new": Verification()}
            assert len(found(work, verified=None)) == 3
            assert work.modules.facets(ModuleSearch(verified=True))["role"][0].count == 1

    def test_a_search_finds_copies_by_what_was_found_of_their_bytes(self, begin):
        add(begin, published_module(digest=BYTES))
        put(begin, VERIFIED)
        add(begin, published_module("eve/copy", digest=BYTES))
        with begin() as work:
            assert found(work, verified=True) == {"digits": VERIFIED, "copy": VERIFIED}
            work.modules.delete(NAME, 1)
            assert found(work, verified=True) == {"copy": VERIFIED}
            work.modules.delete(OTHER, 1)
        add(begin, published_module("eve/later", digest=BYTES))
        with begin() as work:
            assert found(work, verified=False) == {"later": Verification()}

    def test_a_search_goes_by_the_last_finding(self, begin):
        add(begin, published_module(digest=BYTES))
        for last in (VERIFIED, REFUSED):
            put(begin, last)
        with begin() as work:
            assert (found(work, verified=True), found(work, verified=False)) == ({}, {"digits": REFUSED})

    def test_what_is_found_of_a_module_stays_while_it_is_held(self, begin):
        with ThreadPoolExecutor(1) as pool:
            with begin() as work:
                work.verifications.hold(BYTES)
                other = pool.submit(put, begin, VERIFIED)
                assert not wait([other], timeout=0.3).done
                assert work.verifications.get([BYTES]) == {}
            other.result(timeout=30)
        with begin() as work:
            assert work.verifications.get([BYTES]) == {BYTES: VERIFIED}

    @pytest.mark.parametrize("first", ["published", "verified"])
    def test_a_copy_published_while_its_bytes_are_verified_is_found_as_verified(self, begin, first):
        add(begin, published_module(digest=BYTES))
        copy = published_module("eve/copy", digest=BYTES)
        with ThreadPoolExecutor(1) as pool:
            with begin() as work:
                if first == "published":
                    work.modules.add(copy)
                    other = pool.submit(put, begin, VERIFIED)
                else:
                    work.verifications.put(BYTES, VERIFIED)
                    other = pool.submit(add, begin, copy)
                assert not wait([other], timeout=0.3).done, "the second waits for the first"
            other.result(timeout=30)
        with begin() as work:
            assert found(work, verified=True) == {"digits": VERIFIED, "copy": VERIFIED}


def put(begin, verification):
    """Record what was found of BYTES."""
    with begin() as work:
        work.verifications.put(BYTES, verification)


def found(work, *, verified):
    """Names and states of what a search finds."""
    page = work.modules.search(ModuleSearch(verified=verified), limit=9, cursor=None)
    return {module.name: module.verification for module in page.items}
