"""What comes with the package beside its code: trained networks and a small recording."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def shipped(name: str) -> Path:
    """Return the folder "models" or "data": inside of an installed package, beside it in a clone.

    Parameters
    ----------
    name
        "models" or "data".

    Raises
    ------
    FileNotFoundError
        If the installation is not whole.

    Examples
    --------
    >>> sorted(path.name for path in shipped("models").iterdir() if path.is_dir())
    ['digits_cnn', 'digits_vit', 'simulated_retina']
    """
    for folder in (PACKAGE / name, PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    msg = f"The folder {name} that comes with the package is missing. Install it again."
    raise FileNotFoundError(msg)
