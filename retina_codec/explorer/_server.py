"""The web server of the explorer. Only this module and those it imports need panel."""

import webbrowser
from collections.abc import Callable, Mapping, Sequence

import panel as pn

from ._gallery import ExploredImages
from ._gallery_page import GalleryPage
from ._guard import Guard
from ._page import Page
from ._run import ExploredRun

open_browser = webbrowser.open


def serve_page(
    runs: Mapping[str, ExploredRun | ExploredImages],
    *,
    port: int,
    address: str,
    origins: Sequence[str],
    token: str | None,
    ready: Callable[[], object],
) -> None:
    """Serve the page of runs until it is interrupted.

    Parameters
    ----------
    runs
        Of `open_run`, or all of `open_gallery`, by the names of their targets.
    port, address
        Where to listen.
    origins
        Hosts whose pages may open a websocket.
    token
        That every request must bring; None on this machine alone.
    ready
        Is called when the page can be opened.
    """
    first = next(iter(runs.values()))
    page = GalleryPage if isinstance(first, ExploredImages) else Page
    server = pn.io.server.get_server(
        lambda: page(runs).layout,
        port=port,
        address=address,
        websocket_origin=list(origins),
        title=f"{first.folder.name}: retina_codec",
        show=False,
        start=False,
    )
    if token is not None:
        # The gate stands before the application, so nothing passes by, websockets neither.
        server._http.request_callback = Guard(server._tornado, token, port)
    server.io_loop.add_callback(ready)
    server.start()
    server.io_loop.start()
    server.stop()
