"""The least that scoring on a frozen encoder can be: decode each frame once, encode each once, in batches."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import torch
import transformers

from headway.episodes import Array

BATCH = 32


def pictures(dataset: Path) -> Iterator[Array]:
    """Every frame of a LeRobot dataset of one camera, decoded in a straight loop: uint8 RGB (height, width, 3)."""
    for path in sorted((dataset / "videos").rglob("*.mp4")):
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24")


class Floor:
    """transformers' processor and tower, as its documentation has them used."""

    def __init__(self, clip: Path):
        self._processor = transformers.AutoImageProcessor.from_pretrained(clip)
        self._clip = transformers.CLIPModel.from_pretrained(clip).eval()

    def prepare(self, batch: list[Array]) -> Any:
        return self._processor(images=batch, return_tensors="pt", input_data_format="channels_last")

    @torch.inference_mode()
    def encode(self, inputs: Any) -> Array:
        return self._clip.get_image_features(**inputs).pooler_output.numpy()

    def run(self, dataset: Path) -> int:
        """Decode and encode every frame once; how many there were."""
        batch: list[Array] = []
        done = 0
        for picture in pictures(dataset):
            batch.append(picture)
            if len(batch) == BATCH:
                self.encode(self.prepare(batch))
                done, batch = done + BATCH, []
        if batch:
            self.encode(self.prepare(batch))
        return done + len(batch)
