"""Attacks on a converted model, by its answers."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tinyedge.attacks import AttackSettings
from tinyedge.attacks.device import KEPT, opened
from tinyedge.attacks.journal import QueryJournal
from tinyedge.attacks.judgement import judge_oracle
from tinyedge.attacks.oracle import Oracle
from tinyedge.attacks.suites import Crafting, Elsewhere, Means, craft_oracle_suites
from tinyedge.boards import DEFAULT_BOARD
from tinyedge.cluster.address import ClusterAddress
from tinyedge.commands.arguments import AnyPath, above_zero, board_of, check_lab, one_of, whole
from tinyedge.commands.attack_data import model_file
from tinyedge.commands.clusters import cluster_address, opened_cluster
from tinyedge.errors import UsageError
from tinyedge.evaluation.suites import Suite, save_suites
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.names import (
    COMPILERS,
    EMULATORS,
    ORACLE_PLACES,
    CompilerName,
    EmulatorName,
    OraclePlace,
)
from tinyedge.places import PlaceSpec
from tinyedge.progress import Listener

if TYPE_CHECKING:
    from tinyedge.cluster.engine import Engine


@dataclasses.dataclass(frozen=True)
class OracleOptions:
    """Options of an attack on a converted model, and of its journal."""

    place: OraclePlace | None
    board: AnyPath | None
    port: str | None
    baud: int | None
    timeout_s: float | None
    emulator: EmulatorName | None
    compiler: CompilerName | None
    query_budget: int | None
    journal: Path | None
    resume: bool
    discard: bool
    float_model: Path | None
    cluster: str | None = None
    chunks: Path | None = None
    flash: bool = False
    labgrid: str | None = None

    def check(self, model: ConvertedModel | None) -> None:
        """Raises UsageError where they do not go with the model, or with each other."""
        one_of("on", self.place, ORACLE_PLACES)
        one_of("compiler", self.compiler, COMPILERS)
        one_of("emulator", self.emulator, EMULATORS)
        whole("query_budget", self.query_budget, 1)
        whole("baud", self.baud, 1)
        above_zero(timeout=self.timeout_s)
        _ = self.address  # refuses what does not go with it
        asking = dataclasses.replace(
            self, journal=None, resume=False, discard=False, cluster=None, chunks=None
        )
        if model is None and any(dataclasses.astuple(asking)):
            raise UsageError(
                "--on and its options go with a converted model",
                hint="name the folder that 'tinyedge convert' wrote",
            )
        if model and not self.place:
            raise UsageError("a converted model needs --on", hint=f"--on {'|'.join(ORACLE_PLACES)}")
        if model and len(model.graph.inputs) > 1:
            raise UsageError(
                f"the model has {len(model.graph.inputs)} inputs; attacks change one",
                hint="'tinyedge run' and 'tinyedge check' take models with several inputs",
            )
        if self.resume and self.discard:
            raise UsageError("--resume and --discard exclude each other")
        if (self.port or self.baud) and self.place != "board":
            raise UsageError("--port and --baud go with --on board")
        check_lab(self.place, self.port, self.labgrid, flash=self.flash)
        if self.timeout_s and self.place not in ("emulator", "board"):
            raise UsageError("--timeout goes with --on emulator or board")

    @property
    def address(self) -> ClusterAddress | None:
        """The cluster that was named.

        Raises:
            UsageError: it is none, or does not go with other options.
        """
        return cluster_address(
            self.cluster,
            self.chunks,
            {
                "--resume": self.resume,
                "--discard": self.discard,
                "--journal": self.journal,
                "--on board": self.place == "board",
            },
        )

    def journal_beside(self, suite_file: Path | None) -> Path | None:
        """Where the journal lies; None where neither it nor a file of suites is named.

        Raises:
            UsageError: it is to be resumed or discarded.
        """
        if self.cluster:
            return None
        if self.journal or suite_file is None:
            if self.journal is None and (self.resume or self.discard):
                raise UsageError("--resume and --discard take --journal, or --output")
            return self.journal
        return suite_file.with_name(f"{suite_file.name}.journal")


def attack_converted(
    listener: Listener,
    model: ConvertedModel,
    options: OracleOptions,
    clean: Suite,
    names: list[str],
    settings: AttackSettings,
    means: Means,
    suite_file: Path | None,
) -> tuple[list[Suite], dict[str, Any] | None]:
    """Attacks a converted model; with a file saves the suites, and says what is left."""
    board = board_of(options.board or DEFAULT_BOARD)
    float_model = model_file(options.float_model)[0] if options.float_model else None
    assert options.place
    spec = PlaceSpec(
        options.place,
        board,
        (options.port,) if options.port else (),
        options.emulator,
        options.compiler,
        baud=options.baud,
        timeout_s=options.timeout_s,
        flash=options.flash or options.labgrid is not None,
        labgrid=options.labgrid,
    )
    with _asked(listener, model, options, spec, suite_file, clean, settings, means) as asked:
        oracle, journal = asked.oracle, asked.journal
        suites = craft_oracle_suites(
            oracle,
            clean,
            names,
            settings,
            listener.progress,
            means,
            float_model,
            asked.elsewhere,
        )
        if suite_file is None:
            if journal:
                journal.remove()
            return suites, None
        with listener.step("judging"):
            found = judge_oracle(suites, [oracle.logits(suite.inputs) for suite in suites])
        source = {"file": model.folder.name, "hash": model.graph.hash}
        save_suites(suite_file, suites, source)
        if journal:
            journal.remove()
        record = {"file": str(suite_file), "model": source, "oracle": oracle.about, **found}
        record["answers"] = {
            "computed": oracle.computed,
            "journalled": len(journal.answers) if journal else 0,
        }
        if asked.engine:
            record["cluster"] = asked.engine.record()
    return suites, record


class _Asked(NamedTuple):
    """The model that an attack queries.

    Attributes:
        oracle: the model under attack.
        journal: of its answers, if they are kept.
        engine: the cluster that computes, if one does.
        elsewhere: crafts on that cluster.
    """

    oracle: Oracle
    journal: QueryJournal | None = None
    engine: Engine | None = None
    elsewhere: Crafting | None = None


@contextlib.contextmanager
def _asked(
    listener: Listener,
    model: ConvertedModel,
    options: OracleOptions,
    spec: PlaceSpec,
    suite_file: Path | None,
    clean: Suite,
    settings: AttackSettings,
    means: Means,
) -> Iterator[_Asked]:
    """Opens what an attack asks: in this process, with a journal, or on a cluster."""
    of = settings.clip, settings.temperature, options.query_budget
    address = options.address
    if address is None:
        with (
            _journal(listener, model, options, suite_file) as journal,
            opened(model, spec) as (execute, about),
        ):
            yield _Asked(Oracle(model.graph, execute, *of, journal, about), journal)
        return
    with opened_cluster(address, options.chunks, listener) as engine:
        from tinyedge.cluster.crafting import ClusterCrafting
        from tinyedge.cluster.running import ClusterPlace, about_site, site_of

        site = site_of(engine, model, spec)
        about = {key: value for key, value in about_site(site).items() if key in KEPT}
        execute = ClusterPlace(engine, site, "judging")
        oracle = Oracle(model.graph, execute, *of, None, about, sent_at_once=len(clean.labels))

        def crafting(attacked: Suite) -> Elsewhere:
            return ClusterCrafting(engine, site, attacked, settings, means, options.query_budget)

        yield _Asked(oracle, None, engine, crafting)


@contextlib.contextmanager
def _journal(
    listener: Listener, model: ConvertedModel, options: OracleOptions, suite_file: Path | None
) -> Iterator[QueryJournal | None]:
    """The journal; if the body fails, what it holds stays, and the user is told."""
    path = options.journal_beside(suite_file)
    if path is None:
        yield None
        return
    if options.resume and path.exists():
        journal = QueryJournal.resume(path, model.graph.hash)
        listener.remark(f"{len(journal.answers):,} answers are in {path}")
    else:
        if options.resume:
            listener.remark(f"{path}: no journal to resume; the attack begins anew")
        journal = QueryJournal.create(path, model.graph.hash, discard=options.discard)
    with journal:
        try:
            yield journal
        except BaseException:
            if journal.count:
                listener.remark(
                    f"{journal.count:,} answers are in {path}; --resume goes on with them"
                )
            else:
                journal.remove()
            raise
