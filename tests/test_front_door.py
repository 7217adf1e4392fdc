"""The files for people who come to the repository say what is so."""

import re
import tomllib

import yaml

from glcic_jax.version import __version__
from tests.support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))


def test_one_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"] == __version__
    assert re.search(rf"^## {re.escape(__version__)}", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert citation["license"] == PROJECT["license"]
    assert citation["preferred-citation"]["doi"] in (ROOT / "README.md").read_text()


def test_ci_runs_on_every_supported_python():
    jobs = WORKFLOW["jobs"]
    supported = [line.rsplit(" ", 1)[1] for line in PROJECT["classifiers"] if re.search(r"Python :: 3\.", line)]
    assert jobs["test"]["strategy"]["matrix"]["python"] == supported
    assert jobs["test"]["steps"][-1]["run"] == ".ci/run"


def test_make_targets_that_ci_and_pages_name():
    commands = [step["run"] for job in WORKFLOW["jobs"].values() for step in job["steps"] if "run" in step]
    named = set(re.findall(r"make ([\w-]+)", "\n".join(commands)))
    named |= set(WORKFLOW["jobs"]["versions"]["strategy"]["matrix"]["target"])
    for page in ("CONTRIBUTING.md", ".ci/run"):
        named |= set(re.findall(r"(?:`|^)make ([\w-]+)", (ROOT / page).read_text(), re.M))
    assert {"check", "test", "docs", "dist", "test-oldest"} <= named <= TARGETS


def test_make_help_knows_every_target():
    makefile = (ROOT / "Makefile").read_text()
    described = set(re.findall(r"^([\w-]+):.*  ## ", makefile, re.M))
    assert described == TARGETS - {"test-versions"}


def test_issue_forms_and_hooks_can_be_read():
    forms = [path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"]
    assert len(forms) == 3
    for path in forms:
        form = yaml.safe_load(path.read_text())
        assert form["name"] and form["description"] and form["body"]
        for page in re.findall(r"docs/\w+\.md", path.read_text()):
            assert (ROOT / page).exists(), page
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert [hook["id"] for hook in hooks] == ["format", "lint", "pages"]
