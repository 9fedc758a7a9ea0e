"""The real deployment: what docker-compose.yml promises, and its own commands run here against real engines."""

from __future__ import annotations

import base64
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.kafka.broker import Broker
from infra.runner import PARTS, answers, reserve_port
from infra.settings import read_settings
from tests.app import Phone, a_rough_day, new_id, until
from tests.store import running_store

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = (ROOT / "infra/docker/Dockerfile").read_text()
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"]
PART_NAMES = [part.name for part in PARTS]
REFUSED_IN_PRODUCTION = {"ALONGSIDE_FIREBASE_EMULATOR", "ALONGSIDE_FCM_ENDPOINT", "ALONGSIDE_RATE_LIMITS"}
ALONGSIDE = [sys.executable, "-m", "infra.cli"]
PASSWORD = "a password for the deployment"

# What a service of this file may say. A key that Compose does not know is a mistake that it may pass over in silence.
KEYS = {
    "build",
    "cap_drop",
    "command",
    "depends_on",
    "environment",
    "healthcheck",
    "image",
    "init",
    "mem_limit",
    "networks",
    "pids_limit",
    "ports",
    "read_only",
    "restart",
    "secrets",
    "security_opt",
    "stop_grace_period",
    "tmpfs",
    "ulimits",
    "user",
    "volumes",
}


def settings_that_exist() -> set[str]:
    """Every ALONGSIDE_* variable that infra/settings.py reads."""
    source = (ROOT / "infra/settings.py").read_text()
    return {f"ALONGSIDE_{name}" for name in re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', source)}


def settings_of_the_example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    said = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {name: value for name, _, value in said}


def filled_in(value: object, given: dict[str, str]) -> str:
    """A value as Compose interpolates it. Raises ``KeyError`` for one that the file requires and nobody gave."""

    def fill(found: re.Match[str]) -> str:
        name, how, other = found.groups()
        if how == ":+":
            return other if given.get(name) else ""
        if how == ":?" and not given.get(name):
            raise KeyError(name)
        return given.get(name) or other

    return re.sub(r"\$\{(\w+)(:[-?+])([^}]*)\}", fill, str(value))


def an_operator(**changed: str) -> dict[str, str]:
    """What somebody who deploys this writes into ``.env``, and not more."""
    return {
        "ALONGSIDE_SECRET": secrets.token_hex(32),
        "ALONGSIDE_VAULT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "ALONGSIDE_PUBLIC_URL": "https://alongside.example.org",
        **changed,
    }


def environment_of(container: str, given: dict[str, str]) -> dict[str, str]:
    return {name: filled_in(value, given) for name, value in CONTAINERS[container]["environment"].items()}


# -- the file


def test_every_part_has_a_container_that_serves_it_and_every_such_container_is_a_part() -> None:
    ours = {name: said["command"] for name, said in CONTAINERS.items() if said["image"].startswith("alongside:")}
    assert ours == {name: ["serve", name] for name in PART_NAMES} | {"topics": ["topics"]}


def test_the_topics_are_made_before_any_part_starts() -> None:
    assert CONTAINERS["topics"]["command"] == ["topics"]
    assert CONTAINERS["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}
    for part in PART_NAMES:
        assert CONTAINERS[part]["depends_on"] == {
            "store": {"condition": "service_healthy"},
            "topics": {"condition": "service_completed_successfully"},
        }


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_container_says_nothing_that_compose_does_not_know(container: str) -> None:
    assert set(CONTAINERS[container]) <= KEYS


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_container_can_do_little_beside_its_work(container: str) -> None:
    said = CONTAINERS[container]
    assert said["read_only"] is True
    assert said["cap_drop"] == ["ALL"]
    assert said["security_opt"] == ["no-new-privileges:true"]
    assert said["pids_limit"] <= 512
    assert re.fullmatch(r"\d+[mg]", said["mem_limit"])
    user, _, group = said["user"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"} & set(said)


@pytest.mark.parametrize("container", sorted(CONTAINERS.keys() - {"topics"}))
def test_a_container_that_stays_is_watched_and_started_again(container: str) -> None:
    assert CONTAINERS[container]["restart"] == "unless-stopped"
    assert CONTAINERS[container]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


@pytest.mark.parametrize("part", PART_NAMES)
def test_a_part_is_well_when_its_readyz_answers_and_needs_no_program_but_python_to_ask(part: str) -> None:
    mode, program, _, code = CONTAINERS[part]["healthcheck"]["test"]
    assert (mode, program) == ("CMD", "python")
    assert "http://127.0.0.1:8000/readyz" in code
    compile(code, "healthcheck", "exec")


def test_only_the_gateway_has_a_port_outside_and_only_on_the_loopback() -> None:
    assert [name for name, said in CONTAINERS.items() if "ports" in said] == ["gateway"]
    assert [filled_in(port, {}) for port in CONTAINERS["gateway"]["ports"]] == ["127.0.0.1:8000:8000"]


def test_the_store_and_the_log_are_in_no_network_that_reaches_the_internet() -> None:
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert [name for name in ("store", "kafka") if CONTAINERS[name]["networks"] != ["inside"]] == []
    assert {name for name, said in CONTAINERS.items() if "outside" in said["networks"]} == {"people", "push", "gateway"}


def test_every_network_volume_and_secret_that_is_used_is_declared() -> None:
    for name, said in CONTAINERS.items():
        assert set(said["networks"]) <= set(COMPOSE["networks"]), name
        # What begins with a setting is a folder of the operator's.
        named = {volume.partition(":")[0] for volume in said.get("volumes", ()) if not volume.startswith("${")}
        assert named <= set(COMPOSE["volumes"]), name
        assert set(said.get("secrets", ())) <= set(COMPOSE["secrets"]), name


def test_the_kafka_of_the_deployment_is_the_one_that_the_tests_run_on() -> None:
    pom = (ROOT / "infra/kafka/pom.xml").read_text()
    tested = re.search(r"<artifactId>kafka_[\d.]+</artifactId>\s*<version>([\d.]+)<", pom)
    assert tested is not None
    assert CONTAINERS["kafka"]["image"] == f"apache/kafka:{tested[1]}"


# -- its values


@pytest.mark.parametrize("required", ["ALONGSIDE_SECRET", "ALONGSIDE_VAULT_KEY", "ALONGSIDE_PUBLIC_URL"])
def test_nothing_starts_while_a_secret_or_the_public_address_is_missing(required: str) -> None:
    with pytest.raises(KeyError, match=required):
        environment_of("risk", an_operator(**{required: ""}))


def test_no_value_in_the_repository_looks_like_a_secret() -> None:
    values = [str(value) for said in CONTAINERS.values() for value in said.get("environment", {}).values()]
    values += settings_of_the_example().values()
    long_and_random = re.compile(r"(?<![\w/+])(?:[0-9a-fA-F]{24,}|(?=[A-Za-z0-9+/]*[0-9])[A-Za-z0-9+/]{32,}={0,2})")
    assert [value for value in values if long_and_random.search(value)] == []
    for name in ("ALONGSIDE_SECRET", "ALONGSIDE_VAULT_KEY"):
        assert settings_of_the_example()[name] == ""
        assert str(CONTAINERS["risk"]["environment"][name]).startswith(f"${{{name}:?")


def test_the_example_names_every_setting_and_nothing_else() -> None:
    assert set(settings_of_the_example()) == settings_that_exist()


@pytest.mark.parametrize("container", [*PART_NAMES, "topics"])
def test_a_container_is_given_every_setting_that_production_takes(container: str) -> None:
    assert set(CONTAINERS[container]["environment"]) == settings_that_exist() - REFUSED_IN_PRODUCTION


@pytest.mark.parametrize("container", [*PART_NAMES, "topics"])
def test_the_settings_of_a_container_are_good_in_production(container: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = an_operator()
    for name, value in environment_of(container, given).items():
        monkeypatch.setenv(name, value)
    settings = read_settings()
    assert settings.env == "production"
    assert settings.store_url == "mongodb://store:27017/?replicaSet=alongside"
    assert settings.log_url == "kafka://kafka:9092"
    assert settings.secret == given["ALONGSIDE_SECRET"]
    assert settings.peers == {name: f"http://{name}:8000" for name in PART_NAMES if name not in ("push", "gateway")}


def test_a_default_in_the_compose_file_is_the_default_of_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    given = an_operator()
    for name, value in environment_of("risk", given).items():
        monkeypatch.setenv(name, value)
    composed = read_settings()
    for name in settings_that_exist() - set(given) - {"ALONGSIDE_STORE_URL", "ALONGSIDE_LOG_URL"}:
        monkeypatch.delenv(name, raising=False)
    plain = read_settings()
    for name in (
        "store_prefix",
        "firebase_credentials",
        "firebase_project",
        "alert_seconds",
        "follow_up_seconds",
        "alert_budget",
        "bands",
        "assumed_steps",
        "risk_model",
        "token_seconds",
        "region",
        "instruments",
    ):
        assert getattr(composed, name) == getattr(plain, name), name


def test_a_service_account_is_mounted_where_the_setting_says_and_only_for_those_who_use_it() -> None:
    given = an_operator(ALONGSIDE_FIREBASE_CREDENTIALS="/etc/alongside/service-account.json")
    assert environment_of("push", given)["ALONGSIDE_FIREBASE_CREDENTIALS"] == "/run/secrets/firebase"
    assert filled_in(COMPOSE["secrets"]["firebase"]["file"], given) == "/etc/alongside/service-account.json"
    assert {name for name, said in CONTAINERS.items() if "secrets" in said} == {"people", "push"}


@pytest.mark.parametrize("name", ["INSTRUMENTS", "RISK_MODEL"])
def test_what_an_operator_brings_is_mounted_to_be_read_where_the_setting_says_and_only_for_risk(name: str) -> None:
    given = an_operator(**{f"ALONGSIDE_{name}": "/etc/alongside/ours"})
    place = environment_of("risk", given)[f"ALONGSIDE_{name}"]
    mounted = [filled_in(volume, given) for volume in CONTAINERS["risk"]["volumes"]]
    assert f"/etc/alongside/ours:{place}:ro" in mounted
    assert sum(volume.startswith("/dev/null:") for volume in mounted) == len(mounted) - 1
    users = [part for part, said in CONTAINERS.items() if any(name in v for v in said.get("volumes", ()))]
    assert users == ["risk"]


# -- the image


def test_the_image_is_built_from_the_production_lock_with_hashes() -> None:
    installs = [line for line in DOCKERFILE.splitlines() if "pip install" in line]
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)
    assert "requirements-production.lock" in DOCKERFILE


def test_the_image_runs_as_nobody_in_particular_and_begins_with_the_command() -> None:
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert "\nUSER 10001:10001\n" in last_stage
    assert '\nENTRYPOINT ["alongside"]\n' in last_stage
    assert {CONTAINERS[part]["user"] for part in PART_NAMES} == {"10001:10001"}


def test_the_production_lock_holds_the_same_versions_and_no_extra() -> None:
    def pinned(lock: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9_.-]+==[^ ]+", (ROOT / lock).read_text(), re.MULTILINE))

    production = pinned("requirements-production.lock")
    assert production < pinned("requirements.lock")
    assert pinned("infra/docker/build.lock") < pinned("requirements.lock")
    assert not {name for name in production if name.startswith(("secantus", "pytest", "hypothesis", "ruff"))}


# -- its commands, run here


class Deployment:
    """The containers' commands as processes of this machine, with their own settings but for the addresses."""

    def __init__(self, store_url: str, log_url: str, out: Path) -> None:
        given = an_operator()
        self._out = out
        self._processes: list[subprocess.Popen[bytes]] = []
        self._places = {part: reserve_port() for part in PART_NAMES}
        self.ports = {part: place.getsockname()[1] for part, place in self._places.items()}
        self._addresses = {
            "ALONGSIDE_STORE_URL": store_url,
            "ALONGSIDE_LOG_URL": log_url,
            "ALONGSIDE_PEERS": ",".join(f"{part}=http://127.0.0.1:{port}" for part, port in self.ports.items()),
        }
        self._given = given
        self.url = f"http://127.0.0.1:{self.ports['gateway']}"

    def run(self, *command: str, **more: str) -> str:
        """A command that ends, as ``docker compose run`` runs it. Returns what it printed."""
        environ = {**self._environ("topics"), **more}
        done = subprocess.run([*ALONGSIDE, *command], env=environ, cwd=self._out, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def start(self) -> None:
        """The topics first, then every part; returns when all are ready."""
        self.run(*CONTAINERS["topics"]["command"])
        for part in PART_NAMES:
            environ = self._environ(part) | {"ALONGSIDE_LISTEN": f"127.0.0.1:{self.ports[part]}"}
            with (self._out / f"{part}.out").open("wb") as out:
                command = [*ALONGSIDE, *CONTAINERS[part]["command"]]
                self._processes.append(subprocess.Popen(command, env=environ, cwd=self._out, stdout=out, stderr=out))
        for part, port in self.ports.items():
            until(lambda port=port: answers(f"http://127.0.0.1:{port}/readyz"), f"{part} is ready", 60)  # type: ignore[misc]

    def stop(self) -> list[int]:
        """Ask every part to stop, and return their exit codes."""
        for process in self._processes:
            process.terminate()
        codes = [process.wait(30) for process in self._processes]
        self._processes = []
        return codes

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        for place in self._places.values():
            place.close()

    def _environ(self, container: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ALONGSIDE_")}
        return {**kept, **environment_of(container, self._given), **self._addresses, "PYTHONPATH": str(ROOT)}


@contextmanager
def deployed(log_url: str, folder: Path) -> Iterator[Deployment]:
    (folder / "store").mkdir()
    with running_store(folder / "store") as store:
        deployment = Deployment(store.url, log_url, folder)
        try:
            deployment.start()
            yield deployment
        finally:
            deployment.end()


@pytest.mark.kafka
def test_the_commands_of_the_containers_carry_a_bad_day_in_production(kafka_broker: Broker, tmp_path: Path) -> None:
    with deployed(kafka_broker.url, tmp_path) as deployment:
        deployment.run("enrol", "--login", "ada", "--name", "Ada", ALONGSIDE_NEW_PASSWORD=PASSWORD)
        ada = Phone(deployment.url)
        ada.sign_in("ada", PASSWORD)
        people = {"maya": "client", "sam": "coach", "rosa": "coach", "ines": "supervisor"}
        phones = {login: enrolled(ada, login, role) for login, role in people.items()}
        maya, sam, rosa, ines = phones.values()
        assignment = {"id": new_id(), "client_id": maya.id, "coach_id": sam.id}
        until(lambda: ines.post("/v1/assignments", assignment).status in (200, 201), "maya is with sam")
        until(lambda: sam.get(f"/v1/clients/{maya.id}/risk").status == 200, "risk knows of it")
        try:
            for phone in (maya, sam, rosa):
                phone.connect()
            answer = maya.post("/v1/check-ins", a_rough_day())
            assert answer.status == 201
            alert = sam.wait_for("alert")["alert_id"]
            assert [item["id"] for item in sam.get("/v1/alerts?state=open").body["items"]] == [alert]
            assert rosa.get(f"/v1/alerts/{alert}").status == 404
            assert sam.post(f"/v1/alerts/{alert}/acknowledge").body["state"] == "acknowledged"
            rosa.settle()
            assert rosa.heard("alert") == []
        finally:
            for phone in (ada, *phones.values()):
                phone.put_away()
        assert deployment.run("dead", "list") == ""
        assert set(deployment.stop()) == {0}


def enrolled(ada: Phone, login: str, role: str) -> Phone:
    """A new person of the deployment, signed in."""
    body = {"id": new_id(), "role": role, "login": login, "password": PASSWORD, "display_name": login.title()}
    assert ada.post("/v1/people", body).status == 201
    phone = Phone(ada.url)
    phone.sign_in(login, PASSWORD)
    return phone
