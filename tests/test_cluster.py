"""Contributions on a cluster of processes are those of a single one, also when a worker dies."""

import os
import signal
import threading
import time
from functools import partial

import h5py
import numpy as np
import pytest
from test_store import GIVEN, MOVIE, assert_identical, everything, network, samples

from retina_codec.contributions import integrated_gradients, named
from retina_codec.contributions import job as job_module

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("default")  # Those of dask are not ours.

STRETCH = 16


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch):
    monkeypatch.setattr(job_module, "MOST_SAMPLES", STRETCH)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A store that a single process made."""
    path = tmp_path_factory.mktemp("alone") / "store.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job_module, "MOST_SAMPLES", STRETCH)
        integrated_gradients(network(), samples(), store=path, **GIVEN)
    return path


def test_cluster_gives_what_one_process_gives(client, alone):
    together = integrated_gradients(network(), samples(), client=client, **GIVEN)
    expected = everything(alone)
    for layer, record in together.items():
        np.testing.assert_array_equal(record.values, expected[f"cell 1/{layer}/values"])
        np.testing.assert_array_equal(record.gap, expected[f"cell 1/{layer}/gap"])


def test_workers_write_their_own_chunks(client, alone, tmp_path):
    seen = client.run(lambda dask_worker: len(dask_worker.data))
    integrated_gradients(network(), samples(), client=client, store=tmp_path / "s", **GIVEN)
    assert_identical(everything(tmp_path / "s"), everything(alone))
    assert client.run(lambda dask_worker: len(dask_worker.data)) == seen  # Nothing is left there.


def cell_that_takes_its_time(output, at_sample):
    time.sleep(0.02)
    return output[:, 1]


def test_worker_that_dies_costs_only_its_task(client, alone, tmp_path):
    path = tmp_path / "store.zarr"
    pids = client.run(os.getpid)

    def kill_one():
        done = path / "done"
        while not done.exists() or len([p for p in done.iterdir() if p.name.isdigit()]) < 2:
            time.sleep(0.002)
        os.kill(next(iter(pids.values())), signal.SIGKILL)
        killed.append(len([p for p in done.iterdir() if p.name.isdigit()]))

    killed = []
    killer = threading.Thread(target=kill_one)
    killer.start()
    slow = {**GIVEN, "target": named("cell 1")(partial(cell_that_takes_its_time))}
    integrated_gradients(network(), samples(), client=client, store=path, **slow)
    killer.join()
    assert 2 <= killed[0] < 25  # of 25 stretches: it was in mid-run
    assert set(client.run(os.getpid).values()) != set(pids.values())
    assert_identical(everything(path), everything(alone))


def test_what_cannot_be_sent_is_said(client, tmp_path):
    with h5py.File(tmp_path / "movie.h5", "w") as file:
        movie = file.create_dataset("frames", data=MOVIE)
        with pytest.raises(
            TypeError, match=r"cannot be sent to other processes \(h5py objects .*load_recording"
        ):
            integrated_gradients(network(), samples(movie), client=client, **GIVEN)


def test_error_on_a_worker_arrives(client):
    movie = MOVIE.copy()
    bad = samples(movie)
    movie[300] = np.nan

    with pytest.raises(ValueError, match="frame 300 holds NaN"):
        integrated_gradients(network(), bad, client=client, **GIVEN)
