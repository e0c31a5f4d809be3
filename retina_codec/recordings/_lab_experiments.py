"""What is known of the lab's experiments beyond their files: good cells, blocks of the movie."""

from retina_codec.datatypes import did_you_mean

PUBLISHED_CELLS = {
    "15-10-07": (0, 1, 2, 3, 4),
    "15-11-21a": (6, 10, 12, 13),
    "15-11-21b": (0, 1, 3, 5, 8, 9, 13, 14, 16, 17, 18, 20, 21, 22, 23, 24, 25),
    "16-01-07": (0, 2, 7, 10, 11, 12, 31),
    "16-01-08": (0, 3, 7, 9, 11),
}
N_BLOCKS = {
    "15-10-07": 6,
    "15-11-21a": 6,
    "15-11-21b": 6,
    "16-01-07": 3,
    "16-01-08": 3,
    "arbfilt": 1,
}


def published_cells(experiment: str) -> list[int]:
    """Cells of an experiment of the lab that the published models were trained on.

    Parameters
    ----------
    experiment
        Its name, which is that of the folder of its files.

    Raises
    ------
    ValueError
        If the experiment is not known.

    References
    ----------
    Maheswaranathan, McIntosh, Tanaka, Grant, Kastner, Melander, Nayebi, Brezovec, Wang, Ganguli,
    Baccus (2023), Neuron 111(17):2742-2755.

    Examples
    --------
    >>> published_cells("15-10-07")
    [0, 1, 2, 3, 4]
    """
    return list(_of(PUBLISHED_CELLS, experiment))


def n_blocks_of(experiment: str) -> int:
    """How many blocks the training movie of an experiment was shown in.

    Raises
    ------
    ValueError
        If the experiment is not known.

    Examples
    --------
    >>> n_blocks_of("16-01-07")
    3
    """
    return _of(N_BLOCKS, experiment)


def _of(table: dict, experiment: str):
    if experiment not in table:
        guess = did_you_mean(experiment, table)
        msg = f"No experiment {experiment!r} is known. Experiments: {', '.join(table)}.{guess}"
        raise ValueError(msg)
    return table[experiment]
