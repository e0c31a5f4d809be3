"""Which part of a movie is for training and which for testing, where a file does not say so."""

from dataclasses import replace

from retina_codec.datatypes import Recording

TEST_SHARE = 0.15
MAX_TEST_FRAMES = 5000


def with_splits(recording: Recording, test_frames: int | None) -> Recording:
    """Use the recording's own splits or, where it has none, keep the last frames for testing.

    Raises
    ------
    ValueError
        If there are splits but also 'test_frames', or a split is missing or would be empty.
    """
    if recording.splits:
        if test_frames is not None:
            msg = f"'test_frames' is for files without splits; this one has {recording.splits}."
            raise ValueError(msg)
        if not {"train", "test"} <= set(recording.splits):
            msg = f"Expected the splits 'train' and 'test', found {', '.join(recording.splits)}."
            raise ValueError(msg)
        return recording
    return replace(recording, splits=last_frames(recording.rates.shape[0], test_frames))


def last_frames(n_frames: int, test_frames: int | None) -> dict[str, tuple[int, int]]:
    """Hold out the last frames: 15 % but at most 5000 unless told otherwise.

    Examples
    --------
    >>> last_frames(100, None)
    {'train': (0, 85), 'test': (85, 100)}
    """
    n_test = test_frames
    if n_test is None:
        n_test = max(1, min(MAX_TEST_FRAMES, int(TEST_SHARE * n_frames)))
    if not 0 < n_test < n_frames:
        msg = f"'test_frames' must be above 0 and below {n_frames}, got {n_test}."
        raise ValueError(msg)
    return {"train": (0, n_frames - n_test), "test": (n_frames - n_test, n_frames)}
