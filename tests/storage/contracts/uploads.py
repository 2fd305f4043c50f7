"""What every keeper of uploads does."""

from registry.upload_records import Upload, UploadLease, UploadPiece
from tests.builders import NOW, digest_of, later

FIRST, SECOND = UploadLease("first", later(30)), UploadLease("second", later(60))
PIECES = (UploadPiece(0, digest_of(0), 4), UploadPiece(4, digest_of(1), 6))


def upload(name="one", **changes):
    fields = {"id": name, "offset": 0, "length": 10, "metadata": "", "created_at": NOW, "expires_at": later(100)}
    return Upload(**{**fields, **changes})


def add(begin, *uploads, owner="ada"):
    with begin() as work:
        for each in uploads:
            work.uploads.add(each, owner=owner)


def take(begin, lease=FIRST, *, offset=0, length=None, at=NOW):
    with begin() as work:
        return work.uploads.take("one", lease, offset=offset, length=length, at=at)


def advance(begin, *pieces, lease=FIRST):
    with begin() as work:
        return work.uploads.advance("one", pieces, lease=lease, expires_at=later(200))


class UploadRecordsContract:
    """Needs a fixture `begin`."""

    def test_an_upload_comes_back_as_it_was_and_only_to_its_owner(self, begin):
        kept = upload(length=None, metadata="name Zm9v")
        add(begin, kept)
        with begin() as work:
            assert work.uploads.get("one", owner="ada") == work.uploads.get("one", owner=None) == kept
            assert work.uploads.get("one", owner="eve") is None
            assert work.uploads.get("two", owner=None) is None

    def test_a_lease_is_given_once_and_again_when_it_has_expired(self, begin):
        add(begin, upload())
        assert take(begin)
        assert not take(begin, SECOND)
        assert take(begin, SECOND, at=FIRST.expires_at)
        with begin() as work:
            assert not work.uploads.renew("one", FIRST)
            assert work.uploads.renew("one", SECOND)
            work.uploads.release("one", FIRST)
        assert not take(begin)
        with begin() as work:
            work.uploads.release("one", SECOND)
        assert take(begin)

    def test_a_lease_is_given_only_where_the_upload_goes_on(self, begin):
        add(begin, upload())
        assert not take(begin, offset=1)

    def test_a_length_is_fixed_once(self, begin):
        add(begin, upload(length=None))
        assert take(begin, length=7)
        with begin() as work:
            work.uploads.release("one", FIRST)
        assert take(begin, length=8)
        with begin() as work:
            found = work.uploads.get("one", owner=None)
        assert found is not None
        assert found.length == 7

    def test_pieces_are_recorded_with_the_offset_under_the_lease_alone(self, begin):
        add(begin, upload())
        assert not advance(begin, *PIECES)
        take(begin)
        assert not advance(begin, *PIECES, lease=SECOND)
        assert advance(begin, *PIECES)
        with begin() as work:
            assert work.uploads.pieces("one") == PIECES
            assert work.uploads.get("one", owner=None) == upload(offset=10, expires_at=later(200))

    def test_pieces_take_the_place_of_those_from_their_start_on(self, begin):
        add(begin, upload())
        take(begin)
        advance(begin, *PIECES)
        larger = UploadPiece(4, digest_of("larger"), 20)
        assert advance(begin, larger)
        with begin() as work:
            assert work.uploads.pieces("one") == (PIECES[0], larger)

    def test_a_complete_upload_is_one_blob_and_takes_no_more(self, begin):
        add(begin, upload())
        take(begin)
        advance(begin, *PIECES)
        with begin() as work:
            assert not work.uploads.complete("one", digest_of("all"), lease=SECOND)
            assert work.uploads.complete("one", digest_of("all"), lease=FIRST)
            assert work.uploads.pieces("one") == ()
            assert work.uploads.get("one", owner=None).digest == digest_of("all")
        assert not take(begin, offset=10)

    def test_bytes_of_pieces_and_of_complete_uploads_are_used(self, begin):
        add(begin, upload())
        take(begin)
        advance(begin, *PIECES)
        with begin() as work:
            assert work.blobs.referred([digest_of(1)])
            work.uploads.complete("one", digest_of("all"), lease=FIRST)
            assert work.blobs.referred([digest_of("all")])
            assert not work.blobs.referred([digest_of(1)])
            work.uploads.remove("one")
            assert not work.blobs.referred([digest_of("all")])

    def test_an_upload_goes_with_its_pieces(self, begin):
        add(begin, upload())
        take(begin)
        advance(begin, *PIECES)
        with begin() as work:
            work.uploads.remove("one")
            work.uploads.remove("one")
            assert work.uploads.get("one", owner=None) is None
            assert work.uploads.pieces("one") == ()

    def test_those_that_waited_in_vain_are_listed_oldest_first_but_for_those_in_use(self, begin):
        add(begin, upload("one", expires_at=later(1)), upload("two", expires_at=later(3)))
        add(begin, upload("three", expires_at=later(2)), upload("four", expires_at=later(9)))
        take(begin)
        with begin() as work:
            names = [each.id for each in work.uploads.expired(at=later(5), limit=9)]
            assert names == ["three", "two"]
            assert [each.id for each in work.uploads.expired(at=later(5), limit=1)] == ["three"]
            assert len(work.uploads.expired(at=FIRST.expires_at, limit=9)) == 4
