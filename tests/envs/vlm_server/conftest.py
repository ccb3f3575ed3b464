"""Requests over real HTTP, written by hand: the server is checked against the protocol, not against our own client."""

import base64
import json

import cv2
import httpx
import numpy as np
import pytest

CLIENT = httpx.Client(trust_env=False)  # one for all requests: each new one reads the system's certificates
ASK_FRAMES = (
    'Judge the frames {labels}. Answer with JSON only: {{"frames": [{{"frame": N, "description": "...", '
    '"completion": 0-100}}]}}'
)


def text(words):
    return {"type": "text", "text": words}


class Asker:
    """Asks a server. Each method gives the HTTP response."""

    def __init__(self, server, model="slider", form="png"):
        self.url, self.model, self.form = f"{server.base_url}/chat/completions", model, form

    def image(self, pixels):
        _, data = cv2.imencode(f".{self.form}", np.ascontiguousarray(pixels[:, :, ::-1]))
        url = f"data:image/{self.form};base64,{base64.b64encode(data.tobytes()).decode()}"
        return {"type": "image_url", "image_url": {"url": url}}

    def ask(self, parts, timeout=10.0, **parameters):
        body = {"model": self.model, "messages": [{"role": "user", "content": parts}], **parameters}
        return CLIENT.post(self.url, json=body, timeout=timeout)

    def frames(self, pictures, anchor=None, labels=None, wanted=None, **parameters):
        """Asks about labelled pictures, numbered from 1 unless told, after an anchor if there is one."""
        labels = labels or range(1, len(pictures) + 1)
        parts = [text("The scene at 0 %:"), self.image(anchor)] if anchor is not None else []
        for label, picture in zip(labels, pictures, strict=True):
            parts += [text(f"\nFrame {label}:"), self.image(picture)]
        parts.append(text(ASK_FRAMES.format(labels=", ".join(map(str, wanted or labels)))))
        return self.ask(parts, **parameters)

    def stages(self, pictures, subtasks, **parameters):
        """Asks which subtask is under way in each picture, after the first one as the anchor."""
        parts = [text("The scene at the beginning:"), self.image(pictures[0])]
        for label, picture in enumerate(pictures):
            parts += [text(f"\nFrame {label}:"), self.image(picture)]
        labels = ", ".join(map(str, range(len(pictures))))
        words = f"\nSubtasks, in order: {'; '.join(subtasks)}.\nFor each of the frames {labels} say which is under way."
        return self.ask([*parts, text(words + ' JSON only: {"stages": [{"frame": N, "stage": "..."}]}')], **parameters)

    def prefix(self, pictures, words, **parameters):
        """Asks about pictures in order of time."""
        parts = []
        for label, picture in enumerate(pictures, start=1):
            parts += [text(f"\nFrame {label}:"), self.image(picture)]
        return self.ask([*parts, text(words)], **parameters)

    def pair(self, anchor, first, second, words):
        parts = [text("Before:"), self.image(anchor), text("Frame 1:"), self.image(first)]
        return self.ask([*parts, text("Frame 2:"), self.image(second), text(words)])


def choice(response):
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]


def content(response):
    return choice(response)["message"]["content"]


def entries(response):
    return json.loads(content(response))["frames"]


def completions(response):
    """Label -> completion."""
    return {entry["frame"]: entry["completion"] for entry in entries(response)}


@pytest.fixture
def asker():
    return Asker


@pytest.fixture
def say():
    """What is in a response."""
    return {"choice": choice, "content": content, "entries": entries, "completions": completions}


@pytest.fixture(scope="session")
def slide(session_sliders):
    """Pictures of the toy task, in order of time, no two alike."""
    frames = np.stack(list(session_sliders(1)[0].camera("top")))
    return [frames[number] for number in range(0, len(frames) - 6, 4)] + [frames[-1]]


@pytest.fixture
def shuffled(slide):
    """The pictures in a random order and, of each, its place in time."""
    order = np.random.default_rng(3).permutation(len(slide))
    return [slide[place] for place in order], order
