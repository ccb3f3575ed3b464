"""Progress and reward of pictures taken in turn, from `headway serve`; its key is taken from HEADWAY_SERVE_KEY.
python examples/reward_client.py http://127.0.0.1:8008 "tidy the drawer" front frame*.jpg
"""

import json
import os
import sys
from base64 import b64encode
from pathlib import Path
from urllib import error, request

URL, INSTRUCTION, CAMERA, *PICTURES = sys.argv[1:]
HEADERS = {"Authorization": f"Bearer {os.environ['HEADWAY_SERVE_KEY']}", "Content-Type": "application/json"}


def ask(method: str, path: str, content: object = None) -> dict:
    try:
        with request.urlopen(
            request.Request(URL + path, json.dumps(content).encode(), HEADERS, method=method)
        ) as answer:
            return json.loads(answer.read() or "{}")
    except error.HTTPError as refused:
        sys.exit(json.load(refused)["detail"])


session = "/v1/sessions/" + ask("POST", "/v1/sessions", {"instruction": INSTRUCTION, "fps": 10, "gamma": 0.99})["id"]
for name in PICTURES:
    told = ask("POST", f"{session}/frames", {"cameras": {CAMERA: b64encode(Path(name).read_bytes()).decode()}})
    print(f"{name}: progress {told['progress']}, success {told['success']}, reward {told['reward']:+.4f}")
ask("DELETE", session)
