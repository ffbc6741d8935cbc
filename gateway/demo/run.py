"""One run of the demo, from a trace to an audited log."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Literal

import msgspec

from chains.evm.extra import missing
from chains.mock import MockChain
from ledger import Ledger, stores
from ledger.commands import MAX_NAME_LENGTH
from ledger.errors import BadData, ChainUnavailable, UnknownPlugin
from ledger.plugins import Chain, Store, policies
from pricing.notation import parse
from replay.audit.findings import Report
from replay.reports.exports import Progress
from replay.workload.customers import demand
from replay.workload.traces import Trace

from ..errors import UsageError
from ..settle.target import CONTRACT, MOCK
from .escrow import Escrow, MockEscrow
from .place import Place, check_free, place
from .shop import Tariff, open_shop
from .story import Story
from .summary import PolicyShown, Summary, figures
from .trace_clock import TraceClock, slice_length
from .usage import check_priced, dimensions_read, models

POLICY = "complexity:weights.input_tokens=1/100,weights.output_tokens=3/100"
"""The default policy: 1 credit for 100 input tokens, 3 for 100 output tokens."""

EVM = "evm"
"""A local EVM chain, of the best kind that is installed."""

CHAINS = {"mock": MOCK, MOCK: MOCK, "evm": EVM, "anvil": EVM, "eth-tester": EVM}
"""The chains that the demo settles on, by their names and synonyms; `evm` is anvil where it is installed."""

KINDS: dict[str, Literal["anvil", "eth-tester"] | None] = {EVM: None, "anvil": "anvil", "eth-tester": "eth-tester"}
"""The kinds of local EVM chains."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a run.

    `policy` is in the notation of `pricing.notation` (None: POLICY); `subscribers` and `requests` count only where the
    trace does not have them; `subscriber_column` is the trace's column of customers, if it
    is not known by its name; `skip_bad` leaves out rows of the trace that cannot be read.
    """

    trace: Path | None = None
    db: Path | None = None
    policy: str | None = None
    subscribers: int = 50
    requests: int = 20_000
    seed: int = 0
    chain: str = "mock"
    skip_bad: bool = False
    dimensions: Sequence[str] = ()
    subscriber_column: str = ""


def _quietly(phase: str, done: int, total: int) -> None:
    pass


def run(options: Options, progress: Progress = _quietly) -> Summary:
    """Sell, admit, charge, correct, settle and audit the requests of a trace, or generated ones.

    Create a log, and a chain: a mock chain beside it, or a local EVM chain that ends with the run (`place` has where).
    On a mock chain the same trace, options and version give the same log, hash for hash. `progress` gets a phase
    (`chain` for a local EVM chain, `requests`, `audit`; WAITING while that chain takes long), the number done and the
    total, 0 where that is unknown. No file remains where the input cannot be read or the chain does not start; an
    interrupt, or the end of the chain, leaves files with all acknowledged commits, and names them. Raises BadData,
    NotFound, UnknownPlugin, AlreadyExists, MissingExtra or ChainUnavailable.
    """
    chain, seed = options.chain, options.seed
    if chain not in CHAINS:
        hint = "give mock, a chain in a file beside the log, or evm, a local EVM chain"
        raise UnknownPlugin(f"the demo does not settle on {chain!r}", hint)
    check_free(options.db)
    tariff = _tariff(options.policy or POLICY)
    demanded = _demand(tariff, options)
    _check_names(demanded)
    check_priced(demanded, tariff.name, tariff.policy)
    shop = open_shop(demanded, tariff, slice_length(demanded))
    id = f"demo-{_digest(demanded, tariff, seed, CHAINS[chain])}"
    clock = TraceClock(demanded.rows[0].at)
    with place(options.db) as where:
        begun = False
        try:
            with (
                closing(stores.open(where.log, id=id)) as store,
                Ledger(store, clock) as ledger,
                _escrow(chain, ledger, clock, where, progress) as escrow,
            ):
                story = Story(ledger, escrow, clock, demanded, escrow.publish(shop), Random(seed))
                if CHAINS[chain] == EVM:
                    progress("chain", 1, 1)
                begun = True
                story.play(progress)
                summary, onchain = figures(ledger, story.unread), escrow.onchain()
                report = _audit(where.audited(store), [escrow.chain] if onchain else [], progress)
            where.tidy()
        except BaseException as error:
            if not begun:
                where.remove()
            elif kept := where.kept(CHAINS[chain] == MOCK):
                _name_files(error, f"what was done so far is in {kept}")
            raise
    return summary(
        log=str(where.log),
        chain=escrow.chain.name,
        source=demanded.source,
        policy=PolicyShown(tariff.name, tariff.policy.parameters, tariff.policy.version),
        head=report.head,
        audit=report,
        onchain=onchain,
    )


def _name_files(error: BaseException, kept: str) -> None:
    """Say which files an interrupt, or the end of the chain, has left."""
    if isinstance(error, KeyboardInterrupt):
        error.add_note(kept)
    elif isinstance(error, ChainUnavailable):  # the chain and its money are gone
        error.hint = f"run the demo again; {kept}"


def _demand(tariff: Tariff, options: Options) -> Trace:
    """Return the requests, with the columns that the policy reads: also those that it reads for the trace's models."""
    if options.trace is None and (options.dimensions or options.subscriber_column):
        raise UsageError("--column names a column, and there is no trace", "give --trace, or leave --column out")
    first = dimensions_read(tariff.policy, [None]) or frozenset()
    load = partial(
        demand,
        options.trace,
        requests=options.requests,
        subscribers=options.subscribers,
        seed=options.seed,
        skip_bad=options.skip_bad,
        dimensions=options.dimensions,
        subscriber=options.subscriber_column,
    )
    demanded = load(reads=sorted(first))
    more = dimensions_read(tariff.policy, models(demanded)) or frozenset()
    if not demanded.source.ignored or more <= first:
        return demanded
    return load(reads=sorted(first | more))


@contextmanager
def _escrow(chain: str, ledger: Ledger, clock: TraceClock, where: Place, progress: Progress) -> Iterator[Escrow]:
    """Yield the escrow on a new chain of that kind."""
    if CHAINS[chain] == MOCK:
        with closing(MockChain(where.mock, name=MOCK, contract=CONTRACT)) as mock:
            yield MockEscrow(ledger, mock)
        return
    progress("chain", 0, 0)
    try:
        from .evm_escrow import evm_escrow
    except ModuleNotFoundError as error:
        raise missing(error) from error
    with evm_escrow(ledger, clock, where.leaves, KINDS[chain], progress) as escrow:
        yield escrow


def _audit(log: Path | Store, chains: Sequence[Chain], progress: Progress) -> Report:
    """Audit the log alone; and compare it with a chain that ends with the run, while it can be read."""
    from replay.audit.run import audit

    return audit(log, chains=chains, progress=lambda done, total: progress("audit", done, total))


def _tariff(text: str) -> Tariff:
    try:
        name, parameters = parse(text)
    except BadData as error:
        raise error if error.file else UsageError(str(error), error.hint) from error
    try:
        made = policies.get(name)(parameters)
    except ValueError as error:
        raise UsageError(f"the policy {name} does not take these parameters: {error}", "correct --policy") from error
    return Tariff(name, parameters, made)


def _check_names(trace: Trace) -> None:
    """Raise BadData for a name that the ledger would refuse, before a file is created."""
    for row in trace.rows:
        for name in (row.subscriber, row.plan, row.agent, row.model, *row.usage):
            if name is not None and len(name) > MAX_NAME_LENGTH:
                found = f"the name {name[:40]!r}… is longer than {MAX_NAME_LENGTH} characters"
                raise BadData(found, "shorten it", trace.source.file)


def _digest(trace: Trace, tariff: Tariff, seed: int, chain: str) -> str:
    """Return the digest of all that the run depends on: the requests, the options, and this version."""
    options = [version("tollbook"), tariff.name, tariff.policy.version, tariff.policy.parameters, seed, chain]
    digest = hashlib.sha256(msgspec.json.encode(options, order="sorted"))
    for number, row in enumerate(trace.rows):  # in parts: the bytes of the whole list
        digest.update((b"," if number else b"[") + msgspec.json.encode(row))
    digest.update(b"]")
    return digest.hexdigest()[:16]
