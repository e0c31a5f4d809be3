"""Stretches of a job on the workers of a Dask cluster."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from distributed import WorkerPlugin, get_worker

from .job import Job, Part
from .store import Store

RETRIES = 3

one_at_a_time = threading.Lock()
"""All tasks of a worker share its network, which is hooked while it runs."""


class SharedJob(WorkerPlugin):
    """A job on every worker, also on one that joins later or comes back."""

    def __init__(self, job: Job):
        self.job, self.name = job, f"retina_codec {uuid4()}"


def computed_on(
    client: Any,
    job: Job,
    stretches: Sequence[tuple[int, int]],
    store: Store | None,
    done: Callable[[int], None],
) -> Iterator[tuple[int, Mapping[str, Mapping[str, Part]] | None]]:
    """Compute stretches on a cluster, in their order.

    Every worker gets the network once. With a store, it writes what it computed by itself, so that
    the store must lie where all workers reach it. The stretch of a worker that dies is computed by
    another one.

    Parameters
    ----------
    client
        A ``dask.distributed.Client``.
    job
        What to compute.
    stretches
        First sample, and the one after the last.
    store
        Where to write; without one, arrays come back.
    done
        Called with the number of samples of each stretch.

    Yields
    ------
    tuple
        First sample and arrays, or None where they were written.

    Raises
    ------
    TypeError
        If network, samples, target or pooling cannot be sent to other processes.
    """
    n_threads = min(client.nthreads().values(), default=job.n_threads)
    shared = SharedJob(replace(job, n_threads=n_threads))
    try:
        client.register_plugin(shared)
    except (TypeError, AttributeError) as error:
        msg = (
            "Network, samples, target or pooling cannot be sent to other processes "
            f"({first_cause(error)}). "
            "Give samples that are in memory or come from `load_recording`, or leave out 'client'."
        )
        raise TypeError(msg) from error
    futures = [
        client.submit(one_stretch, shared.name, start, stop, store, retries=RETRIES, pure=False)
        for start, stop in stretches
    ]
    try:
        for (start, stop), future in zip(stretches, futures, strict=True):
            yield start, future.result()
            future.release()
            done(stop - start)
    finally:
        client.cancel(futures)
        client.unregister_worker_plugin(shared.name)


def first_cause(error: BaseException) -> BaseException:
    """Return the error that led to this one."""
    before = error.__cause__ or error.__context__
    return error if before is None else first_cause(before)


def one_stretch(
    shared: str, start: int, stop: int, store: Store | None
) -> Mapping[str, Mapping[str, Part]] | None:
    """Compute a stretch, and write it where there is a store. Runs on a worker."""
    job = get_worker().plugins[shared].job
    with one_at_a_time:
        parts = job.stretch(start, stop)
    return parts if store is None else store.write(start, parts)
