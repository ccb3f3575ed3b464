"""A dataset in, tables out: each episode's part is kept as soon as it is known, so a run cut short resumes.

run.py       the whole of it: what is left to do, an engine that does it, the tables
episode.py   one episode scored: its frames' rows, and its own
local.py     the engine that works in this process
decoding*    pictures decoded ahead of it, in processes of their own
ray_*        the engine that works on many machines
parts.py     what is kept of a run under way, an episode each
merging.py   parts, or shards, into the tables of a SCORES folder
shards.py    what shards have in common, and what is missing
ranking.py   which episode is best
"""

from headway.scoring.engine import Engine, Work
from headway.scoring.options import ScoreOptions
from headway.scoring.parts import PARTS
from headway.scoring.ranking import ranked
from headway.scoring.run import is_finished, score

__all__ = ["PARTS", "Engine", "ScoreOptions", "Work", "is_finished", "ranked", "score"]
