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
from matplotlib import pyplot as plt

TUTORIALS = Path(__file__).parents[1] / "tutorials"
SCRIPTS = sorted(TUTORIALS.glob("*.py"))
LONGEST_S = 120
LARGEST_BYTES = 1_000_000
FIRST = "01_from_a_recording_to_modes"
SECOND = "02_where_a_field_comes_from"


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
    assert components[1].r2 + 0.05 < modes.r2 < components[8].r2
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


def test_ten_lines_of_the_readme_run():
    readme = (TUTORIALS.parent / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    names = {}
    exec(code, names)
    assert len(names["effects"].perturbed) == len(names["effects"].conditions) > 0
