"""A dataset in, tables out: each episode's part is kept as soon as it is known, so a run cut short resumes.

run.py       the whole of it: what is left to do, an engine that does it, the tables
episode.py   one episode scored: its frames' rows, and its own
local.py     the engine that works in this process
parts.py     what is kept of a run under way, an episode each
merging.py   parts into the tables of a SCORES folder; shards of a dataset into one
ranking.py   which episode is best
"""

from headway.scoring.engine import Engine, Work
from headway.scoring.options import ScoreOptions
from headway.scoring.parts import PARTS
from headway.scoring.ranking import ranked
from headway.scoring.run import is_finished, score

__all__ = ["PARTS", "Engine", "ScoreOptions", "Work", "is_finished", "ranked", "score"]
