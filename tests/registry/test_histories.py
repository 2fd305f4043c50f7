"""Any history of a registry, with crashes in it, leaves what a model in plain Python says, and a clean doctor.

Each run counts its steps. In CI there are about 10^3 on each database; the slow suite goes on to as many as
ZOO_TEST_STEPS says, 10^5 where it says nothing, which takes an hour or two on each database. On
27 November 2026 there were 100,042 on SQLite and 100,031 on PostgreSQL, and no violation.
"""

import os
import sys
from contextlib import ExitStack, suppress
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from registry.errors import InvalidManifestError, NotFoundError, PreconditionFailedError, ReferencedError
from registry.modules import AliasCondition
from registry.names import ModuleName
from registry.settings import Settings
from registry.zoo import Zoo
from storage.care.blob_checks import is_there
from storage.care.doctor import Doctor
from storage.folder_blobs import FolderBlobs
from storage.unit_of_work import units_of_work
from storage.wiring import EngineAndBlobs
from tests.builders import NOW, blob_digest
from tests.numpy_worker import hidden_module, linear_module, output_module, quadrant_module, quadrant_zip
from tests.registry.history_model import GRACE_SECONDS, Model
from tests.registry.history_place import Place
from tests.registry.history_shown import shown

CI_STEPS, SLOW_STEPS = 1000, 100_000
STEPS_AT_ONCE = 50
STEPS_AT_A_TIME = 5000
"""The slow suite tells how far it is after so many."""

INPUTS = (quadrant_module(), linear_module(1), linear_module(2))
BELOW = blob_digest(INPUTS[0])
FILES = {blob_digest(data): data for data in (*INPUTS, hidden_module(BELOW), output_module(BELOW))}
STANDING = {digest: None if data in INPUTS else BELOW for digest, data in FILES.items()}
HEAD = list(FILES)[-1]
DATA = {blob_digest(data): data for data in (quadrant_zip(1, seed=1), quadrant_zip(1, seed=2))}

NAMES = st.sampled_from(["ada/a", "ada/b", "bob/c"])
SOME_FILE = st.sampled_from(list(FILES))
PICKS = st.integers(0, 23)
"""Which of the versions that are there is meant; 0 means one that is not."""

MOMENTS = st.one_of(st.none(), st.none(), st.integers(0, 14))
"""After so many statements the process dies; mostly it does not."""


ACTS = [
    *["publish"] * 8,
    *["point", "yank", "delete", "add data", "remove data", "collect", "wait"] * 2,
    *["store", "point late", "delete", "compose", "start again", "doctor", "collect all"],
]


class CrashError(BaseException):
    """The process is gone."""


class History(RuleBasedStateMachine):
    """One zoo on a real database and a real folder, and the model beside it."""

    place: Place
    steps = 0

    def __init__(self):
        super().__init__()
        self.home, self.engine, self.begun = self.place.home, self.place.engine, False

    @initialize()
    def begin(self):
        self.now, self.model, self.stored = NOW, Model(), {}
        self.left = None
        self.place.on_statement = lambda: None
        self.place.empty()
        self.begun, self.place.on_statement = True, self.count_down
        self.open()
        self.publish("ada/a", BELOW, None, anew=True)
        self.publish("bob/c", HEAD, None, anew=True)

    def open(self):
        """Open the zoo from what is on the disk, as a process does that starts."""
        self.engine.dispose()
        self.blobs = FolderBlobs(self.home / "blobs")
        self.zoo = Zoo.wire(
            begin=units_of_work(self.engine),
            blobs=self.blobs,
            clock=lambda: self.now,
            settings=Settings(home=self.home, gc_grace_seconds=GRACE_SECONDS),
            backing=EngineAndBlobs(self.engine, self.blobs),
        )

    def count_down(self):
        """Die when it is time."""
        if self.left is not None:
            if self.left == 0:
                raise CrashError
            self.left -= 1

    def act(self, moment, do, expected):
        """Do something, perhaps dying on the way; the model goes along, or, after a crash, one of both ways."""
        before, self.left = self.model.copy(), moment
        try:
            result = do()
        except CrashError:
            self.left = None
            self.open()
            expected()
            if self.shown() != self.model.visible():
                self.model = before
            return None
        finally:
            self.left = None
        expected()
        return result

    def store(self, data):
        """Store bytes as the service does."""
        with self.blobs.writer() as writer:
            writer.write(data)
            self.zoo.keeper.spare(blob_digest(data))
            writer.commit()
        self.stored[blob_digest(data)] = self.now

    def store_only(self, digest, moment):
        self.act(moment, lambda: self.store(FILES[digest]), lambda: None)

    def publish(self, name, digest, moment, anew):
        below = STANDING[digest]
        if anew:
            self.store(FILES[digest])
        known = any(each.digest == digest for each in self.model.versions.get(name, {}).values())
        refused = not known and below is not None and not self.model.is_here(below)

        def do():
            try:
                published = self.zoo.modules.publish(ModuleName.parse(name), digest)
            except InvalidManifestError:
                assert refused
            except NotFoundError:
                assert not self.must_be_there(digest)
            else:
                return published.module.version

        def expected():
            if not refused and is_there(self.blobs, digest):
                self.model.publish(name, digest, below)

        version = self.act(moment, do, expected)
        if version is not None:
            assert self.model.versions[name][version].digest == digest

    def point(self, pick, alias, moment):
        name, version = self.picked(pick)
        there = version in self.model.versions.get(name, {})

        def do():
            with suppress(NotFoundError):
                self.zoo.modules.set_alias(ModuleName.parse(name), alias, version, condition=AliasCondition())
                assert there

        self.act(moment, do, lambda: self.model.move(name, alias, version) if there else None)

    def point_at_a_stale_revision(self, name, alias):
        moves = self.model.aliases.get((name, alias), [])
        if moves and moves[-1] in self.model.versions[name]:
            condition = AliasCondition(revision=len(moves) + 1)
            with pytest.raises(PreconditionFailedError):
                self.zoo.modules.set_alias(ModuleName.parse(name), alias, moves[-1], condition=condition)

    def yank(self, pick, reason, moment):
        name, version = self.picked(pick)
        there = version in self.model.versions.get(name, {})

        def do():
            with suppress(NotFoundError):
                self.zoo.modules.yank(ModuleName.parse(name), version, reason)
                assert there

        def expected():
            if there:
                self.model.versions[name][version].yanked = reason

        self.act(moment, do, expected)

    def delete(self, pick, moment):
        name, version = self.picked(pick)
        there = version in self.model.versions.get(name, {})
        free = there and self.model.may_go(name, version)

        def do():
            try:
                self.zoo.modules.delete(ModuleName.parse(name), version)
            except NotFoundError:
                assert not there
            except ReferencedError:
                assert there
                assert not free
            else:
                assert free

        def expected():
            if free:
                gone = self.model.versions[name].pop(version)
                self.stored.pop(gone.digest, None)

        self.act(moment, do, expected)

    def compose(self, pick, moment):
        name, version = self.picked(pick)
        below = self.model.versions.get(name, {}).get(version)
        if not self.model.is_here(HEAD) or below is None or FILES[below.digest] not in INPUTS:
            return
        other, head = next(key for key in self.every_version() if self.digest_at(key) == HEAD)
        refs = [f"{name}@{version}", f"{other}@{head}"]
        parts = [below, self.model.versions[other][head]]
        pinned = tuple(zip(refs, [part.digest for part in parts], strict=True))

        def expected():
            if not any(
                [digest for _, digest in each] == [digest for _, digest in pinned]
                for each in self.model.pipelines.values()
            ):
                self.model.pipelines[" ".join(digest for _, digest in pinned)] = pinned

        self.act(moment, lambda: self.zoo.pipelines.compose("pair", refs), expected)

    def add_data(self, owner, digest, moment):
        self.store(DATA[digest])
        self.act(
            moment,
            lambda: self.zoo.datasets.add(digest, owner=owner),
            lambda: self.model.datasets.setdefault(digest, set()).add(owner),
        )

    def remove_data(self, owner, digest, moment):
        held = owner in self.model.datasets.get(digest, set())

        def do():
            try:
                self.zoo.datasets.remove(digest, owner=owner)
            except NotFoundError:
                assert not held
            else:
                assert held

        def expected():
            self.model.datasets.get(digest, set()).discard(owner)
            self.stored.pop(digest, None)

        self.act(moment, do, expected)

    def wait(self, seconds):
        self.now += timedelta(seconds=seconds)

    def collect(self, moment):
        self.act(moment, self.zoo.collector.collect, lambda: None)

    def visit_the_doctor(self):
        report = Doctor(self.engine, self.blobs, self.home / "quarantine").examine()
        assert report.problems == ()

    def find_unreferred_bytes_gone_in_the_end(self):
        self.zoo.collector.collect()
        self.now += timedelta(seconds=GRACE_SECONDS + 1)
        self.zoo.collector.collect()
        assert {blob.digest for blob in self.blobs.listing()} == self.model.referred()

    @rule(what=st.sampled_from(ACTS), name=NAMES, files=SOME_FILE, pick=PICKS, moment=MOMENTS, other=st.integers(0, 5))
    def step(self, what, name, files, pick, moment, other):
        """One step: all choices are in one rule, so that no run goes without some kind of step."""
        History.steps += 1
        owner, data, alias = ("ada", "bob")[other % 2], list(DATA)[other % 2], ("production", "next")[other // 3]
        match what:
            case "publish":
                self.publish(name, files, moment, anew=pick > 3)
            case "store":
                self.store_only(files, moment)
            case "point":
                self.point(pick, alias, moment)
            case "point late":
                self.point_at_a_stale_revision(name, alias)
            case "yank":
                self.yank(pick, (None, "worse")[other % 2], moment)
            case "delete":
                self.delete(pick, moment)
            case "compose":
                self.compose(pick, moment)
            case "add data":
                self.add_data(owner, data, moment)
            case "remove data":
                self.remove_data(owner, data, moment)
            case "wait":
                self.wait((1.0, GRACE_SECONDS / 2, GRACE_SECONDS + 1)[other // 2])
            case "collect":
                self.collect(moment)
            case "start again":
                self.open()
            case "doctor":
                self.visit_the_doctor()
            case "collect all":
                self.find_unreferred_bytes_gone_in_the_end()

    @invariant()
    def what_is_shown_is_what_the_model_says(self):
        if self.begun:
            assert self.shown() == self.model.visible()

    @invariant()
    def bytes_that_must_be_there_are_there(self):
        if self.begun:
            for digest in {*FILES, *DATA}:
                if self.must_be_there(digest):
                    assert blob_digest(self.blobs.get(digest)) == digest

    def every_version(self):
        """Each version that is there, by name and number."""
        return [(name, number) for name, versions in sorted(self.model.versions.items()) for number in sorted(versions)]

    def digest_at(self, key):
        return self.model.versions[key[0]][key[1]].digest

    def picked(self, pick):
        """A version that is there, or for 0 one that is not."""
        every = self.every_version()
        return every[pick % len(every)] if pick and every else ("ada/a", 99)

    def must_be_there(self, digest):
        """Whether something refers to bytes, or they were stored within the grace and not deleted by their owner."""
        stored = self.stored.get(digest)
        young = stored is not None and self.now - stored <= timedelta(seconds=GRACE_SECONDS)
        return young or digest in self.model.referred()

    def shown(self):
        """What the zoo shows, in the form of the model."""
        return shown(self.zoo, DATA)

    def teardown(self):
        if self.begun:
            self.visit_the_doctor()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    with ExitStack() as stack:
        database = None
        if request.param == "postgresql":
            database = stack.enter_context(request.getfixturevalue("postgres").database())
        place = Place(tmp_path, database)
        stack.callback(place.engine.dispose)
        yield place


def run(place, steps):
    """Histories of about so many steps in all; gives how many there were."""
    machine = type("History", (History,), {"place": place})
    History.steps = 0
    chosen = settings(
        max_examples=max(1, steps // STEPS_AT_ONCE),
        stateful_step_count=STEPS_AT_ONCE,
        deadline=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(machine, settings=chosen)
    return History.steps


def test_every_history_is_as_the_model_has_it(place):
    assert run(place, CI_STEPS) > 0


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_many_histories_are_as_the_model_has_them(place, capsys):
    wanted, done = int(os.environ.get("ZOO_TEST_STEPS", SLOW_STEPS)), 0
    while done < wanted:
        done += run(place, min(STEPS_AT_A_TIME, wanted - done))
        with capsys.disabled():
            sys.stdout.write(f"\n{place.engine.dialect.name}: {done} steps of {wanted}\n")
