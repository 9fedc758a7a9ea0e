"""What whoever picks the repository up relies on: true links, names and tables, and nothing that must not be there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml

from infra.cli import commands
from infra.runner import PARTS
from tests.test_deployment import settings_that_exist

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
GENERATED = {"package-lock.json", "requirements.lock", "requirements-production.lock", "build.lock", "LICENSE"}

# Variables that no part reads: one of a command, the others of the tests.
NOT_SETTINGS = {
    "ALONGSIDE_NEW_PASSWORD",
    "ALONGSIDE_REQUIRE_BROWSER",
    "ALONGSIDE_REQUIRE_EMULATOR",
    "ALONGSIDE_REQUIRE_KAFKA",
}

# Put together here, so that this file is not the one that names them.
REGISTRIES = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "npm" + "js.org",
    "npm" + "js.com",
    "maven" + ".org",
    "deb" + "ian.org",
    "crates" + ".io",
    "proxy.go" + "lang",
    "docker" + ".io",
]
MACHINE_PATHS = re.compile(r"(?<![\w./$}])/(?:ro" + r"ot|wo" + r"rk|ho" + r"me|Us" + r"ers)/\w")

# Words that make a label of a person, in any form.
LABELS = re.compile(r"\b(addict\w*|abus(?:e|er|ers|ed|ing)|junkies?|alcoholics?|clean|dirty)\b", re.IGNORECASE)


@cache
def committed_texts() -> dict[str, str]:
    """Every file that is committed or about to be, by its path, but for what a tool or somebody else wrote."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = {}
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_file() and path.name not in GENERATED and b"\0" not in (data := path.read_bytes()):
            found[name] = data.decode()
    return found


def code_in(page: Path) -> list[str]:
    """What a page shows as code: spans, and lines of blocks."""
    text = page.read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [*spans, *(line for block in blocks for line in block.splitlines())]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_to_a_file_that_exists(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    own = [link for link in links if "://" not in link]
    assert [link for link in own if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    folders = "|".join(("schemas", "infra", "services", "gateway", "tests", "docs", "bench"))
    names = re.findall(rf"(?<![\w/.])((?:{folders})/[\w./-]*\w)", " ".join(code_in(page)))
    assert [name for name in names if not (ROOT / name).exists() and not list(ROOT.glob(f"{name}.*"))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    shown = "\n".join(code_in(page))
    ours = set(re.findall(r"(?:^|\s)alongside ([a-z-]+)", shown, re.MULTILINE))
    made = set(re.findall(r"^make ([a-z]+)", shown, re.MULTILINE))
    assert ours <= set(commands.commands)
    assert made <= set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_settings_table_of_the_readme_names_every_setting_and_nothing_else() -> None:
    rows = re.findall(r"^\| `(ALONGSIDE_\w+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert set(rows) == settings_that_exist()


def test_the_table_of_parts_names_every_part() -> None:
    rows = re.findall(r"^\| \w+ \| `alongside serve (\w+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(part.name for part in PARTS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_a_page_names_is_one(page: Path) -> None:
    named = set(re.findall(r"\bALONGSIDE_[A-Z_]*[A-Z]\b", page.read_text()))
    assert named - settings_that_exist() - NOT_SETTINGS == set()


def test_every_metric_that_the_operator_is_told_of_exists() -> None:
    told = set(re.findall(r"`(alongside_\w+)", (ROOT / "docs/operations.md").read_text()))
    assert told
    assert told <= set(re.findall(r'"(alongside_\w+)"', (ROOT / "infra/telemetry.py").read_text()))


def test_nothing_committed_names_a_registry() -> None:
    assert [(n, host) for n, text in committed_texts().items() for host in REGISTRIES if host in text] == []


def test_no_lock_says_where_its_packages_come_from() -> None:
    for lock in (*ROOT.glob("*.lock"), ROOT / "infra/docker/build.lock", *ROOT.glob("tests/**/package-lock.json")):
        if "node_modules" not in lock.parts:
            assert [host for host in REGISTRIES if host in lock.read_text()] == [], lock.name


def test_nothing_committed_names_a_folder_of_somebodys_machine() -> None:
    assert [(n, found[0]) for n, text in committed_texts().items() if (found := MACHINE_PATHS.search(text))] == []


def test_no_word_in_the_repository_makes_a_label_of_a_person() -> None:
    # A test that forbids such a word has to say it.
    looked_at = {name: text for name, text in committed_texts().items() if not name.startswith("tests/")}
    assert [(name, found[0]) for name, text in looked_at.items() if (found := LABELS.search(text))] == []


def test_the_list_of_labels_finds_them_in_any_form() -> None:
    said = ("addicts", "Addiction", "abuser", "clean", "DIRTY")
    assert [word for word in said if not LABELS.search(f"a {word} one")] == []
    assert LABELS.search("a lapse, cleanly told by the client") is None


def test_every_requirement_of_a_lock_has_a_version_and_a_hash() -> None:
    for lock in (ROOT / "requirements.lock", ROOT / "requirements-production.lock", ROOT / "infra/docker/build.lock"):
        requirements = re.split(r"\n(?=[a-z0-9])", lock.read_text())[1:]
        assert requirements
        assert [r for r in requirements if not re.match(r"[\w.\[\]-]+==", r) or "--hash=sha256:" not in r] == []


def test_the_changelog_speaks_of_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_licence_is_the_one_that_the_package_names() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_hooks_before_a_commit_fetch_nothing_from_elsewhere() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in hooks["repos"]] == ["local"]
    assert {hook["language"] for repo in hooks["repos"] for hook in repo["hooks"]} == {"system"}


def test_ci_is_a_program_that_a_shell_can_read() -> None:
    run = ROOT / ".ci/run"
    assert os.access(run, os.X_OK)
    assert subprocess.run(["bash", "-n", run], check=False).returncode == 0


def test_make_says_what_there_is_to_make() -> None:
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"make (\w+)", told)) == {
        "help",
        "setup",
        "up",
        "test",
        "check",
        "kafka",
        "faults",
        "bench",
        "lock",
    }


def test_make_setup_says_what_is_missing_where_there_is_no_python(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    make = shutil.which("make")
    assert make is not None
    asked = subprocess.run(
        [make, "setup"], cwd=tmp_path, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert asked.returncode != 0
    assert "No Python 3.11 or newer was found." in asked.stderr
    assert not (tmp_path / ".venv").exists()
