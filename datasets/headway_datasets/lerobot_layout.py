"""Where LeRobot v3 keeps things, and what Headway adds: names shared by the reader and the writer.

Added by Headway: features `truth.*` (one value a frame), the episode columns `success` and `kind`, and
`meta/headway.json` with the stages that the truth counts; after filtering also the episode column `recording`, which
tells what a cut piece was recorded as. LeRobot itself opens the dataset unchanged.
"""

VERSION = "v3.0"

INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
EPISODES = "meta/episodes"
EPISODES_FILE = "meta/episodes/chunk-000/file-000.parquet"
HEADWAY = "meta/headway.json"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
FILES_IN_CHUNK = 1000
RECORDING = "recording"

CAMERA_PREFIX = "observation.images."
STATE = "observation.state"
ENVIRONMENT_STATE = "observation.environment_state"
ACTION = "action"
TRUTH_PROGRESS = "truth.progress"
TRUTH_STAGE = "truth.stage"
TRUTH_SUCCESS = "truth.success"
TRUTH_IMPERFECTION = "truth.imperfection"
TRUTH_VALUE = "truth.value"
TRUTH_VALUE_INTERVAL = "truth.value_interval"

# an episode's marks are kept at two granularities, in columns and files of the same names but for these words
SPARSE = "sparse"
DENSE = "dense"
GRANULARITIES = (SPARSE, DENSE)
PROPORTIONS = "meta/temporal_proportions_{granularity}.json"
SUBTASK_NAMES = "subtask_names"
SUBTASK_STARTS = "subtask_start_frames"
SUBTASK_ENDS = "subtask_end_frames"
SUBTASK_START_TIMES = "subtask_start_times"
SUBTASK_END_TIMES = "subtask_end_times"
