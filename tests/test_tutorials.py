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


def code_of(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def outputs_of(notebook):
    return [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]


def as_parameter(script):
    """Warnings of dask are not ours."""
    marks = [pytest.mark.filterwarnings("default")] if script.stem == "10_on_a_cluster" else []
    return pytest.param(script, marks=marks, id=script.stem)


@pytest.fixture(scope="module", params=map(as_parameter, SCRIPTS))
def ran(request):
    """Names that a tutorial leaves behind, and its CPU seconds; each runs only once."""
    started = time.process_time()
    with matplotlib.rc_context(), pytest.MonkeyPatch.context() as environment:
        environment.delenv("RETINA_RECORDING", raising=False)
        plt.switch_backend("Agg")
        try:
            names = runpy.run_path(str(request.param))
        finally:
            plt.close("all")
    return names, time.process_time() - started


def test_there_are_tutorials():
    assert {path.stem for path in SCRIPTS} == set(TRUTHS)
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


def test_script_tells_the_truth(ran, request):
    """What its sentences say about the numbers, with some room for other machines."""
    TRUTHS[request.node.callspec.params["ran"].stem](ran[0])


def recordings(names):
    assert np.median(names["reliability"]) > 0.4 > 0.1 > abs(np.median(names["shifted"]))
    spikes = names["in_training"][0]
    assert names["counts"][names["first"] : names["last"], 0].sum() == pytest.approx(spikes)
    scenes, noise = names["distance"].iloc[:, :2].T.to_numpy()
    types = names["distance"].index
    one_input = types != "ON-OFF transient"
    assert noise[one_input].max() < 1 < scenes[one_input].min()
    assert noise[~one_input].min() > 3
    rate = names["distance"].iloc[:, 2]
    assert rate["ON-OFF transient"] > 0.6 * rate["OFF transient"]
    assert names["same"]
    assert np.isnan(names["later"].rates).any()


def training(names):
    cell_type = names["cell_type"]
    ours, ln, true = (p.scores["normalised_r"].groupby(cell_type).mean() for p in names["everyone"])
    assert (ours > ln).all()
    assert ln["ON-OFF transient"] < 0.3 < 0.6 < ours["ON-OFF transient"] < 0.9
    assert ln.drop("ON-OFF transient").min() > 0.8
    assert abs(true - 1).max() < 0.05
    assert names["chance"].mean() < 0.1
    assert names["log"]["validation_loss"].diff().iloc[-2:].abs().max() < 0.01
    assert names["same"]


def contributions(names):
    total = names["relu2"].values[names["moment"]].sum()
    assert total == pytest.approx(names["change"], rel=1e-4)
    gaps = {name: names["median_gap"](record) for name, record in names["gaps"].items()}
    for layer in ("relu1", "relu2"):
        few, more, most = (gaps[f"{layer}, trapezoid, {n} steps"] for n in (5, 20, 80))
        assert few > 2 * more > 4 * most
        assert gaps[f"{layer}, secant, 3 steps"] < 1e-3
    assert np.nanmedian(names["alike"]) < 0.9
    assert "round layer amacrine" in str(names["told"][0].message)
    wired, mean = names["weights"], names["mean"]
    assert (mean[1][wired > 0] > 0.1).all() and (mean[-1][wired < 0] < -0.1).all()
    assert (mean[wired == 0].abs() < 1e-3).all(axis=None)
    best = dict(zip(wired.index, names["best"].max(axis=0), strict=True))
    assert min(best[name] for name in names["bipolar"]) > 0.7 > best["wide-field ON-OFF"]
    assert set(names["best"][:, :2].argmax(axis=0)) == {4, 6}
    shares = names["shares"]
    assert (shares.iloc[:, 0] - shares.iloc[:, 1]).abs().max() < 10


def modes(names):
    found, components = names["modes"], names["components"]
    assert components[1].r2 + 0.1 < found.r2 < components[8].r2
    assert (found.loadings > 0).sum(axis=1).mean() < 2
    choices = names["choices"].set_index("n_modes")
    assert names["chosen"] == 4
    assert choices.loc[4, "r2"] > 0.95 and choices.loc[4, "active"] > 3.5
    assert len(found.dictionary) > 4
    described = names["rc"].statistics.describe_modes(found)
    assert 2 < names["back"] < len(found.dictionary)
    assert described["energy"][found.reproducibility < 0.8].max() < 0.02
    assert set(described["features"][:2]) == {"4+ 6−", "6+ 4−"}
    agreement = names["recovery"].set_index("by")["agreement"]
    assert agreement["modes"] == 1 > 0.6 > max(agreement[["responses", "shifted loadings"]])


def dynamic_fields(names):
    assert names["likeness"][tuple(names["pair"])] < -0.5 > names["of_two"]
    assert max(names["differences"].values()) < 1e-4
    shares = names["shares"].set_index("mode")
    assert shares.loc[-1, "share"] < 0.4 < 0.7 < shares.loc[-1, "shifted in time"]
    assert set(names["main_two"]) == {4, 6}
    main_two = names["channels"].loc[names["main_two"]]
    assert main_two["share of the field"].sum() > 0.8
    assert main_two["polarity"].prod() < -0.8
    on_share = [(table["polarity"] > 0).mean() for table in names["tables"].values()]
    assert max(on_share[:2]) < 0.05 < 0.3 < on_share[3] < 0.7 < 0.95 < on_share[2]
    assert len(names["beyond"]) > 0.3 * len(names["following"])
    r2 = names["polarity"].set_index("predictor")["r2"]
    assert r2.pop("modes of our cell") > 0.5 > 0.15 > r2.max()


def causal_tests(names):
    control = names["control"]
    assert names["expected"][~control].mean() > names["expected"][control].mean() + 0.15
    assert names["lost_there"] > 1.2 * names["lost_elsewhere"]
    chosen = names["doses"][names["chosen"]]
    assert (chosen["mode"] > 0.9).all()
    assert (chosen["low"] > 0).all()


def phenomena(names):
    for event in (names["event"], names["true_event"]):
        assert np.flatnonzero(event.signatures["present"]).tolist() == names["on_off"]
    n_cells = names["n_cells"]
    assert n_cells["paired flash suppression"].tolist() == [0, 3, 0, 3]
    assert n_cells["latency coding"].tolist() == [0, 3, 0, 1]
    minimal = names["minimal"]
    assert minimal.loc["circuit", "channels"] == "0, 1"
    assert minimal.loc["network", "channels"] == "4, 6"
    assert (minimal["error"] < 0.1).all()
    assert (minimal["random_low"] > 0.2).all()


def image_networks(names):
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
    assert (names["said"] == names["folder_labels"]).all() and len(names["said"]) == 30
    assert names["mine"].layers == ("0.block1", "0.block2", "0.block3")


def your_own_data(names):
    assert len(names["recording"].repeats) == 4
    smooth, wrong = (np.nanmedian(names[name], axis=0).min() for name in ("smooth", "wrong"))
    assert smooth > 0.8 > wrong + 0.1
    assert np.nanmedian(names["r"]) > np.nanmedian(names["shifted_r"]) + 0.2
    assert np.isnan(names["recording"].rates).any()
    assert (names["held"] > names["held_shifted"] + 0.2).all()
    assert names["miss"] < 1e-4


def on_a_cluster(names):
    assert 2 <= names["n_before"] < len(names["samples"]) // 1024 + 1
    assert names["same"] and not names["whole_before"]
    assert "n_steps" in names["refused"]


def classes(names):
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
    at_grey = names["rc"].networks.predict(names["network"], 0 * names["images"][:1])[0]
    assert at_grey.argsort()[-2:].tolist() == [0, names["grey"]]
    assert (names["by_class"].loc[first, [0, names["grey"]]] < 0.05).all()
    kept = names["controlled"]["grey"].query("kind == 'preserved' and dose == 0.05")
    of_grey = kept["class"] == names["grey"]
    assert (kept[of_grey]["own_after"] > 0.95).all() and (kept[~of_grey]["own_after"] < 0.1).all()


def pictures_of_modes(names):
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


def transformers(names):
    blocks = names["of_blocks"]
    assert blocks["through the class token (%)"].is_monotonic_increasing
    assert blocks["through the class token (%)"].iloc[-1] == pytest.approx(100)
    assert blocks["gap (%)"].max() < 4
    heads = names["by_head"].set_index(["kind", "layer"])
    assert (heads.loc["activations", "p"] > 0.05).all()
    assert ((heads.loc["contributions", "p"] < 0.05) == [False, False, True, True]).all()
    assert heads["difference"].max() < 0.2
    assert (heads["sparsity"] - heads["gaussian"]).max() < 0.1


TRUTHS = {
    "01_recordings": recordings,
    "02_train_a_retina": training,
    "03_contributions": contributions,
    "04_modes": modes,
    "05_dynamic_fields": dynamic_fields,
    "06_causal_tests": causal_tests,
    "07_phenomena": phenomena,
    "08_image_networks": image_networks,
    "09_your_own_data": your_own_data,
    "10_on_a_cluster": on_a_cluster,
    "11_classes": classes,
    "12_pictures_of_modes": pictures_of_modes,
    "13_transformers": transformers,
}


def test_commands_of_the_tutorial_on_images_are_understood():
    text = (TUTORIALS / "08_image_networks.py").read_text()
    commands = re.findall(r"^#     retina-codec (images run .*)$", text, re.MULTILINE)
    assert len(commands) == 2
    images = typer.main.get_command(app).commands["images"]
    assert "`retina-codec images control results`" in text and "control" in images.commands
    for words in map(str.split, commands):
        given = images.commands[words[1]].make_context(words[1], words[2:]).params
        assert given["folder"] == words[2] and given["network"] == words[4]


def test_job_for_slurm_is_understood():
    text = (TUTORIALS / "10_on_a_cluster.py").read_text()
    joined = text.replace(" \\\\\n    ", " ").replace("$SLURM_CPUS_PER_TASK", "16")
    commands = re.findall(r"^(?:#     )?retina-codec (.+)$", joined, re.MULTILINE)
    assert len(commands) == 3
    known = typer.main.get_command(app).commands
    for name, *words in map(str.split, commands):
        given = known[name].make_context(name, list(words)).params
        assert str(given["out"]) == words[words.index("--out") + 1]


def test_list_of_tutorials_is_whole():
    text = (TUTORIALS / "README.md").read_text()
    assert re.findall(r"\]\((\d\d_\w+)\.ipynb\)", text) == [path.stem for path in SCRIPTS]


def test_ten_lines_of_the_readme_run():
    readme = (TUTORIALS.parent / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    names = {}
    exec(code, names)
    assert len(names["effects"].perturbed) == len(names["effects"].conditions) > 0
