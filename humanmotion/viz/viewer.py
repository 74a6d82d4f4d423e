"""A live viewer in the browser, served by viser: skinned bodies, floor, cameras, a timeline."""

from __future__ import annotations

import io
import math
import threading
import time
from collections.abc import Sequence
from contextlib import redirect_stdout

import numpy as np
import viser

from humanmotion.body import BodyModel
from humanmotion.camera import Camera
from humanmotion.errors import UsageError
from humanmotion.motion import Motion
from humanmotion.viz.actor import Actor, frame_at
from humanmotion.viz.mesh import Array

BESIDE_METRES = 1.4
_FRUSTUM_METRES = 0.25
_FLOOR_METRES = 30.0
_TICK_SECONDS = 1 / 60


def serve(
    motions: Sequence[tuple[Motion, BodyModel]],
    *,
    names: Sequence[str] | None = None,
    cameras: Sequence[Camera | None] | None = None,
    side_by_side: bool = False,
    host: str = "127.0.0.1",
    port: int = 8080,
) -> Viewer:
    """Serve motions, in one world, to browsers; returns at once. Close the viewer when done.

    `cameras` are the motions' own (None: it has none), of one frame or one for each of the motion's
    frames. `port` is the first to try: when it is taken, the next free one is (see `Viewer.url`).
    Facial expression is not shown. Raises UsageError: no motion, an empty one, or counts that do
    not agree.
    """
    names = [f"person {i + 1}" for i in range(len(motions))] if names is None else names
    if not motions or any(not len(motion) for motion, _ in motions):
        raise UsageError("no motion to view, or one without frames; give at least one frame")
    if len(names) != len(motions):
        raise UsageError(f"{len(names)} names for {len(motions)} motions; give one name each")
    cameras = [None] * len(motions) if cameras is None else cameras
    if len(cameras) != len(motions):
        raise UsageError(
            f"{len(cameras)} cameras for {len(motions)} motions; give one each or None"
        )
    for name, camera, (motion, _) in zip(names, cameras, motions, strict=True):
        if camera is not None and len(camera) not in (1, len(motion)):
            raise UsageError(
                f"the camera of {name} has {len(camera)} frames, its motion {len(motion)}; "
                "give one camera pose, or one a frame"
            )
    # viser prints where it serves; what a command prints on stdout is its result.
    with redirect_stdout(io.StringIO()):
        server = viser.ViserServer(host=host, port=port, label="humanmotion", verbose=False)
    return Viewer(server, motions, names, cameras=cameras, side_by_side=side_by_side)


class Viewer:
    """A running viewer; made by `serve`."""

    def __init__(
        self,
        server: viser.ViserServer,
        motions: Sequence[tuple[Motion, BodyModel]],
        names: Sequence[str],
        *,
        cameras: Sequence[Camera | None],
        side_by_side: bool,
    ) -> None:
        self._server = server
        self._actors = [
            Actor(server, motion, body, name=name, number=number)
            for number, ((motion, body), name) in enumerate(zip(motions, names, strict=True))
        ]
        self.start = min(actor.times[0] for actor in self._actors)
        """Seconds: the earliest frame of all motions."""
        self.end = max(actor.times[-1] for actor in self._actors)
        """Seconds: the last frame of all motions."""
        self._closed = threading.Event()
        self._add_world()
        self._lenses = [
            None if camera is None else _Lens(server, camera, times=actor.times, number=number)
            for number, (camera, actor) in enumerate(zip(cameras, self._actors, strict=True))
        ]
        self._add_controls(max(motion.fps for motion, _ in motions), side_by_side)
        self._arrange()
        self.show(self.start)
        self._player = threading.Thread(target=self._play, name="motion player", daemon=True)
        self._player.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.get_port())

    @property
    def url(self) -> str:
        """What to open in a browser."""
        return f"http://{self._server.get_host()}:{self.port}"

    def show(self, seconds: float) -> None:
        """Put everything where it is at a time, in the motions' own seconds."""
        self._now = seconds
        self._slider.value = round(seconds, 2)  # type: ignore[misc]  # settable, says viser
        self._put(seconds)

    def _put(self, seconds: float) -> None:
        with self._server.atomic():
            for actor, lens in zip(self._actors, self._lenses, strict=True):
                actor.show(seconds)
                if lens is not None:
                    lens.show(seconds)

    def wait(self) -> None:
        """Return when the viewer is closed; an interrupt (Ctrl-C) ends the wait as usual."""
        while not self._closed.wait(0.5):
            pass

    def close(self) -> None:
        """Stop playing and serving."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._player.join()
        with redirect_stdout(io.StringIO()):
            self._server.stop()

    def _add_world(self) -> None:
        scene = self._server.scene
        scene.set_up_direction("+z")
        scene.add_grid(
            "/floor", width=_FLOOR_METRES, height=_FLOOR_METRES, plane="xy", cell_size=0.5,
            section_size=1.0, fade_distance=_FLOOR_METRES,
        )  # fmt: skip
        tracks = np.concatenate([actor.places[:, 0] for actor in self._actors])
        low, high = tracks.min(0), tracks.max(0)
        middle, away = (low + high) / 2, 2.8 + 0.6 * float(np.linalg.norm((high - low)[:2]))
        self._server.initial_camera.look_at = tuple(middle)
        eye = middle + away * self._actors[0].facing + np.array((0.0, 0.0, 0.25 * away))
        self._server.initial_camera.position = tuple(eye)

    def _add_controls(self, fps: float, side_by_side: bool) -> None:
        gui = self._server.gui
        self._playing = gui.add_checkbox("Play", False)
        self._slider = gui.add_slider(
            "Time (s)",
            min=self.start,
            max=max(self.end, self.start + 1 / fps),
            step=0.01,
            initial_value=self.start,
        )
        self._speed = gui.add_slider("Speed", min=0.1, max=2.0, step=0.1, initial_value=1.0)
        self._mesh = gui.add_checkbox("Body", True)
        self._skeleton = gui.add_checkbox("Skeleton", False)
        self._frusta = gui.add_checkbox("Camera", True, visible=any(self._lenses))
        several = len(self._actors) > 1
        self._beside = gui.add_checkbox("Side by side", side_by_side and several, visible=several)
        self._slider.on_update(self._seek)
        for control in (self._mesh, self._skeleton, self._frusta, self._beside):
            control.on_update(lambda event: self._arrange())

    def _arrange(self) -> None:
        """Apply what is ticked."""
        across = np.cross(self._actors[0].facing, (0.0, 0.0, 1.0))
        with self._server.atomic():
            for number, (actor, lens) in enumerate(zip(self._actors, self._lenses, strict=True)):
                place = (number - (len(self._actors) - 1) / 2) * BESIDE_METRES
                offset = -across * place * self._beside.value
                actor.arrange(mesh=self._mesh.value, skeleton=self._skeleton.value, offset=offset)
                if lens is not None:
                    lens.arrange(visible=self._frusta.value, offset=offset)

    def _seek(self, event: viser.GuiEvent[viser.GuiSliderHandle[float]]) -> None:
        # The player moves the slider too; only a browser's own move sets the time.
        if event.client is not None:
            self._now = self._slider.value
            self._put(self._now)

    def _play(self) -> None:
        before = time.perf_counter()
        while not self._closed.wait(_TICK_SECONDS):
            now = time.perf_counter()
            if self._playing.value:
                following = self._now + (now - before) * self._speed.value
                self.show(self.start if following > self.end else following)
            before = now


class _Lens:
    """The camera of one motion as a frustum, beside its person."""

    def __init__(
        self, server: viser.ViserServer, camera: Camera, *, times: Array, number: int
    ) -> None:
        self._camera, self._times = camera, times
        self._group = server.scene.add_frame(f"/cameras/{number}", show_axes=False)
        self.frustum = server.scene.add_camera_frustum(
            f"{self._group.name}/frustum",
            fov=2 * math.atan(camera.height / (2 * float(camera.K[0, 1, 1]))),
            aspect=camera.width / camera.height,
            scale=_FRUSTUM_METRES,
            color=(224, 138, 46),
        )
        """The handle of the drawn pyramid."""

    def show(self, seconds: float) -> None:
        """Stand where the camera stood at a time."""
        frame = frame_at(self._times, seconds) if len(self._camera) > 1 else 0
        one = self._camera[frame : frame + 1]
        turn = viser.transforms.SO3.from_matrix(one.R_w2c[0].T.double().cpu().numpy())
        self.frustum.wxyz = turn.wxyz
        self.frustum.position = one.centre[0].cpu().numpy()

    def arrange(self, *, visible: bool, offset: Array) -> None:
        """Show or hide it, and move it by `offset` `(3)` metres."""
        self._group.visible = visible
        self._group.position = offset
