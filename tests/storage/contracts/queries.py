"""What every keeper of queries does."""

import pytest

from registry.access import EVERYTHING, Sight
from registry.errors import ConflictError, NotFoundError
from registry.namespace_records import Namespace, Visibility
from registry.records import QueryStatus
from tests.builders import digest_of, later, query


class QueryRecordsContract:
    """Needs a fixture `begin`."""

    def test_a_question_is_recorded_once(self, begin):
        with begin() as work:
            assert work.queries.add(query(), data=[digest_of("data"), digest_of("data")])
            assert not work.queries.add(query(status=QueryStatus.DONE), data=[])
        with begin() as work:
            assert work.queries.get("query") == query()
            assert work.queries.get("other") is None

    def test_running_questions_are_counted(self, begin):
        with begin() as work:
            assert work.queries.running_count() == 0
            work.queries.add(query("one"), data=[])
            work.queries.add(query("two"), data=[])
            work.queries.replace(query("two", status=QueryStatus.DONE))
            assert work.queries.running_count() == 1

    def test_a_question_is_found_by_whoever_asked_it(self, begin):
        with begin() as work:
            work.queries.add(query(), data=[])
            work.queries.ask(query(), owner="ada")
            work.queries.ask(query(), owner="ada")
        with begin() as work:
            assert work.queries.asked_by("ada", "query") == work.queries.asked_by(None, "query") == query()
            assert work.queries.asked_by("bob", "query") is None
            assert work.queries.asked_by("ada", "other") is work.queries.asked_by(None, "other") is None
        with pytest.raises(ConflictError), begin() as work:
            work.queries.ask(query("other"), owner="ada")

    def test_a_question_about_what_is_hidden_is_found_by_nobody_it_is_hidden_from(self, begin):
        with begin() as work:
            work.namespaces.put(
                Namespace(namespace="vault", visibility=Visibility.PRIVATE, members=("ada",)), at=later(0)
            )
            for name, namespaces in (("open", ("open",)), ("mixed", ("open", "vault"))):
                work.queries.add(query(name).model_copy(update={"namespaces": namespaces}), data=[])
                for owner in ("ada", "bob"):
                    work.queries.ask(query(name), owner=owner)
        for sight, seen in (
            (Sight(owner="ada"), ["open", "mixed"]),
            (Sight(owner="ada", within=("open",)), ["open"]),
            (Sight(owner="bob"), ["open"]),
            (EVERYTHING, ["open", "mixed"]),
        ):
            with begin(sight) as work:
                owner = sight.owner or "ada"
                found = [name for name in ("open", "mixed") if work.queries.asked_by(owner, name) is not None]
                assert found == seen

    def test_a_question_is_stopped_for_each_who_asked_it(self, begin):
        with begin() as work:
            work.queries.add(query(), data=[])
            for owner in ("ada", "bob"):
                work.queries.ask(query(), owner=owner)
            assert not work.queries.stop("query", owner="bob")
        with begin() as work:
            assert work.queries.asked_by("ada", "query").status is QueryStatus.RUNNING
            assert work.queries.asked_by("bob", "query").status is QueryStatus.CANCELLED
            assert work.queries.stop("query", owner="ada")
            work.queries.ask(query(), owner="bob")
            assert work.queries.asked_by("bob", "query").status is QueryStatus.RUNNING
            assert work.queries.stop("query", owner=None)

    def test_whoever_gives_up_data_asks_nothing_about_it(self, begin):
        data = digest_of("data")
        with begin() as work:
            for name, status in (("mine", "running"), ("ours", "running"), ("done", "done")):
                work.queries.add(query(name, status=QueryStatus(status)), data=[data, digest_of("more")])
                work.queries.ask(query(name, status=QueryStatus(status)), owner="ada")
            work.queries.ask(query("ours"), owner="bob")
            work.queries.add(query("elsewhere"), data=[digest_of("more")])
            work.queries.ask(query("elsewhere"), owner="ada")
            assert work.queries.withdraw(data, owner="ada") == (query("mine"),)
        with begin() as work:
            assert [name for name in ("mine", "ours", "done", "elsewhere") if work.queries.asked_by("ada", name)] == [
                "elsewhere"
            ]
            assert work.queries.asked_by("bob", "ours") is not None

    def test_an_answer_replaces_the_question(self, begin):
        answered = query(status=QueryStatus.DONE).model_copy(update={"answer": '{"rows": []}', "jobs": (1, 2)})
        with begin() as work:
            work.queries.add(query(), data=[])
            work.queries.replace(answered)
        with begin() as work:
            assert work.queries.get("query") == answered

    def test_what_is_running_is_told_oldest_first(self, begin):
        asked = [
            query(name).model_copy(update={"created_at": later(at)}) for name, at in (("b", 2), ("c", 1), ("a", 2))
        ]
        with begin() as work:
            assert work.queries.running() == ()
            for one in (*asked, query("answered", status=QueryStatus.DONE)):
                work.queries.add(one, data=[])
        with begin() as work:
            assert work.queries.running() == (asked[1], asked[2], asked[0])

    @pytest.mark.parametrize("end", [QueryStatus.DONE, QueryStatus.FAILED, QueryStatus.CANCELLED])
    def test_a_question_runs_until_it_is_replaced_by_one_that_has_ended(self, begin, end):
        with begin() as work:
            work.queries.add(query(), data=[])
            work.queries.replace(query().model_copy(update={"jobs": (1, 2)}))
            assert [one.jobs for one in work.queries.running()] == [(1, 2)]
            work.queries.replace(query(status=end))
            assert work.queries.running() == ()
            work.queries.replace(query())
            assert work.queries.running() == (query(),)

    def test_running_questions_are_found_by_the_jobs_they_wait_for(self, begin):
        one = query("one").model_copy(update={"jobs": (1, 2), "created_at": later(1)})
        two = query("two").model_copy(update={"jobs": (2, 3)})
        with begin() as work:
            work.queries.add(one, data=[])
            work.queries.add(two, data=[])
            work.queries.add(query("none"), data=[digest_of("data")])
        with begin() as work:
            assert work.queries.waiting_for([1]) == (one,)
            assert work.queries.waiting_for([1, 2]) == (two, one)
            assert work.queries.waiting_for([]) == work.queries.waiting_for([4]) == ()
            work.queries.replace(one.model_copy(update={"jobs": tuple(range(4, 1504))}))
            assert work.queries.waiting_for([1]) == ()
            assert [each.id for each in work.queries.waiting_for(range(3, 1600))] == ["two", "one"]
            work.queries.replace(two.model_copy(update={"status": QueryStatus.DONE}))
            assert work.queries.waiting_for([2, 3]) == ()

    def test_who_waits_for_a_question_is_known_until_it_ends(self, begin):
        with begin() as work:
            for name in ("mine", "ours"):
                work.queries.add(query(name), data=[digest_of(name)])
            for owner in ("eve", "ada", "ada"):
                work.queries.ask(query("ours"), owner=owner)
            work.queries.ask(query("mine"), owner="ada")
            assert work.queries.askers("ours") == ("ada", "eve")
            assert not work.queries.stop("ours", owner="ada")
            assert not work.queries.stop("ours", owner="nobody")
        with begin() as work:
            work.queries.replace(query("ours").model_copy(update={"jobs": (1,)}))
            assert (work.queries.askers("ours"), work.queries.askers("mine")) == (("eve",), ("ada",))
            work.queries.replace(query("ours", status=QueryStatus.DONE))
            work.queries.ask(query("ours", status=QueryStatus.DONE), owner="bob")
            assert work.queries.askers("ours") == ()
            for owner, status in (("ada", QueryStatus.CANCELLED), ("eve", QueryStatus.DONE), ("bob", QueryStatus.DONE)):
                assert work.queries.asked_by(owner, "ours").status is status
            work.queries.replace(query("ours"))
            assert work.queries.askers("ours") == ()
            work.queries.remove_data(digest_of("mine"))
            assert work.queries.askers("mine") == ()

    def test_a_forgotten_question_cannot_be_answered(self, begin):
        with begin() as work:
            work.queries.add(query("mine"), data=[digest_of("data"), digest_of("more")])
            work.queries.add(query("yours"), data=[digest_of("more")])
        with begin() as work:
            work.queries.remove_data(digest_of("data"))
            assert work.queries.get("mine") is None
            assert work.queries.get("yours") == query("yours")
            with pytest.raises(NotFoundError, match="ask the question again"):
                work.queries.replace(query("mine"))
