"""The zoo: every service, wired to the same records, bytes and clock. No logic lives here."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

from registry.access import Identity
from registry.access_rules import AccessService
from registry.audit import AuditService
from registry.blobs import BlobKeeper
from registry.changes import ChangeService
from registry.collection import Collector
from registry.courier import Courier
from registry.datasets import DatasetService
from registry.jobs import JobService, Makers
from registry.joint_statistics import JointStatisticsService
from registry.known_chunks import KnownChunks
from registry.label_relations import LabelRelationService
from registry.modules import ModuleService
from registry.namespaces import NamespaceService
from registry.observation import ObservationService
from registry.outcomes import OutcomeService
from registry.parts import PartService
from registry.pipelines import PipelineService
from registry.ports import Backing, Begin, BlobStore, Clock
from registry.queries import QueryService
from registry.reusability import ReusabilityService
from registry.sets import SetService
from registry.settings import Settings
from registry.statistics import StatisticsService
from registry.tasks import TaskService
from registry.tokens import TokenService
from registry.upload_receiver import Surroundings
from registry.uploads import UploadService
from registry.webhooks import WebhookService


@dataclass(frozen=True, slots=True)
class Zoo:
    """Everything the doors need.

    `check_ready` raises ZooError while the service cannot serve; `close` ends it. The `courier` brings changes to
    webhooks, where something can be sent at all.
    """

    begin: Begin
    clock: Clock
    settings: Settings
    blobs: BlobStore
    keeper: BlobKeeper
    known_chunks: KnownChunks
    collector: Collector
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
    tokens: TokenService
    namespaces: NamespaceService
    access: AccessService
    uploads: UploadService
    parts: PartService
    changes: ChangeService
    audit: AuditService
    webhooks: WebhookService
    observation: ObservationService
    check_ready: Callable[[], None]
    close: Callable[[], None]
    courier: Courier | None = None

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
        keeper, known_chunks = BlobKeeper(begin, blobs), KnownChunks()
        modules = ModuleService(begin, blobs, clock, settings, keeper)
        tasks = TaskService(begin, clock)
        pipelines = PipelineService(begin, blobs, clock)
        queries = QueryService(begin, blobs, clock)
        joint = JointStatisticsService(begin, blobs, keeper)
        makers = Makers(modules, pipelines, StatisticsService(begin, blobs, keeper), keeper, queries, joint)
        return cls(
            begin=begin,
            clock=clock,
            settings=settings,
            blobs=blobs,
            keeper=keeper,
            known_chunks=known_chunks,
            collector=Collector(begin, blobs, clock, settings),
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
            tokens=TokenService(begin, clock),
            namespaces=NamespaceService(begin, clock),
            access=AccessService(begin),
            uploads=UploadService(Surroundings(begin, blobs, clock, settings, keeper, known_chunks)),
            parts=PartService(blobs),
            changes=ChangeService(begin),
            audit=AuditService(begin),
            webhooks=WebhookService(begin, clock, settings),
            observation=ObservationService(begin, clock, backing.connections_in_use),
            check_ready=backing.check_ready,
            close=backing.close,
        )

    def seen_by(self, identity: Identity) -> Self:
        """The zoo as somebody sees it: modules and pipelines that are not in sight are as if they were not there."""
        if identity.sight.everything:
            return self
        look = partial(self.begin, identity.sight)
        queries = self.queries.seen_by(look)
        return replace(
            self,
            modules=ModuleService(look, self.blobs, self.clock, self.settings, self.keeper),
            pipelines=self.pipelines.seen_by(look),
            reusability=ReusabilityService(look, self.settings, self.tasks, queries),
            sets=SetService(look, self.clock, self.settings, self.tasks, queries),
            queries=queries,
            outcomes=OutcomeService(look, self.clock, queries),
            changes=ChangeService(look),
        )
