"""The zoo: every service, wired to the same records, bytes and clock. No logic lives here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from registry.blobs import BlobKeeper
from registry.datasets import DatasetService
from registry.jobs import JobService, Makers
from registry.joint_statistics import JointStatisticsService
from registry.label_relations import LabelRelationService
from registry.modules import ModuleService
from registry.observation import ObservationService
from registry.outcomes import OutcomeService
from registry.pipelines import PipelineService
from registry.ports import Backing, Begin, BlobStore, Clock
from registry.queries import QueryService
from registry.reusability import ReusabilityService
from registry.sets import SetService
from registry.settings import Settings
from registry.statistics import StatisticsService
from registry.tasks import TaskService


@dataclass(frozen=True, slots=True)
class Zoo:
    """Everything the doors need. `check_ready` raises ZooError while the service cannot serve; `close` ends it."""

    settings: Settings
    blobs: BlobStore
    keeper: BlobKeeper
    modules: ModuleService
    datasets: DatasetService
    tasks: TaskService
    pipelines: PipelineService
    jobs: JobService
    reusability: ReusabilityService
    sets: SetService
    queries: QueryService
    outcomes: OutcomeService
    labels: LabelRelationService
    observation: ObservationService
    check_ready: Callable[[], None]
    close: Callable[[], None]

    @classmethod
    def wire(
        cls,
        *,
        begin: Begin,
        blobs: BlobStore,
        clock: Clock,
        settings: Settings,
        backing: Backing,
    ) -> Self:
        """Connect the services to what they need from outside."""
        keeper = BlobKeeper(begin, blobs)
        modules = ModuleService(begin, blobs, clock, settings, keeper)
        tasks = TaskService(begin, clock)
        pipelines = PipelineService(begin, blobs, clock)
        queries = QueryService(begin, blobs, clock)
        joint = JointStatisticsService(begin, blobs, keeper)
        makers = Makers(modules, pipelines, StatisticsService(begin, blobs, keeper), keeper, queries, joint)
        return cls(
            settings=settings,
            blobs=blobs,
            keeper=keeper,
            modules=modules,
            datasets=DatasetService(begin, blobs, clock, settings, keeper),
            tasks=tasks,
            pipelines=pipelines,
            jobs=JobService(begin, clock, settings, makers),
            reusability=ReusabilityService(begin, settings, tasks, queries),
            sets=SetService(begin, clock, settings, tasks, queries),
            queries=queries,
            labels=LabelRelationService(begin, tasks),
            outcomes=OutcomeService(begin, clock, queries),
            observation=ObservationService(begin, clock, backing.connections_in_use),
            check_ready=backing.check_ready,
            close=backing.close,
        )
