"""Movies in video files beside a recording, decoded when frames are asked for."""

from pathlib import Path
from typing import Any

import av
import numpy as np

CONTAINERS = "avi,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpeg,mpegts,ogg,asf,nut,gif"
LOCAL = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
NEAR = 250


class ExternalMovie:
    """A video as an array "time y x" (grey) or "time y x channel" (red, green, blue).

    Frames are counted by their packets, since containers are often wrong about the number. Reading
    on from the last frame goes on decoding; anything else starts at the key frame before it.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        with _opened(self.path) as container:
            video = container.streams.video[0]
            stamps = [p.pts for p in container.demux(video) if p.size and not p.is_discard]
            is_grey = str(video.codec_context.pix_fmt).startswith(("gray", "mono"))
            size = (video.codec_context.height, video.codec_context.width)
        if not stamps:
            msg = f"the external movie {self.path} has no frames."
            raise ValueError(msg)
        self.format = "gray" if is_grey else "rgb24"
        self.shape = (len(stamps), *size, *(() if is_grey else (3,)))
        self.ndim, self.dtype = len(self.shape), np.dtype(np.uint8)
        has_stamps = None not in stamps and len(set(stamps)) == len(stamps)
        self._stamps = sorted(stamps) if has_stamps else None
        self._container, self._frames, self._next = None, None, 0

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        chosen = np.arange(len(self))[key]
        if np.ndim(chosen) == 0:
            return self._block(int(chosen), int(chosen) + 1)[0]
        if isinstance(key, slice) and key.step in (None, 1):
            return self._block(int(chosen[0]), int(chosen[-1]) + 1) if len(chosen) else self._none()
        frames = {int(i): self._block(int(i), int(i) + 1)[0] for i in np.unique(chosen)}
        return np.stack([frames[int(i)] for i in chosen]) if len(chosen) else self._none()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def __reduce__(self):
        return ExternalMovie, (str(self.path),)

    def _none(self) -> np.ndarray:
        return np.empty((0, *self.shape[1:]), self.dtype)

    def _block(self, start: int, stop: int) -> np.ndarray:
        out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        self._go_to(start)
        for i in range(len(out)):
            out[i] = self._decoded(start + i).to_ndarray(format=self.format)
        return out

    def _decoded(self, frame: int) -> av.VideoFrame:
        try:
            picture = next(self._frames)
        except StopIteration:
            msg = f"the external movie {self.path} has {len(self)} frames, {frame} can be decoded."
            raise ValueError(msg) from None
        except av.FFmpegError as error:
            msg = f"frame {frame} of the external movie {self.path} cannot be decoded: {error}."
            raise ValueError(msg) from None
        self._next = frame + 1
        return picture

    def _go_to(self, frame: int) -> None:
        """Make `frame` the next one that is decoded."""
        if self._frames is None or not self._next <= frame < self._next + NEAR:
            self._restart(frame)
        while self._next < frame:
            self._decoded(self._next)

    def _restart(self, frame: int) -> None:
        if self._container is not None:
            self._container.close()
        self._container = _opened(self.path)
        video = self._container.streams.video[0]
        video.thread_type = "AUTO"
        self._frames, self._next = self._container.decode(video), 0
        if self._stamps is None or frame < NEAR:
            return
        self._container.seek(self._stamps[frame], stream=video)
        first = next(self._container.decode(video), None)
        if first is None or first.pts not in self._stamps or first.pts > self._stamps[frame]:
            self._stamps = None  # Its times lead nowhere: decode from the start.
            self._restart(frame)
            return
        self._container.seek(self._stamps[frame], stream=video)
        self._frames = self._container.decode(video)
        self._next = self._stamps.index(first.pts)


def _opened(path: Path) -> Any:
    """Open a local file that holds a video, and nothing that it may point to.

    Raises
    ------
    ValueError
        If there is no such file, or it holds no video that can be decoded.
    """
    if not path.is_file():
        msg = f"the external movie {path} is not there, or is no regular file."
        raise ValueError(msg)
    try:
        container = av.open(str(path.resolve()), options=LOCAL)
    except av.FFmpegError as error:
        msg = f"the external movie {path} cannot be opened: {error}."
        raise ValueError(msg) from None
    if not container.streams.video or container.streams.video[0].codec_context is None:
        container.close()
        msg = f"the external movie {path} holds no video that can be decoded here."
        raise ValueError(msg)
    return container
