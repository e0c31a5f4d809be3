"""The tutorials run, their notebooks are what the scripts say, and what the text says is true."""

import re
import runpy
import time
from pathlib import Path

import jupytext
import matplotlib
import nbformat
import numpy as np
import pytest
import typer
from matplotlib import pyplot as plt

from retina_codec.cli import app

TUTORIALS = Path(__file__).parents[1] / "tutorials"
SCRIPTS = sorted(TUTORIALS.glob("*.py"))
LONGEST_S = 120
LARGEST_BYTES = 1_000_000
FIRST = "01_from_a_recording_to_modes"
SECOND = "02_where_a_field_comes_from"
FOURTH = "04_image_networks"


def code_of(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def outputs_of(notebook):
    return [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]


@pytest.fixture(scope="module", params=SCRIPTS, ids=lambda script: script.stem)
def ran(request):
    """Names that a tutorial leaves behind, and how long it took; each runs only once."""
    started = time.perf_counter()
    with matplotlib.rc_context(), pytest.MonkeyPatch.context() as environment:
        environment.delenv("RETINA_RECORDING", raising=False)
        plt.switch_backend("Agg")
        try:
            names = runpy.run_path(str(request.param))
        finally:
            plt.close("all")
    return names, time.perf_counter() - started


def test_there_are_tutorials():
    assert SCRIPTS
    assert {path.stem for path in TUTORIALS.glob("*.ipynb")} == {path.stem for path in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_notebook_is_the_script_with_outputs(script):
    notebook = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    written = jupytext.reads(script.read_text(), fmt="py:percent")
    assert [cell.source for cell in notebook.cells] == [cell.source for cell in written.cells]
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    outputs = outputs_of(notebook)
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert {output.output_type for output in outputs} <= {
        "display_data",
        "execute_result",
        "stream",
    }
    noise = [output.text for output in outputs if output.get("name") == "stderr"]
    assert not noise, "warnings or progress bars in the notebook; run `make tutorials`"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_notebook_is_small_and_names_no_machine(script):
    text = script.with_suffix(".ipynb").read_text()
    assert len(text) < LARGEST_BYTES
    for place in ("/home/", "/Users/", "/tmp/", "site-packages", str(TUTORIALS.parent)):
        assert place not in text


def test_script_runs(ran):
    assert ran[1] < LONGEST_S


@pytest.mark.parametrize("ran", [s for s in SCRIPTS if s.stem == FIRST], indirect=True)
def test_first_tutorial_tells_the_truth(ran):
    """What its sentences say about the numbers, with some room for other machines."""
    names, _ = ran
    ours, ln, true = (
        p.scores["normalised_r"].groupby(names["cell_type"]).mean() for p in names["everyone"]
    )
    assert (ours > ln).all()
    assert ln["ON-OFF transient"] < 0.3 < 0.6 < ours["ON-OFF transient"]
    assert abs(true - 1).max() < 0.05
    gaps = [names["median_gap"](record) for record in names["gaps"].values()]
    assert gaps[0] > 2 * gaps[2] > 4 * gaps[4]
    assert gaps[1] > 2 * gaps[3] > 4 * gaps[5]
    assert max(gaps[2:]) < 1 > names["median_gap"](names["to_cell"]["relu2"])
    modes, components = names["modes"], names["components"]
    assert components[1].r2 + 0.02 < modes.r2 < components[8].r2
    assert (modes.loadings > 0).sum(axis=1).mean() < 1
    assert names["likeness"][names["pair"]] < -0.3
    assert names["true_likeness"][names["pair"]] < -0.3
    control = names["control"]
    assert names["expected"][~control].mean() > 0.4 > 0.2 > names["expected"][control].mean()
    assert names["lost_there"] > 1.2 * names["lost_elsewhere"]
    wired = names["weights"]
    assert (names["mean"][1][wired > 0] > 0.1).all() and (names["mean"][-1][wired < 0] < -0.1).all()
    assert (names["mean"][wired == 0].abs() < 1e-3).all(axis=None)
    best = dict(zip(wired.index, names["best"].max(axis=0), strict=True))
    assert min(best[name] for name in names["bipolar"]) > 0.6 > best["wide-field ON-OFF"]
    top = names["shares"]["share in the network (%)"].nlargest(2).index
    assert set(top) == {"ON fast", "OFF fast"}


@pytest.mark.parametrize("ran", [s for s in SCRIPTS if s.stem == SECOND], indirect=True)
def test_second_tutorial_tells_the_truth(ran):
    names, _ = ran
    assert names["fit"].min() > 0.85
    assert names["likeness"][tuple(names["pair"])] < -0.5 > names["of_two"]
    assert max(names["differences"].values()) < 1e-4
    shares = names["shares"].set_index("mode")
    assert shares.loc[-1, "share"] < 0.4 < 0.7 < shares.loc[-1, "shifted in time"]
    main_two = names["channels"].loc[names["main_two"]]
    assert main_two["share of the field"].sum() > 0.8
    assert main_two["polarity"].prod() < -0.8
    on_share = [(table["polarity"] > 0).mean() for table in names["tables"].values()]
    assert max(on_share[:2]) < 0.05 < 0.3 < on_share[3] < 0.7 < 0.95 < on_share[2]
    assert len(names["beyond"]) > 0.3 * len(names["following"])
    r2 = names["polarity"].set_index("predictor")["r2"]
    assert r2.pop("modes of our cell") > 0.5 > 0.15 > r2.max()
    chosen = names["doses"][names["chosen"]]
    assert (chosen["mode"] > 0.9).all()
    assert (chosen["low"] > 0).all()
    agreement = names["recovery"].set_index("by")["agreement"]
    assert agreement["modes, k known"] == 1 > agreement["modes"] > 0.7
    assert max(agreement["responses"], agreement["shifted loadings"]) < 0.6
    for event in (names["event"], names["true_event"]):
        assert np.flatnonzero(event.signatures["present"]).tolist() == names["on_off"]
    minimal = names["minimal"]
    assert minimal.loc["circuit", "channels"] == "0, 1"
    found = sorted(int(k) for k in minimal.loc["network", "channels"].split(", "))
    assert found == sorted(names["main_two"])
    assert (minimal["error"] < 0.1).all()
    assert (minimal["random_low"] > 0.2).all()


@pytest.mark.parametrize("ran", [s for s in SCRIPTS if s.stem == FOURTH], indirect=True)
def test_fourth_tutorial_tells_the_truth(ran):
    names, _ = ran
    contributions_tell_the_truth(names)
    classes_tell_the_truth(names)
    removal_tells_the_truth(names)
    maps_and_steering_tell_the_truth(names)
    heads_and_folders_tell_the_truth(names)


def contributions_tell_the_truth(names):
    assert len(names["chosen_on"]) == 360 and len(names["test"]) == 359
    assert names["values"].sum() == pytest.approx(names["change"], rel=1e-4)
    cut = names["cut"].droplevel("network")
    assert (cut.loc[["block3", "blocks.3"], 40] < 1).all()
    inside = cut.drop(["block3", "blocks.3"])
    assert (inside > 10).all(axis=None) and (inside[40] > 0.8 * inside[5]).all()
    assert "round layer" in str(names["told"][0].message)
    assert names["others_lead"].mean() > 0.8
    assert np.median(names["of_largest"]) < -1 < 3 < np.median(names["summed"])
    gap = names["of_targets"]["median gap (%)"]
    assert gap["top class, 5 steps"] < 0.1 > gap["contrast, 5 steps"]
    assert gap["P(1, 4 or 7), 5 steps"] > 5 > 1 > gap["P(1, 4 or 7), tolerance 1 %"]
    assert all(0.6 < r < 0.97 for r in names["alike"].values())


def classes_tell_the_truth(names):
    layers = list(names["known"].layers)
    sparsity = names["sparsity"]
    value, chance = sparsity["value"], sparsity["chance"]
    forms = ["contributions, net", "contributions, promoting"]
    assert (value.loc[forms, "block2"] > value.loc[forms, "block1"] + 0.1).all()
    beyond = value["block3"] - value["block2"]
    assert beyond[forms[1]] > 0 > beyond[forms[0]]
    more = (value - chance).loc[forms]
    assert (more["block1"] < 0.05).all() and (more[["block2", "block3"]] > 0.05).all(axis=None)
    assert value.loc["activations", "block3"] < value.loc[forms[1], "block3"] - 0.1
    assert chance.loc["activations", "block3"] < chance.loc[forms[1], "block3"] - 0.05
    less_grey = "activations less those of grey"
    assert (value - chance).loc[less_grey].abs().max() < 0.03
    by_layer = names["by_layer"].set_index(["statistic", "layer"])
    for statistic in ("components to 90 %", "components to 95 %", "participation ratio"):
        rows = by_layer.loc[statistic].loc[layers]
        assert (rows["value"] < 0.4 * rows["low"]).all()
    assert by_layer.loc["components to 95 %", "value"].is_monotonic_decreasing
    balance = by_layer.loc["excitation-inhibition correlation"]
    assert (balance["value"] < balance["low"]).all()
    summary = names["summary"].set_index(["kind", "layer"]).loc["contribution modes"]
    assert (summary["share"] > 0.8).all() and (summary["classes_covered"] == 10).all()
    assert (summary["r_test"] > summary["r"] - 0.05).all()
    assert names["table"].query("rare")["firing"].max() < 20 <= names["table"]["firing"].max()
    assert names["table"].query("rare")["q"].isna().all()
    best = names["best_r"]
    channels = best.loc[["contributions of channels", "activations of channels"]]
    assert (best.loc["contribution modes"] > channels.max() + 0.1).all()
    activations, contributions = channels.loc["activations of channels"], channels.iloc[0]
    assert activations["block1"] < contributions["block1"] - 0.1
    assert best.loc["activation modes", "block3"] > best.loc["contribution modes", "block3"] - 0.1


def removal_tells_the_truth(names):
    lost, others = names["lost"], names["lost_by_others"]
    first, second, rival = "contribution mode", "mean contribution", "activation x gradient"
    of_activations = ["activation mode", "mean activation", rival]
    towards_grey = ("grey", 0.1)
    assert lost.loc[first, towards_grey] > 50 > 3 * others.loc[first, towards_grey]
    assert (lost.loc[of_activations, towards_grey] < 5).all()
    assert (lost["zero", 0.1] < 5).all()
    assert lost.loc[rival, ("zero", 0.25)] > 60 > 5 > lost.loc[first, ("zero", 0.25)]
    assert lost.loc["random of equal number", towards_grey] < 5
    mass = "random of equal mass"
    assert abs(lost.loc[mass, towards_grey] - others.loc[mass, towards_grey]) < 15
    assert (lost["resampled", 0.1] < 5).all()
    with_first = names["with_first"].sort_index()
    assert with_first.loc[(*towards_grey, rival), "first_difference_low"] > 0
    assert with_first.loc[(*towards_grey, mass), "first_difference_low"] > 0
    assert abs(with_first.loc[(*towards_grey, second), "first_difference"]) < 0.1
    assert with_first.loc[("zero", 0.25, rival), "first_difference_high"] < 0
    resampled = with_first.loc["resampled", 0.25]["first_difference"]
    assert abs(resampled[rival]) < 0.06 < resampled[mass] < 0.2
    assert with_first.loc[("resampled", 0.25, mass), "first_difference_low"] > 0
    assert names["error"] < 1e-4
    assert names["path"][0, 0].argsort()[-2:].tolist() == [0, names["grey"]]
    assert (names["by_class"].loc[first, [0, names["grey"]]] < 0.05).all()
    kept = names["controlled"]["grey"].query("kind == 'preserved' and dose == 0.05")
    of_grey = kept["class"] == names["grey"]
    assert (kept[of_grey]["own_after"] > 0.95).all() and (kept[~of_grey]["own_after"] < 0.1).all()


def maps_and_steering_tell_the_truth(names):
    assert (names["items"].drop_duplicates("mode")["r"] > 0.5).all()
    of_modes = names["of_modes"].set_index(["rival", "kind"])
    for rival in of_modes.index.unique("rival"):
        if rival.startswith(("Grad-CAM", "edges", "random")):
            assert (of_modes.loc[rival, "low"] > 0).all()
    assert (of_modes.loc["integrated gradients", "advantage"].abs() < 0.01).all()
    assert (of_modes.loc["Grad-CAM, block2", "advantage"] > 0).all()
    for kind, better in (("inserted", max), ("deleted", min)):
        cams = {
            n: of_modes.loc[(f"Grad-CAM, {n}", kind), "rival_auc"] for n in names["known"].layers
        }
        assert better(cams, key=cams.get) == "block2"
    at_image = names["insertion"].set_index(["method", "rival"])
    assert at_image.loc[("modes, at the image", "gradient x input"), "advantage"].abs().max() < 0.01
    steering = names["steering"].set_index(["class", "factor", "control"])["mean"]
    own, grey = names["shown_class"], names["grey"]
    assert steering[own, 0, 0] < 0.1 < 0.4 < steering[own, 0, 1]
    assert steering[grey, 0, 0] > 0.5 > steering[grey, 0, 1]
    assert steering[own, 2, 1] > 0.95 > 0.85 < steering[own, 1, 0]
    flips, found = names["flips"], names["found"]
    assert (flips["n_modes"] == 1).mean() > 0.6
    assert abs(found["permuted_n_modes"].mean() - found["n_modes"].mean()) < 0.3
    assert found["random_n_modes"].mean() > 5
    assert (names["stuck"]["predicted"] == grey).all() and len(names["stuck"]) == 2


def heads_and_folders_tell_the_truth(names):
    blocks = names["of_blocks"]
    assert blocks["through the class token (%)"].is_monotonic_increasing
    assert blocks["through the class token (%)"].iloc[-1] == pytest.approx(100)
    assert blocks["gap (%)"].max() < 4
    heads = names["by_head"].set_index(["kind", "layer"])
    assert (heads.loc["activations", "p"] > 0.05).all()
    assert ((heads.loc["contributions", "p"] < 0.05) == [False, False, True, True]).all()
    assert heads["difference"].max() < 0.2
    assert (heads["sparsity"] - heads["gaussian"]).max() < 0.1
    assert (names["said"] == names["folder_labels"]).all() and len(names["said"]) == 30
    assert names["mine"].layers == ("0.block1", "0.block2", "0.block3")


def test_commands_of_the_fourth_tutorial_are_understood():
    text = (TUTORIALS / f"{FOURTH}.py").read_text()
    commands = re.findall(r"^#     retina-codec (images run .*)$", text, re.MULTILINE)
    assert len(commands) == 2
    images = typer.main.get_command(app).commands["images"]
    assert "`retina-codec images control results`" in text and "control" in images.commands
    for words in map(str.split, commands):
        given = images.commands[words[1]].make_context(words[1], words[2:]).params
        assert given["folder"] == words[2] and given["network"] == words[4]


def test_ten_lines_of_the_readme_run():
    readme = (TUTORIALS.parent / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    names = {}
    exec(code, names)
    assert len(names["effects"].perturbed) == len(names["effects"].conditions) > 0
