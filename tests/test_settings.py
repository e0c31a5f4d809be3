"""Settings: from the shell, from a file, and in the folder of a run."""

import inspect
import json
import shlex
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from retina_codec import cli, pipeline
from retina_codec.cli import _contributions, _images, _names, _run
from retina_codec.decomposition import METHODS
from retina_codec.networks import load_network, shipped_networks
from retina_codec.phenomena import PHENOMENA
from retina_codec.pipeline import Config, ImageConfig, settings_from
from retina_codec.pipeline._image_config import REPLACEMENTS
from retina_codec.pipeline._image_config import TARGETS as IMAGE_TARGETS
from retina_codec.pipeline._run_folder import keep_settings, settings_in
from retina_codec.pipeline._settings import settings_text
from retina_codec.pipeline._training import MODELS
from retina_codec.recordings import public_data

CONFIG = {
    "recording": "/data/a b.nwb",
    "network": "/nets/one",
    "stimulus": "noise*",
    "repeats": "trials:kind=frozen",
    "axes": "x y time",
    "test_frames": 300,
    "history_s": 0.25,
    "channels": (4, 6),
    "epochs": 3,
    "layers": ("relu2", "relu1"),
    "target": "cell-3",
    "n_steps": 7,
    "tolerance": 0.01,
    "method": "NonNegativeFactors",
    "n_repeats": 2,
    "n_draws": 9,
    "n_cells": 1,
    "seed": 5,
}
IMAGES = {
    "images": "/pictures",
    "network": "efficientnet-lite0",
    "layers": ("block2", "block?"),
    "doses": (0.125, 1.0),
    "towards": ("resampled",),
    "superclasses": {'odd "ones" \x7f é': [1, 3], "even": [2]},
}


@pytest.fixture(autouse=True)
def by_a_user(as_user):
    """The shell hands commands a context of its own class, at which the checker would stop."""


def in_here(monkeypatch, *words):
    """Run the command line in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["retina-codec", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code


def caught(monkeypatch, name):
    """Replace a function of the pipeline by one that notes what it is given."""
    seen = []

    def note(*given, **options):
        seen.append((given, options))
        return {"findings": []}

    monkeypatch.setattr(pipeline, name, note)
    return seen


def test_every_setting_is_tried():
    assert set(CONFIG) == {field.name for field in fields(Config)}


@pytest.mark.parametrize("config", [Config(**CONFIG), Config("/r.nwb"), ImageConfig(**IMAGES)])
def test_settings_come_back_from_the_folder_of_a_run(config, tmp_path):
    keep_settings(config, tmp_path, {"pixels of some images": "deadbeef"})
    assert settings_in(tmp_path, type(config)) == config
    keep_settings(config, tmp_path, {"pixels of some images": "deadbeef"})
    with pytest.raises(ValueError, match="other data .pixels of some images: 'deadbeef' there"):
        keep_settings(config, tmp_path, {"pixels of some images": "other"})
    assert [path.name for path in tmp_path.iterdir()] == ["run.toml"]


NASTY = ["", 'a"b\\c', "tab\t and\nline", "\x7f \x00 \x1f", "é 😀", "'quoted'", "[x]", "# no"]
NASTY += [0, -3, 10**12, 0.1, -1e-300, 1e25, True, False, [], [1.5, 2.0], ["a", "b\n"]]


@pytest.mark.parametrize("value", NASTY)
def test_what_is_written_is_toml(value):
    settings = {"one": value, "table": {"in side": value}, "last": 1}
    read = tomllib.loads(settings_text(settings | {"none": None}))
    assert read == settings and type(read["one"]) is type(value)


# The shell


@pytest.mark.parametrize(
    ("command", "kind", "beside"),
    [
        (_run.run, Config, set()),
        (_run.train, Config, {"model"}),
        (_contributions.contributions, Config, {"part", "workers", "scheduler"}),
        (_images.run, ImageConfig, {"folder", "parts"}),
    ],
)
def test_options_have_the_names_and_defaults_of_settings(command, kind, beside):
    parameters = inspect.signature(command).parameters
    no_settings = {"context", "out", "file", "as_json", "quiet", "verbose"}
    settings = {field.name: field for field in fields(kind)}
    assert set(parameters) - no_settings - beside <= set(settings)
    for name, parameter in parameters.items():
        if name in settings and parameter.default is not None:
            assert parameter.default == settings[name].default


def test_run_has_an_option_for_every_setting():
    assert {field.name for field in fields(Config)} <= set(inspect.signature(_run.run).parameters)


def test_command_in_the_summary_gives_the_settings(monkeypatch):
    seen = caught(monkeypatch, "run")
    words = pipeline._summary.command(Config(**CONFIG))
    assert in_here(monkeypatch, *shlex.split(words)[1:], "--quiet") == 0
    assert seen == [((Config(**CONFIG), Path("DIR")), {"progress": False})]


def test_what_is_typed_wins_over_the_file(tmp_path, monkeypatch):
    seen = caught(monkeypatch, "run")
    keep_settings(Config(**CONFIG), tmp_path, {})
    words = ["run", "--config", tmp_path / "run.toml", "--n-steps", 20, "--out", "again"]
    assert in_here(monkeypatch, *words) == 0
    assert seen[0][0] == (Config(**CONFIG | {"n_steps": 20}), Path("again"))


def test_paths_in_a_file_are_relative_to_it(tmp_path, monkeypatch):
    (tmp_path / "my.toml").write_text('recording = "data/a.nwb"\nnetwork = "/net"\nhistory_s = 1\n')
    found = settings_from(Config, tmp_path / "my.toml", {})
    assert found == {
        "recording": str(tmp_path / "data/a.nwb"),
        "network": "/net",
        "history_s": 1.0,
    }
    monkeypatch.chdir(tmp_path)
    found = settings_from(Config, "my.toml", {"network": "near"})
    assert (found["recording"], found["network"]) == (
        str(tmp_path / "data/a.nwb"),
        str(tmp_path / "near"),
    )


def test_networks_that_come_along_are_found_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = settings_from(Config, None, {"network": "simulated_retina"})["network"]
    assert load_network(found).history == load_network("simulated_retina").history
    (tmp_path / "simulated_retina").mkdir()
    found = settings_from(Config, None, {"network": "simulated_retina"})["network"]
    assert found == str(tmp_path / "simulated_retina")


def test_images_take_a_file_too(tmp_path, monkeypatch):
    seen = caught(monkeypatch, "run_images")
    (tmp_path / "net").mkdir()
    (tmp_path / "net/config.json").write_text("{}")
    text = 'images = "digits"\nnetwork = "net"\nparts = ["layers"]\nsuperclasses = {low = [1, 2]}\n'
    (tmp_path / "my.toml").write_text(text)
    assert in_here(monkeypatch, "images", "run", "--config", tmp_path / "my.toml", "--quiet") == 0
    config = ImageConfig("digits", str(tmp_path / "net"), superclasses={"low": [1, 2]})
    assert seen == [((config, Path("results")), {"parts": ("layers",), "progress": False})]


def test_code_named_by_a_file_is_not_run(tmp_path, monkeypatch, capsys):
    seen = caught(monkeypatch, "run_images")
    (tmp_path / "my.toml").write_text('images = "digits"\nnetwork = "some.module:net"\n')
    words = ["images", "run", "--config", tmp_path / "my.toml"]
    assert in_here(monkeypatch, *words) == 1
    assert "is code, 'some.module:net'. If you trust it, name it" in capsys.readouterr().err
    assert in_here(monkeypatch, *words, "--network", "some.module:net") == 0
    assert len(seen) == 1


def test_place_of_the_work_may_be_in_the_file(tmp_path, monkeypatch, as_user):
    seen = caught(monkeypatch, "store_contributions")
    monkeypatch.setattr(pipeline, "store_contributions", lambda *a, **b: seen.append((a, b)) or {})
    (tmp_path / "my.toml").write_text('recording = "a"\nnetwork = "b"\npart = "train"\n')
    assert in_here(monkeypatch, "contributions", "--config", tmp_path / "my.toml") == 0
    assert (
        in_here(monkeypatch, "contributions", "--config", tmp_path / "my.toml", "--part", "all")
        == 0
    )
    assert [options["part"] for _, options in seen] == ["train", "all"]


WRONG = {
    "unknown name": ("n_step = 3", "holds an unknown setting 'n_step'. Did you mean 'n_steps'?"),
    "nothing like it": ("zzz = 3", "unknown setting 'zzz'. Expected some of: recording, network"),
    "text for a number": ("n_steps = 'many'", "'n_steps' must be a whole number, got 'many'"),
    "part of a number": ("n_steps = 2.5", "'n_steps' must be a whole number, got 2.5"),
    "true for a number": ("seed = true", "'seed' must be a whole number, got True"),
    "number for text": ("target = 3", "'target' must be text, got 3"),
    "number for a list": ("channels = 8", "'channels' must be a list, got 8"),
    "list of others": ("layers = ['relu1', 2]", "'layers', each of the list, must be text, got 2"),
    "a table": ("[history_s]\na = 1", "'history_s' must be a number, got {'a': 1}"),
    "no TOML": ("n_steps = ", "is no TOML: Invalid value"),
    "deep": ("x = " + "[" * 5000, "is no TOML"),
    "not text": (b"\xff\xfe", "is no TOML: it is not text in UTF-8"),
}


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("name", ["run", "train", "contributions"])
def test_wrong_files_get_one_line(name, text, words, tmp_path, monkeypatch, capsys, as_user):
    file = tmp_path / "my.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert in_here(monkeypatch, name, "rec.nwb", "--config", file, "--out", tmp_path / "o") == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: {file}") and words in error
    assert not (tmp_path / "o").exists()


def test_missing_file_gets_one_line(tmp_path, monkeypatch, capsys):
    assert in_here(monkeypatch, "run", "--config", tmp_path / "none.toml") == 1
    assert "Cannot read the settings in " in capsys.readouterr().err
    (tmp_path / "my.toml").write_text("")
    assert in_here(monkeypatch, "run", "--config", tmp_path / "my.toml") == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: Say which recording") and "'retina-codec run --help'" in error


def test_choices_about_the_file_are_handed_on(monkeypatch):
    asked = {}
    monkeypatch.setattr(
        "retina_codec.pipeline._config.load_recording", lambda path, **how: asked.update(how)
    )
    Config(**CONFIG).open_recording()
    names = ("stimulus", "repeats", "axes", "test_frames")
    assert asked == {name: CONFIG[name] for name in names}


# Completion


def test_names_for_completion_are_those_of_the_package():
    assert _names.METHODS == tuple(METHODS)
    assert _names.PHENOMENA == tuple(PHENOMENA)
    assert _names.MODELS == MODELS
    assert {*_names.NETWORKS} | {*_names.IMAGE_NETWORKS[:2]} == {*shipped_networks()}
    assert _names.REPLACEMENTS == tuple(REPLACEMENTS)
    assert set(_names.TARGETS) == {*pipeline.TARGETS, "cell-0"}
    assert set(_names.IMAGE_TARGETS) == {*IMAGE_TARGETS, "class-0", "class-0-probability"}
    assert tuple(_images.PARTS) == tuple(pipeline.PARTS)
    assert [name for name, _ in _names.public_sets("")] == list(public_data().index)


PROGRAM = """
import json, os, sys
from contextlib import redirect_stdout
from io import StringIO
from retina_codec.cli import main
for asked in json.loads(sys.argv[1]):
    os.environ |= asked
    with redirect_stdout(StringIO()) as said:
        try:
            main()
        except SystemExit:
            pass
    print(json.dumps(said.getvalue().splitlines()))
assert not {"torch", "matplotlib", "pynwb"} & set(sys.modules)
"""
SHELLS = {
    "bash": lambda line: {"COMP_WORDS": line, "COMP_CWORD": str(len(shlex.split(line + "x")) - 1)},
    "zsh": lambda line: {"_TYPER_COMPLETE_ARGS": line},
    "fish": lambda line: {
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    },
}
COMPLETED = (
    ("run x --method Spar", "bash", "SparseModes"),
    ("train x --model ", "zsh", "deep-retina"),
    ("fetch goldin", "fish", "goldin_2022"),
    ("phenomena x --name lat", "bash", "latency\\ coding"),
    ("phenomena x --name obj", "fish", "object motion sensitivity"),
    ("contributions x --part tr", "zsh", "train"),
    ("images run digits --network eff", "bash", "efficientnet-lite0"),
    ("run x --target po", "zsh", "population-sum"),
    ("comp", "fish", "compare"),
)


def test_shells_complete_without_torch():
    asked = [
        {"_RETINA_CODEC_COMPLETE": f"complete_{shell}", **SHELLS[shell](f"retina-codec {line}")}
        for line, shell, _ in COMPLETED
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(asked)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    answers = map(json.loads, done.stdout.splitlines())
    for (line, _, expected), answer in zip(COMPLETED, answers, strict=True):
        assert any(expected in one for one in answer), (line, answer)
        assert not any("PrincipalComponents" in one for one in answer), line
