"""A stand-in for a vision-language model: a local server with OpenAI's protocol that reads the pixels it is sent."""

from headway_envs.vlm_server.questions import Kind
from headway_envs.vlm_server.readers import READERS
from headway_envs.vlm_server.script import Fault, Manner, Script
from headway_envs.vlm_server.server import PixelServer, Served, serving

__all__ = ["READERS", "Fault", "Kind", "Manner", "PixelServer", "Script", "Served", "serving"]
