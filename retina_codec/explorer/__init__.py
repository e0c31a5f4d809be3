"""Look at a finished run: any cell, moment and mode; as a page, a picture, lines of Python."""

from ._gallery import ExploredImages, GalleryView, gallery_view_from, open_gallery
from ._gallery_picture import draw_gallery, gallery_lines
from ._picture import draw_view, lines_of_python, save_picture
from ._run import ExploredRun, Moment, open_run
from ._serve import serve
from ._thinning import Thinned
from ._view import View, view_from

__all__ = [
    "ExploredImages",
    "ExploredRun",
    "GalleryView",
    "Moment",
    "Thinned",
    "View",
    "draw_gallery",
    "draw_view",
    "gallery_lines",
    "gallery_view_from",
    "lines_of_python",
    "open_gallery",
    "open_run",
    "save_picture",
    "serve",
    "view_from",
]
