"""What every keeper of outcomes does."""

import pytest

from registry.access import EVERYTHING, Sight
from registry.errors import ConflictError, InvalidInputError
from registry.namespace_records import Namespace, Visibility
from tests.builders import digest_of, later, query
from tests.outcome_samples import outcome


def asked(work, *names):
    """Queries by these names, each about data of its own, that ada asks."""
    for name in names:
        work.queries.add(query(name).model_copy(update={"namespaces": ("open", name)}), data=[digest_of(name)])
        work.queries.ask(query(name), owner="ada")


class OutcomeRecordsContract:
    """Needs a fixture `begin`."""

    def test_an_outcome_comes_back_as_it_was(self, begin):
        said = outcome(note="three seeds", predicted={"ridge": None, "logme": 0.1}, static=None)
        with begin() as work:
            asked(work, "query", "other")
            work.outcomes.put([said], owner="ada")
        with begin() as work:
            assert work.outcomes.of_query("query", owner="ada") == (said,)
            assert work.outcomes.of_query("other", owner="ada") == ()

    def test_the_last_outcome_of_a_module_by_metric_and_way_stands(self, begin):
        first, last = outcome(value=0.5), outcome(value=0.7, posted_at=later(1))
        beside = [outcome(metric="recall"), outcome(how="other"), outcome(module="second")]
        with begin() as work:
            asked(work, "query")
            work.outcomes.put([first, *beside], owner="ada")
            work.outcomes.put([last], owner="ada")
            work.outcomes.put([], owner="ada")
        with begin() as work:
            kept = work.outcomes.of_query("query", owner="ada")
        assert len(kept) == 4
        assert all(one in kept for one in (last, *beside))

    def test_outcomes_are_listed_a_page_at_a_time(self, begin):
        said = [outcome(module=number, metric=metric) for number in range(3) for metric in ("accuracy", "recall")]
        with begin() as work:
            asked(work, "query")
            work.outcomes.put(said, owner="ada")
        with begin() as work:
            first = work.outcomes.list("query", owner="ada", limit=4, cursor=None)
            second = work.outcomes.list("query", owner="ada", limit=4, cursor=first.next_cursor)
            assert first.items + second.items == work.outcomes.of_query("query", owner="ada")
            assert (len(first.items), second.next_cursor) == (4, None)
            with pytest.raises(InvalidInputError, match="'nonsense'"):
                work.outcomes.list("query", owner="ada", limit=4, cursor="nonsense")

    def test_outcomes_are_found_by_metric_and_way(self, begin):
        accuracy, recall, tuned = outcome(), outcome(metric="recall"), outcome(how="fine_tuned")
        with begin() as work:
            asked(work, "query")
            work.outcomes.put([accuracy, recall, tuned], owner="ada")
        with begin() as work:
            assert len(work.outcomes.of_owner(None, metric=None, how=None)) == 3
            assert work.outcomes.of_owner(None, metric="recall", how=None) == (recall,)
            assert work.outcomes.of_owner(None, metric="accuracy", how="fine_tuned") == (tuned,)
            assert work.outcomes.of_owner(None, metric="recall", how="fine_tuned") == ()

    def test_outcomes_are_those_of_whoever_told_them(self, begin):
        mine, yours = outcome(value=0.9), outcome(value=-1e9)
        with begin() as work:
            asked(work, "query")
            work.queries.ask(query(), owner="bob")
            work.outcomes.put([mine], owner="ada")
            work.outcomes.put([yours], owner="bob")
        with begin() as work:
            for owner, said in (("ada", (mine,)), ("bob", (yours,)), ("eve", ()), (None, (mine, yours))):
                assert work.outcomes.of_query("query", owner=owner) == said
                assert work.outcomes.list("query", owner=owner, limit=9, cursor=None).items == said
                assert work.outcomes.of_owner(owner, metric=None, how=None) == said
            first = work.outcomes.list("query", owner=None, limit=1, cursor=None)
            second = work.outcomes.list("query", owner=None, limit=1, cursor=first.next_cursor)
            assert first.items + second.items == (mine, yours)

    def test_outcomes_of_a_question_about_what_is_hidden_are_hidden(self, begin):
        with begin() as work:
            asked(work, "safe", "vault")
            work.outcomes.put([outcome("safe"), outcome("vault")], owner="ada")
            work.namespaces.put(Namespace(namespace="vault", visibility=Visibility.PRIVATE), at=later(0))
        for sight, seen in ((Sight(owner="ada"), ["safe"]), (EVERYTHING, ["safe", "vault"])):
            with begin(sight) as work:
                for owner in ("ada", None):
                    found = work.outcomes.of_owner(owner, metric=None, how=None)
                    assert [one.query for one in found] == seen

    def test_outcomes_go_when_their_owner_gives_up_the_data(self, begin):
        with begin() as work:
            asked(work, "query")
            work.queries.ask(query(), owner="bob")
            for owner in ("ada", "bob"):
                work.outcomes.put([outcome()], owner=owner)
            work.queries.withdraw(digest_of("query"), owner="ada")
        with begin() as work:
            assert work.outcomes.of_query("query", owner="ada") == ()
            assert work.outcomes.of_query("query", owner="bob") == (outcome(),)

    def test_outcomes_go_with_their_query(self, begin):
        with begin() as work:
            asked(work, "mine", "yours")
            work.outcomes.put([outcome("mine"), outcome("yours")], owner="ada")
            work.queries.remove_data(digest_of("mine"))
        with begin() as work:
            assert [one.query for one in work.outcomes.of_owner(None, metric=None, how=None)] == ["yours"]

    def test_there_are_no_outcomes_of_what_their_owner_did_not_ask(self, begin):
        with pytest.raises(ConflictError), begin() as work:
            work.outcomes.put([outcome("nobody")], owner="ada")
        with begin() as work:
            asked(work, "query")
        with pytest.raises(ConflictError), begin() as work:
            work.outcomes.put([outcome()], owner="bob")

    def test_many_outcomes_are_put_at_once(self, begin):
        with begin() as work:
            asked(work, "query")
            work.outcomes.put([outcome(module=number) for number in range(1000)], owner="ada")
        with begin() as work:
            assert len(work.outcomes.of_query("query", owner="ada")) == 1000
