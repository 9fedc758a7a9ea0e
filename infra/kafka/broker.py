"""One Apache Kafka broker on loopback, run from its jars: ``python -m infra.kafka.broker --port 9092 --data DIR``."""

from __future__ import annotations

import argparse
import base64
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import IO
from uuid import uuid4

from infra.kafka_log import KafkaLog
from infra.log import LogDown

HERE = Path(__file__).parent
POM = HERE / "pom.xml"
LIB = HERE / "lib"

START_SECONDS = 60.0
STOP_SECONDS = 30.0

# One node has nobody to copy to, hence every factor 1. broker.session.timeout.ms: with the default of 9 s a broker that
# was killed and started again stays fenced, and its clients stall, for as long.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller_port}
log.dirs={records}
auto.create.topics.enable=false
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=1000
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=8
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""


class KafkaUnavailable(Exception):
    """No Kafka can be started on this machine; the message says what is missing."""


class Broker:
    """A broker that keeps its records, its settings and its output (``broker.out``) in the folder ``data``.

    Started again on the same folder it goes on from there, on the same port.
    """

    def __init__(self, data: Path, port: int | None = None) -> None:
        self._data = data.absolute()
        self.port = port or _free_port()
        self._controller_port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"kafka://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and return once it answers.

        Raises:
            KafkaUnavailable: Java, Maven or the jars are missing, or the broker did not come up.
        """
        ensure_jars()
        self._data.mkdir(parents=True, exist_ok=True)
        records = self._data / "records"
        properties = self._data / "server.properties"
        properties.write_text(PROPERTIES.format(port=self.port, controller_port=self._controller_port, records=records))
        with open(self._data / "broker.out", "ab") as output:
            if not (records / "meta.properties").exists():
                cluster = base64.urlsafe_b64encode(uuid4().bytes).rstrip(b"=").decode()
                format_folder = ["format", f"--cluster-id={cluster}", f"--config={properties}"]
                formatting = _java(output, "kafka.tools.StorageTool", *format_folder)
                if formatting.wait() != 0:
                    raise KafkaUnavailable(f"Kafka could not format its folder; see {output.name}")
            self._process = _java(output, "kafka.Kafka", str(properties))
        self._await_answer(self._process)

    def kill(self) -> None:
        """Kill -9, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to stop, and wait until it has."""
        self._end(signal.SIGTERM)

    def suspend(self) -> None:
        """Cut it off: its connections stay open and nothing is answered."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on from where it was cut off."""
        self._send(signal.SIGCONT)

    def _send(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        log = KafkaLog(f"127.0.0.1:{self.port}")
        deadline = time.monotonic() + START_SECONDS
        try:
            while process.poll() is None and time.monotonic() < deadline:
                if _listening(self.port) and _answers(log):
                    return
                time.sleep(0.05)
        finally:
            log.close()
        self.kill()
        raise KafkaUnavailable(f"Kafka did not come up; see {self._data / 'broker.out'}")

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def ensure_jars() -> None:
    """Fetch the jars that ``pom.xml`` names into ``lib``, where they are not there yet.

    Raises:
        KafkaUnavailable: naming what is missing.
    """
    _program("java", "a Java runtime, 17 or newer")
    fetched = LIB / "fetched.pom"
    if fetched.exists() and fetched.read_text() == POM.read_text():
        return
    maven = _program("mvn", "Apache Maven, which fetches Kafka's jars")
    shutil.rmtree(LIB, ignore_errors=True)
    command = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={LIB}"]
    fetching = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if fetching.returncode != 0:
        raise KafkaUnavailable(f"Maven could not fetch Kafka's jars:\n{fetching.stdout}")
    # Written last: a fetch that was cut short is done again.
    fetched.write_text(POM.read_text())


def _program(name: str, what: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise KafkaUnavailable(f"`{name}` is not on this machine: install {what}.")
    return path


def _java(output: IO[bytes], main: str, *arguments: str) -> subprocess.Popen[bytes]:
    java = _program("java", "a Java runtime, 17 or newer")
    command = [java, "-Xmx512m", "-cp", f"{LIB}/*", main, *arguments]
    # In a session of its own: Ctrl-C in a terminal reaches whoever started it, who then stops it in order.
    return subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(log: KafkaLog) -> bool:
    try:
        log.ping()
    except LogDown:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description="Run one Apache Kafka broker on loopback.")
    parser.add_argument("--port", type=int, default=9092)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    broker = Broker(options.data, options.port)
    stopping = threading.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, lambda *_: stopping.set())
    try:
        broker.start()
        print(f"ready {broker.url}", flush=True)
        stopping.wait()
    except KafkaUnavailable as missing:
        raise SystemExit(str(missing)) from missing
    finally:
        broker.stop()


if __name__ == "__main__":
    main()
