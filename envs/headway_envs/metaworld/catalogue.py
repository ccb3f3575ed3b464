"""Meta-World's 50 tasks, with what was measured once of its experts, so that the scale of progress is fixed.

`measuring.measure_task` recomputes proportions and the expert's successes from the same layouts: seeds 0 to 49, at
most 500 steps, done when the criterion held for 3, metaworld 3.1.1. Proportions are the medians, over the successful
episodes, of how long each stage lasted, divided by their sum and rounded to 0.01. Geometry (contact, grip, tool) is
the median over 24 layouts at the step at which the thing, or what a tool acts on, first moved; approach and clearance
are how high hand and thing were carried, given only where a straight way is blocked. Tolerances are Meta-World's.
"""

from headway.errors import UnknownName
from headway_envs.metaworld.task import MetaWorldTask

_TASKS = (
    MetaWorldTask(
        "assembly",
        ("reach", "grasp", "fit"),
        (0.27, 0.07, 0.66),
        (50, 50),
        0.02,
        contact=(-0.012, 0.0, 0.045),
        grip=0.54,
        clearance=0.19,
    ),
    MetaWorldTask(
        "basketball",
        ("reach", "place"),
        (0.33, 0.67),
        (50, 50),
        0.08,
        contact=(0.004, 0.0, 0.038),
        grip=0.68,
        clearance=0.319,
    ),
    MetaWorldTask(
        "bin-picking",
        ("reach", "grasp", "place"),
        (0.29, 0.15, 0.56),
        (50, 50),
        0.05,
        contact=(-0.002, 0.001, 0.04),
        grip=0.53,
        clearance=0.145,
    ),
    MetaWorldTask(
        "box-close",
        ("reach", "close"),
        (0.54, 0.46),
        (43, 50),
        0.08,
        contact=(0.001, -0.004, 0.067),
        grip=0.35,
        clearance=0.087,
    ),
    MetaWorldTask("button-press", ("reach", "press"), (0.78, 0.22), (50, 50), 0.02, contact=(0.0, -0.05, -0.063)),
    MetaWorldTask(
        "button-press-topdown", ("reach", "press"), (0.85, 0.15), (50, 50), 0.024, contact=(0.0, -0.002, 0.049)
    ),
    MetaWorldTask(
        "button-press-topdown-wall", ("reach", "press"), (0.84, 0.16), (50, 50), 0.024, contact=(0.001, -0.052, 0.044)
    ),
    MetaWorldTask(
        "button-press-wall",
        ("reach", "press"),
        (0.72, 0.28),
        (50, 50),
        0.03,
        contact=(0.0, -0.036, 0.033),
        approach=0.15,
    ),
    MetaWorldTask("coffee-button", ("reach", "press"), (0.89, 0.11), (50, 50), 0.02, contact=(0.002, -0.049, -0.07)),
    MetaWorldTask(
        "coffee-pull",
        ("reach", "grasp", "pull"),
        (0.62, 0.06, 0.32),
        (50, 50),
        0.07,
        contact=(-0.002, -0.002, 0.072),
        grip=0.62,
    ),
    MetaWorldTask(
        "coffee-push",
        ("reach", "grasp", "push"),
        (0.68, 0.15, 0.17),
        (50, 50),
        0.07,
        contact=(0.011, 0.001, 0.063),
        grip=0.6,
        approach=0.17,
    ),
    MetaWorldTask(
        "dial-turn", ("reach", "turn"), (0.44, 0.56), (50, 50), 0.07, contact=(0.053, 0.005, 0.091), slack=0.04
    ),
    MetaWorldTask(
        "disassemble",
        ("reach", "grasp", "lift"),
        (0.35, 0.08, 0.57),
        (46, 50),
        0.0,
        contact=(-0.011, -0.002, 0.04),
        grip=0.53,
    ),
    MetaWorldTask(
        "door-close", ("reach", "close"), (0.64, 0.36), (50, 50), 0.08, contact=(-0.039, 0.063, -0.024), slack=0.05
    ),
    MetaWorldTask(
        "door-lock", ("reach", "lock"), (0.76, 0.24), (50, 50), 0.02, contact=(-0.02, -0.024, 0.041), approach=0.16
    ),
    MetaWorldTask("door-open", ("reach", "open"), (0.42, 0.58), (48, 50), 0.08, contact=(0.05, 0.035, 0.0), slack=0.07),
    MetaWorldTask("door-unlock", ("reach", "unlock"), (0.58, 0.42), (50, 50), 0.02, contact=(-0.02, -0.015, -0.025)),
    MetaWorldTask(
        "drawer-close",
        ("reach", "close"),
        (0.66, 0.34),
        (50, 50),
        0.065,
        contact=(0.004, -0.035, -0.03),
        approach=0.25,
        slack=0.045,
    ),
    MetaWorldTask(
        "drawer-open", ("reach", "open"), (0.77, 0.23), (50, 50), 0.03, contact=(-0.001, -0.019, -0.017), approach=0.22
    ),
    MetaWorldTask(
        "faucet-close", ("reach", "turn"), (0.58, 0.42), (50, 50), 0.07, contact=(0.022, 0.041, 0.021), slack=0.045
    ),
    MetaWorldTask(
        "faucet-open", ("reach", "turn"), (0.64, 0.36), (50, 50), 0.07, contact=(-0.022, 0.035, 0.024), slack=0.045
    ),
    MetaWorldTask(
        "hammer",
        ("reach", "grasp", "hammer"),
        (0.3, 0.12, 0.58),
        (50, 50),
        0.09,
        contact=(-0.028, 0.001, 0.037),
        grip=0.56,
        tool=(-0.159, -0.089, 0.013),
    ),
    MetaWorldTask(
        "hand-insert",
        ("reach", "grasp", "insert"),
        (0.37, 0.15, 0.48),
        (50, 50),
        0.05,
        contact=(0.003, 0.0, 0.041),
        grip=0.44,
    ),
    MetaWorldTask(
        "handle-press", ("reach", "press"), (0.57, 0.43), (50, 50), 0.02, contact=(0.002, -0.015, 0.016), approach=0.07
    ),
    MetaWorldTask(
        "handle-press-side",
        ("reach", "press"),
        (0.7, 0.3),
        (50, 50),
        0.02,
        contact=(0.002, 0.006, 0.026),
        approach=0.11,
    ),
    MetaWorldTask("handle-pull", ("reach", "pull"), (0.25, 0.75), (50, 50), 0.05, contact=(0.003, -0.038, 0.021)),
    MetaWorldTask(
        "handle-pull-side",
        ("reach", "grasp", "pull"),
        (0.29, 0.19, 0.52),
        (50, 50),
        0.08,
        contact=(-0.002, -0.001, 0.034),
        grip=0.68,
    ),
    MetaWorldTask("lever-pull", ("reach", "pull"), (0.22, 0.78), (50, 50), 0.1309, contact=(0.014, -0.054, -0.116)),
    MetaWorldTask(
        "peg-insert-side",
        ("reach", "grasp", "insert"),
        (0.49, 0.08, 0.43),
        (46, 50),
        0.07,
        contact=(0.008, -0.004, 0.025),
        grip=0.35,
        approach=0.26,
        clearance=0.128,
    ),
    MetaWorldTask(
        "peg-unplug-side",
        ("reach", "unplug"),
        (0.5, 0.5),
        (48, 50),
        0.07,
        contact=(0.0, 0.004, 0.01),
        grip=0.97,
        approach=0.12,
    ),
    MetaWorldTask(
        "pick-out-of-hole",
        ("reach", "grasp", "carry"),
        (0.3, 0.47, 0.23),
        (50, 50),
        0.07,
        contact=(0.0, 0.002, 0.027),
        grip=0.51,
    ),
    MetaWorldTask(
        "pick-place",
        ("reach", "grasp", "carry"),
        (0.45, 0.17, 0.38),
        (50, 50),
        0.07,
        contact=(0.001, -0.001, 0.037),
        grip=0.5,
    ),
    MetaWorldTask(
        "pick-place-wall",
        ("reach", "grasp", "carry"),
        (0.26, 0.07, 0.67),
        (50, 50),
        0.07,
        contact=(0.002, 0.001, 0.038),
        grip=0.5,
        clearance=0.236,
    ),
    MetaWorldTask("plate-slide", ("reach", "slide"), (0.39, 0.61), (50, 50), 0.07, contact=(0.0, -0.049, 0.058)),
    MetaWorldTask("plate-slide-back", ("reach", "slide"), (0.52, 0.48), (50, 50), 0.07, contact=(0.003, -0.064, 0.057)),
    MetaWorldTask(
        "plate-slide-back-side", ("reach", "slide"), (0.53, 0.47), (50, 50), 0.07, contact=(0.023, -0.001, 0.059)
    ),
    MetaWorldTask("plate-slide-side", ("reach", "slide"), (0.38, 0.62), (50, 50), 0.07, contact=(0.067, 0.002, 0.032)),
    MetaWorldTask(
        "push", ("reach", "grasp", "push"), (0.54, 0.14, 0.32), (50, 50), 0.05, contact=(0.001, 0.002, 0.033), grip=0.52
    ),
    MetaWorldTask(
        "push-back",
        ("reach", "grasp", "pull"),
        (0.7, 0.16, 0.14),
        (47, 50),
        0.07,
        contact=(0.007, -0.011, 0.045),
        grip=0.6,
        approach=0.25,
    ),
    MetaWorldTask(
        "push-wall",
        ("reach", "grasp", "push"),
        (0.34, 0.11, 0.55),
        (50, 50),
        0.07,
        contact=(0.0, 0.002, 0.033),
        grip=0.52,
    ),
    MetaWorldTask("reach", ("reach",), (1.0,), (50, 50), 0.05),
    MetaWorldTask("reach-wall", ("reach",), (1.0,), (50, 50), 0.05),
    MetaWorldTask(
        "shelf-place",
        ("reach", "grasp", "place"),
        (0.31, 0.09, 0.6),
        (48, 50),
        0.07,
        contact=(0.003, 0.001, 0.044),
        grip=0.43,
        clearance=0.277,
    ),
    MetaWorldTask("soccer", ("reach", "push"), (0.31, 0.69), (44, 50), 0.07, contact=(0.0, 0.001, 0.023), slack=0.05),
    MetaWorldTask(
        "stick-pull",
        ("reach", "grasp", "pull"),
        (0.16, 0.06, 0.78),
        (42, 50),
        0.12,
        contact=(-0.007, 0.002, 0.039),
        grip=0.43,
        tool=(-0.056, 0.004, -0.006),
    ),
    MetaWorldTask(
        "stick-push",
        ("reach", "grasp", "push"),
        (0.3, 0.1, 0.6),
        (50, 50),
        0.12,
        contact=(0.025, 0.001, 0.043),
        grip=0.43,
        tool=(-0.105, 0.008, -0.042),
    ),
    MetaWorldTask(
        "sweep",
        ("reach", "grasp", "sweep"),
        (0.34, 0.08, 0.58),
        (50, 50),
        0.05,
        contact=(0.007, 0.001, 0.053),
        grip=0.54,
    ),
    MetaWorldTask(
        "sweep-into",
        ("reach", "grasp", "sweep"),
        (0.45, 0.07, 0.48),
        (46, 50),
        0.05,
        contact=(-0.002, 0.002, 0.03),
        grip=0.54,
    ),
    MetaWorldTask(
        "window-close", ("reach", "slide"), (0.75, 0.25), (50, 50), 0.05, contact=(0.021, -0.025, -0.094), approach=0.27
    ),
    MetaWorldTask(
        "window-open", ("reach", "slide"), (0.75, 0.25), (50, 50), 0.05, contact=(-0.002, -0.027, -0.094), approach=0.32
    ),
)

METAWORLD_TASKS: dict[str, MetaWorldTask] = {task.id: task for task in _TASKS}


def find_metaworld_task(task_id: str) -> MetaWorldTask:
    """The task with that id. Raises UnknownName, which lists the ids."""
    if task_id not in METAWORLD_TASKS:
        raise UnknownName("Meta-World task", task_id, METAWORLD_TASKS)
    return METAWORLD_TASKS[task_id]
