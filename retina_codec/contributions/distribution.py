"""Stretches of a job on the workers of a Dask cluster."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .job import Job, Part
from .store import Store

RETRIES = 3


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
    """
    shared = client.scatter(job, broadcast=True, hash=False)
    futures = [
        client.submit(one_stretch, shared, start, stop, store, retries=RETRIES, pure=False)
        for start, stop in stretches
    ]
    try:
        for (start, stop), future in zip(stretches, futures, strict=True):
            yield start, future.result()
            future.release()
            done(stop - start)
    finally:
        client.cancel(futures)


def one_stretch(
    job: Job, start: int, stop: int, store: Store | None
) -> Mapping[str, Mapping[str, Part]] | None:
    """Compute a stretch, and write it where there is a store. Runs on a worker."""
    parts = job.stretch(start, stop)
    if store is None:
        return parts
    store.write(start, parts)
    return None
