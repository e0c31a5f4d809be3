"""The example for SLURM in docs/clusters.md asks for the right jobs."""

import ast
import re
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "clusters.md"
SCHEDULER = "tcp://10.0.0.1:8786"
pytestmark = pytest.mark.filterwarnings("default")  # Those of dask are not ours.


@pytest.fixture(scope="module")
def example():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (block,) = (block for block in blocks if "SLURMCluster" in block)
    return ast.parse(block)


@pytest.fixture(scope="module")
def asked(example):
    (value,) = (
        node.value
        for node in example.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "WORKER"
    )
    return ast.literal_eval(value)


@pytest.fixture(scope="module")
def job(asked):
    slurm = pytest.importorskip("dask_jobqueue.slurm")
    return slurm.SLURMJob(SCHEDULER, name="worker", **asked).job_script()


def minutes(text):
    hours, rest, _ = map(int, text.split(":"))
    return 60 * hours + rest


def option(words, name):
    return words[words.index(name) + 1]


def test_workers_end_before_their_wall_time(asked):
    arguments = asked["worker_extra_args"]
    lifetime, stagger = (
        int(option(arguments, name).removesuffix("m"))
        for name in ("--lifetime", "--lifetime-stagger")
    )
    assert stagger > 0
    assert 0 < lifetime + stagger < minutes(asked["walltime"])


def test_workers_that_end_are_replaced(example):
    called = {node.func.attr for node in ast.walk(example) if _is_method_call(node)}
    assert {"adapt", "wait_for_workers"} <= called
    assert "scale" not in called


def _is_method_call(node):
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)


def test_job_has_memory_cores_wall_time_and_comes_back(job):
    directives = dict(
        re.match(r"#SBATCH (--?[\w-]+)[ =]?(.*)", line).groups()
        for line in job.splitlines()
        if line.startswith("#SBATCH")
    )
    assert directives["-t"] == "04:00:00"
    assert directives["--cpus-per-task"] == "1"
    assert directives["--mem"] == "4G"
    assert "--requeue" in directives


def test_job_starts_a_worker_of_this_python(job):
    (command,) = (line for line in job.splitlines() if "distributed.cli.dask_worker" in line)
    words = command.split()
    assert words[0] == sys.executable
    assert SCHEDULER in words
    assert option(words, "--nthreads") == "1"
    assert option(words, "--lifetime") == "225m"


def test_example_keeps_what_is_finished(example):
    (call,) = (
        node
        for node in ast.walk(example)
        if _is_method_call(node) and node.func.attr == "integrated_gradients"
    )
    assert {"store", "client"} <= {word.arg for word in call.keywords}
