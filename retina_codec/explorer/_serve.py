"""Serve the explorer as a local web page."""

import errno
import importlib
import logging
import secrets
import socket
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from types import ModuleType

from ._gallery import ExploredImages, open_gallery
from ._run import ExploredRun, open_run

log = logging.getLogger(__name__)

HERE = "127.0.0.1"
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104


def serve(
    folder: str | PathLike,
    *others: str | PathLike,
    recording: str | PathLike | None = None,
    network: str | None = None,
    port: int = 0,
    address: str = HERE,
    browser: bool = True,
    tell: Callable[[str], object] = log.info,
) -> None:
    """Open a finished run as a local web page, until it is interrupted.

    Parameters
    ----------
    folder
        Of the run.
    *others
        Folders of runs that explain the same samples by other targets, layers or methods; the page
        can change between them.
    recording
        Where the recording is now, if it was moved since.
    network
        Of a run on images, again: needed where it is code, which is run only if you name it.
    port
        Of the page; 0 for any that is free.
    address
        Of the machine: at anything but this machine's own address (127.0.0.1) others can reach the
        page, so it answers only to those whose address holds the token that is told.
    browser
        Whether to open the page in the browser.
    tell
        Is called with the address of the page when it can be opened.

    Raises
    ------
    ImportError
        If panel is not installed.
    OSError
        If the port is in use, or the recording is gone.
    ValueError
        If a folder holds no finished run, or the runs explain different samples.

    Examples
    --------
    >>> serve("my_run", port=5006)  # doctest: +SKIP
    >>> serve("not_begun")
    Traceback (most recent call last):
    ValueError: ... holds no run: ...
    """
    server = panel_server()
    runs = by_target(
        [opened(one, recording=recording, network=network) for one in (folder, *others)]
    )
    for run in runs.values():
        run.warm()
    token = None if address in own_addresses() else secrets.token_urlsafe(24)
    chosen = port or free_port(address)
    try:
        server.serve_page(
            runs,
            port=chosen,
            address=address,
            origins=origins(address, chosen),
            token=token,
            ready=lambda: _ready(server, page_address(address, chosen, token), browser, tell),
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            msg = f"Port {chosen} is in use. Choose another with --port, or none for any."
            raise OSError(msg) from error
        if error.errno in (errno.EADDRNOTAVAIL, errno.EACCES) or isinstance(error, socket.gaierror):
            msg = f"Cannot listen at {address}, port {chosen}: {error.strerror}."
            raise OSError(msg) from error
        raise


def opened(
    folder: str | PathLike, *, recording: str | PathLike | None, network: str | None
) -> ExploredRun | ExploredImages:
    """Open a run on a recording, or one on images: only these have a table of predictions."""
    folder = Path(folder).expanduser()
    if (folder / "predictions.csv").exists() and not (folder / "predictions.nc").exists():
        return open_gallery(folder, network=network)
    return open_run(folder, recording=recording)


def by_target(
    runs: Sequence[ExploredRun | ExploredImages],
) -> dict[str, ExploredRun | ExploredImages]:
    """Return the runs by their targets, with the folder where targets are the same.

    Raises
    ------
    ValueError
        If they explain different samples.
    """
    for run in runs[1:]:
        if not runs[0].is_beside(run):
            msg = f"{runs[0].folder} and {run.folder} explain different samples. "
            raise ValueError(msg + "Open together only runs on the same recording or images.")
    targets = [run.config.target for run in runs]
    names = [
        target if targets.count(target) == 1 else f"{target} ({run.folder})"
        for target, run in zip(targets, runs, strict=True)
    ]
    return dict(zip(names, runs, strict=True))


def panel_server() -> ModuleType:
    """Return the module that needs panel.

    Raises
    ------
    ImportError
        If panel is not installed.
    """
    try:
        return importlib.import_module("retina_codec.explorer._server")
    except ImportError as error:
        msg = "The explorer needs panel: pip install 'retina-codec[explore]'."
        raise ImportError(msg) from error


def own_addresses() -> tuple[str, ...]:
    """Return the names under which only this machine reaches itself."""
    return (HERE, "localhost")


def origins(address: str, port: int) -> list[str]:
    """Return the hosts whose pages may talk to the server.

    Examples
    --------
    >>> origins("127.0.0.1", 5006)
    ['127.0.0.1:5006', 'localhost:5006']
    """
    names = [HERE, "localhost"]
    if address in EVERYWHERE:
        host = socket.gethostname()
        names += [host, socket.getfqdn(), *_addresses_of(host)]
    elif address not in own_addresses():
        names.append(address)
    return [f"{name}:{port}" for name in dict.fromkeys(names) if ":" not in name]


def page_address(address: str, port: int, token: str | None) -> str:
    """Return what to open in a browser.

    Examples
    --------
    >>> page_address("0.0.0.0", 5006, None).endswith(":5006/")
    True
    """
    name = socket.gethostname() if address in EVERYWHERE else address
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


def free_port(address: str) -> int:
    """Return a port that nobody uses.

    Raises
    ------
    OSError
        If the address is none of this machine.
    """
    try:
        with socket.create_server((address, 0)) as bound:
            return bound.getsockname()[1]
    except OSError as error:
        msg = f"Cannot listen at {address}: {error.strerror}. Choose an address of this machine."
        raise OSError(msg) from error


def _addresses_of(host: str) -> list[str]:
    try:
        return socket.gethostbyname_ex(host)[2]
    except OSError:
        return []


def _ready(server: ModuleType, page: str, browser: bool, tell: Callable[[str], object]) -> None:
    tell(page)
    if browser:
        server.open_browser(page)
