"""The wiring, in the order of the data path: sockets -> sFlow listener, BGP speaker -> engine -> target; board -> web.

This is the only place that knows all rooms. Errors at the start are fatal, with one line that says what to do. A thread
that cannot go on ends the daemon with an error, and the service manager starts it anew: it finds the routes it left
behind. The watchdog is fed by the engine's thread, after a tick that came to its end.
"""

from __future__ import annotations

import gc
import logging
import resource
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from arm import __version__
from arm.analytics import Analytics
from arm.bgp.peer import Peer
from arm.bgp.speaker import Speaker
from arm.config import Config, ConfigError, ReflectorConfig, TargetConfig
from arm.config import load as load_config
from arm.core.engine import Engine
from arm.daemon.loop import EngineLoop
from arm.daemon.memory import Keeper, load
from arm.daemon.reload import compare
from arm.daemon.rights import give_up
from arm.daemon.sockets import Sockets, is_local, open_all
from arm.daemon.tasks import web_threads
from arm.geo import Countries
from arm.model import FAMILIES, Family, Plan, Remembered, Role, Status, family_of, parse_address
from arm.observe import logs
from arm.observe.board import Board
from arm.observe.notify import Notifier, watchdog_seconds
from arm.observe.summary import Summary, one_line
from arm.observe.switch import SwitchCounters
from arm.sflow import datagram
from arm.sflow.listener import Listener
from arm.signals import handle
from arm.target.base import Target
from arm.walltime import CLOCK
from arm.web.app import create_app
from arm.web.server import Server
from arm.worker import OnFailure

log = logging.getLogger(__name__)


def peers(config: Config, vrf: str | None = None) -> list[Peer]:
    """The BGP sessions that the configuration asks for, dialled in `vrf`."""
    reflector, target = config.reflector, config.target
    wanted: list[tuple[str, str | None, Role, ReflectorConfig | TargetConfig]] = [
        ("reflector", reflector.ip, Role.LEARN, reflector),
        ("reflector6", reflector.ip6, Role.LEARN, reflector),
    ]
    if target.kind == "bird":
        wanted += [("target", target.ip, Role.PUSH, target), ("target6", target.ip6, Role.PUSH, target)]
    return [
        Peer(
            name=name,
            address=address,
            local_as=end.as_,
            peer_as=end.as_,
            router_id=end.id,
            role=role,
            password=end.password,
            connect=end.connect,
            port=end.port,
            device=vrf,
            hold_time=config.bgp.hold_time,
            restart_time=config.bgp.restart_time,
            add_path=role is Role.LEARN and reflector.add_path and target.kind == "kernel",
        )
        for name, address, role, end in wanted
        if address is not None
    ]


def make_target(config: Config, speaker: Speaker, switch: SwitchCounters, on_failure: OnFailure) -> Target:
    """The target that the configuration names. Only its own modules are loaded: a start should not take a second."""
    match config.target.kind:
        case "bird":
            from arm.target.bird import BirdTarget

            names = [peer.name for peer in peers(config) if peer.role is Role.PUSH]
            return BirdTarget(speaker, names)
        case "kernel":
            from arm.target.kernel import AgentReader, KernelTarget, find_reader, settings_of

            agents = AgentReader(switch.reports, config.sflow.ip)
            return KernelTarget(settings_of(config.target), find=lambda: find_reader(agents), on_failure=on_failure)
        case "passive":
            from arm.target.passive import PassiveTarget

            return PassiveTarget()
        case kind:
            raise ValueError(f"no target of kind {kind!r}")


class Daemon:
    """All parts, wired. `run` blocks until `stop`, a signal's or a failure's."""

    def __init__(self, config: Config, sockets: Sockets, *, source: str | None = None, vrf: str | None = None) -> None:
        """`source` is the file that `reload` reads; `vrf` the one that the sockets are in."""
        self._config = config
        self._source = source
        self._sockets = sockets
        now = time.monotonic()
        self._started_ms = CLOCK.steady_ms()
        self.engine = Engine(config, now, self._started_ms)
        agent = parse_address(config.sflow.ip) if config.sflow.ip else None
        self.listener = Listener(sock=sockets.sflow, agent=agent, on_failure=self._fail)
        self._keeper: Keeper | None = None
        directory = self._directory()
        if directory is not None:
            self._remember(directory, now)
        self.loop = EngineLoop(
            self.engine,
            samples=self.listener,
            apply=self._apply,
            publish=self._publish,
            keep=self._keeper.note if self._keeper is not None else None,
        )
        self.speaker = Speaker(
            listeners=sockets.bgp,
            peers=peers(config, vrf),
            emit=self.loop.emit,
            backlog=self.loop.backlog,
            on_failure=self._fail,
        )
        self.board = Board(self.loop.ask)
        self.target = make_target(config, self.speaker, self.board.switch, self._fail)
        self.board.holding = self.target.holding
        # Where one agent is configured, no other comes this far.
        self.board.switch.is_own = lambda address: address == agent or is_local(address, vrf)
        self.listener.subscribe_counters(self.board.switch.receive)
        countries = Countries(config.geo.country)
        self.analytics = Analytics(
            config.analytics,
            self.listener,
            lambda addresses: self.loop.ask(lambda reader: reader.matches(addresses)),
            local_as=config.reflector.as_,
            directory=directory,
            country=countries.country if countries.configured else None,
            busy=lambda: self.loop.busy,
            on_failure=self._fail,
        )
        self.web = Server(
            create_app(self.board, config, analytics=self.analytics, geo=countries, current=lambda: self._config),
            sockets.http,
            threads=web_threads(config.analytics.clients),
            on_failure=self._fail,
        )
        self._summary = Summary()
        self._notifier = Notifier.from_environment()
        self._note = ""
        self._watchdog = watchdog_seconds()
        self._fed = now

    def _directory(self) -> Path | None:
        """The directory that may be written to; it is made if it is not there."""
        if self._config.state.directory is None:
            return None
        directory = Path(self._config.state.directory)
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def _remember(self, directory: Path, now: float) -> None:
        """Take up what the last run knew, and keep it up to date."""
        known = 0
        for prefix, rate, samples, chosen in load(directory):
            self.engine.families[family_of(prefix)].selection.recall(prefix, rate, samples, chosen=chosen, now=now)
            known += 1
        if known:
            log.info("choice of the last run remembered prefixes=%d directory=%s", known, directory)
        self._keeper = Keeper(
            directory,
            lambda turn: self.loop.ask(lambda _: (turn(), self._memory())),
            lambda: time.time_ns() // 1_000_000,
            on_failure=self._fail,
        )

    def _memory(self) -> Mapping[Family, list[Remembered]]:
        return self.engine.memory(2 * max(self._config.target.prefixes, self._config.target.prefixes6))

    # --- life --------------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Start everything, be the engine's thread, stop everything. 0, or 70 (EX_SOFTWARE) after a failure."""
        gc.set_threshold(100_000, 20, 50)
        self.listener.start()
        self.target.start(self.loop.emit)
        self.speaker.start()
        self.analytics.start()
        self.web.start()
        if self._keeper is not None:
            self._keeper.start()
        address = self._sockets.http[0].getsockname()
        log.info(
            "started version=%s page=http://%s:%d/ target=%s compiled=%s",
            __version__,
            address[0],
            address[1],
            self.target_kind,
            "no" if datagram.__file__.endswith(".py") else "yes",
        )
        self._publish(0.0)
        self._notifier.ready("learning the table")
        try:
            self.loop.run()
        except Exception as error:
            log.critical("engine failed error=%r", error, exc_info=True)
            self._fail(error)
        finally:
            self._stop()
        if self.loop.failure is not None:
            log.error("stopped after a failure error=%r", self.loop.failure)
            return 70
        return 0

    @property
    def target_kind(self) -> str:
        return self._config.target.kind

    def stop(self) -> None:
        """End `run`; safe in a signal handler."""
        self.loop.stop()

    def reload(self) -> None:
        """Read the configuration again, and follow what needs no restart; safe in a signal handler."""
        self.loop.soon(self._reload)

    def _reload(self) -> Plan | None:
        if self._source is None:
            return None
        self._notifier.reloading(time.monotonic_ns() // 1000)
        try:
            difference = compare(self._config, load_config(self._source))
        except ConfigError as error:
            for fault in error.faults:
                log.error("configuration refused, the old one stays file=%s error=%s", error.source, logs.quote(fault))
            self._note = "configuration refused, the old one stays; "
            self._notifier.ready(self._note)
            return None
        for path in difference.waiting:
            log.warning("configuration change needs a restart key=%s", path)
        log.info("configuration reloaded file=%s applied=%s", self._source, ",".join(difference.applied) or "nothing")
        self._config = difference.config
        if "log.level" in difference.applied:
            logs.setup(self._config.log.level)
        self._note = f"a restart is needed for {', '.join(difference.waiting)}; " if difference.waiting else ""
        self._notifier.ready(f"{self._note}configuration reloaded")
        self.target.resize(self._config.target.slots)
        return self.engine.reconfigure(self._config, time.monotonic())

    def _stop(self) -> None:
        self._notifier.stopping()
        flush = self._config.target.on_stop == "flush"
        keeper = self._keeper
        parts: tuple[Callable[[], None], ...] = (
            lambda: keeper.stop(self._memory()) if keeper is not None else None,
            lambda: self.target.stop(flush=flush),
            lambda: self.speaker.stop(keep=not flush),
            self.analytics.stop,
            self.web.stop,
            self.listener.stop,
            self._sockets.close,
        )
        for part in parts:
            try:
                part()
            except Exception as error:  # the others have an end to come to as well
                log.exception("a part does not stop as it should")
                self._fail(error)
        log.info("stopped routes=%s", "flushed" if flush else "kept")

    def _fail(self, error: BaseException) -> None:
        self.loop.fail(error)

    def unheard(self, ended: threading.ExceptHookArgs) -> None:
        """For threading.excepthook: a thread that ARM did not make itself, such as a library's, ended by an error."""
        error = ended.exc_value or RuntimeError(f"{ended.exc_type.__name__} in a thread")
        log.critical("thread failed thread=%s", ended.thread.name if ended.thread else "unknown", exc_info=error)
        self._fail(error)

    # --- the engine's thread -----------------------------------------------------------------------------------------

    def _apply(self, plan: Plan) -> None:
        self.target.apply(plan)

    def _publish(self, tick_seconds: float) -> None:
        status = self.status(tick_seconds)
        self.board.publish(status)
        self._summary.publish(status)
        now = time.monotonic()
        if self._watchdog is not None and now - self._fed >= self._watchdog / 2:
            self._fed = now
            self._notifier.watchdog()
            self._notifier.status(self._note + one_line(status))

    def status(self, tick_seconds: float) -> Status:
        """Everything true now."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return Status(
            time_ms=CLOCK.steady_ms(),
            started_ms=self._started_ms,
            version=__version__,
            families={family: self.engine.family_status(family) for family in FAMILIES},
            sessions=self.speaker.status(),
            listener=self.listener.status(),
            target=self.target.status(),
            problems=self.engine.problems(),
            sampling_frozen=self.engine.frozen,
            tick_seconds=tick_seconds,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            rss_bytes=resident_bytes(),
            kept_routes=self.engine.kept_routes(),
            ticks=self.loop.ticks.copy(),
            reactions=self.loop.reactions.copy(),
        )


def resident_bytes() -> int:
    """Memory that the process occupies now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def run(config: Config, *, source: str | None = None, vrf: str | None = None) -> int:
    """`arm run`: until SIGTERM or SIGINT; SIGHUP reads `source` again. OSError if a socket cannot be had.

    Called in `held_reload`, so that a SIGHUP that comes before this is acted on, too.
    """
    sockets = open_all(config, vrf)
    give_up(config.target.kind)
    daemon = Daemon(config, sockets, source=source, vrf=vrf)
    threading.excepthook = daemon.unheard
    if threading.current_thread() is threading.main_thread():
        handle(stop=daemon.stop, reload=daemon.reload)
    return daemon.run()
