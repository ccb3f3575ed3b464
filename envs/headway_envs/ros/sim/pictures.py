"""What the simulated cameras see, drawn outside of the thread that moves the arm."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass

import cv2
import numpy as np

from headway.episodes import Array
from headway_envs.rendering import FrameRenderer, mujoco
from headway_envs.ros.messages import compressed_image, image
from headway_envs.ros.sim.options import SimOptions, image_topic
from headway_envs.ros.transport import Message

Publish = Callable[[str, Message], None]
_SPARE = 64
"""Pixels by which the pattern of noise is larger than a picture: it lies elsewhere in every picture."""


@dataclass(frozen=True)
class Scene:
    """Everything to be drawn at one moment.

    Attributes:
        model, data: MuJoCo's, the data with its places up to date; not changed while it is drawn.
        stamp: when that was, seconds.
    """

    model: mujoco.MjModel
    data: mujoco.MjData
    stamp: float


class Photographer:
    """Draws scenes. It belongs to the thread that first uses it, as OpenGL has it.

    Args:
        options: cameras, size, quality, noise.
        seed: of the noise. The same scenes in the same order give the same bytes.
    """

    def __init__(self, options: SimOptions, seed: int):
        self._options = options
        self._random = np.random.default_rng([seed, 8])
        size = (options.height + _SPARE, options.width + _SPARE, 3)
        self._noise = np.clip(np.rint(self._random.normal(0, options.noise, size)), -127, 127).astype(np.int16)
        self._renderer: FrameRenderer | None = None
        self._shown: mujoco.MjModel | None = None

    def show(self, model: mujoco.MjModel) -> None:
        """Draw this model from now on. Raises Unsupported when the machine cannot draw."""
        if self._renderer is None:
            self._renderer = FrameRenderer(model, self._options.height, self._options.width)
        elif model is not self._shown:
            self._renderer.show(model)
        self._shown = model

    def take(self, scene: Scene) -> Iterator[tuple[str, Message]]:
        """Topic and message of each camera's picture, one after the other."""
        self.show(scene.model)
        assert self._renderer is not None
        for camera in self._options.cameras:
            picture = self._noisy(self._renderer.frame(scene.data, camera))
            topic, frame_id = image_topic(camera), f"{camera}_camera"
            quality = [cv2.IMWRITE_JPEG_QUALITY, self._options.quality]
            _, stored = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), quality)
            yield f"{topic}/compressed", compressed_image(stored.tobytes(), "jpeg", scene.stamp, frame_id)
            if self._options.raw:
                yield topic, image(picture, scene.stamp, frame_id)

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
        self._renderer = self._shown = None

    def _noisy(self, picture: Array) -> Array:
        if not self._options.noise:
            return picture
        height, width, _ = picture.shape
        top, left = self._random.integers(_SPARE, size=2)
        noise = self._noise[top : top + height, left : left + width]
        return cv2.add(picture, noise, dtype=cv2.CV_8U)  # saturates


class Darkroom:
    """A thread that draws the newest scene it was handed, and leaves out what it has no time for.

    Args:
        photographer: not used by anybody else.
        publish: takes topic and message.

    Attributes:
        thread: itself, once started.
        left_out: how many scenes were not drawn.
    """

    def __init__(self, photographer: Photographer, publish: Publish):
        self._photographer, self._publish = photographer, publish
        self._wake = threading.Condition()
        self._waiting: Scene | None = None
        self._spare: Scene | None = None
        self._ended = False
        self._ready: Future[None] = Future()
        self.thread: threading.Thread | None = None
        self.left_out = 0

    def start(self, model: mujoco.MjModel) -> None:
        """Raises Unsupported when the machine cannot draw."""
        self.thread = threading.Thread(target=self._run, args=(model,), name="headway-sim-pictures", daemon=True)
        self.thread.start()
        self._ready.result()

    def close(self) -> None:
        with self._wake:
            self._ended = True
            self._wake.notify()
        if self.thread is not None:
            self.thread.join(5)

    def hand(self, model: mujoco.MjModel, data: mujoco.MjData, stamp: float) -> None:
        """Have a copy of this drawn, instead of what still waits. Takes as long as the copy does."""
        with self._wake:
            self.left_out += self._waiting is not None
            own = self._waiting or self._spare
            self._waiting = self._spare = None
        copy = own.data if own is not None and own.model is model else mujoco.MjData(model)
        mujoco.mj_copyData(copy, model, data)
        with self._wake:
            self._waiting = Scene(model, copy, stamp)
            self._wake.notify()

    def _next(self) -> Scene | None:
        with self._wake:
            self._wake.wait_for(lambda: self._ended or self._waiting is not None)
            scene, self._waiting = self._waiting, None
            return None if self._ended else scene

    def _run(self, model: mujoco.MjModel) -> None:
        try:
            self._photographer.show(model)
        except Exception as error:  # noqa: BLE001 - told to whoever started this thread
            self._ready.set_exception(error)
            return
        self._ready.set_result(None)
        while (scene := self._next()) is not None:
            for topic, message in self._photographer.take(scene):
                self._publish(topic, message)
            with self._wake:
                self._spare = scene
        self._photographer.close()
