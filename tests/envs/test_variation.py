import colorsys
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headway.errors import UnknownName
from headway_envs.rendering import FrameRenderer, mujoco
from headway_envs.scene import scene_spec
from headway_envs.simulator import Simulator
from headway_envs.tasks import TASKS
from headway_envs.tasks.base import CUBE
from headway_envs.variation import LEVELS, PLAIN, dress, look
from headway_envs.variation.colours import HUES, name_of, tinted
from headway_envs.variation.levels import FACTORS, MILD, ONE_FACTOR, OOD
from headway_envs.variation.patterns import PATTERNS, SIDE, texture

VARIED = [level for level in LEVELS if level != "none"]
STACK, DRAWER = TASKS["stack-three"], TASKS["tidy-drawer"]
NAMED = {"red": (0.85, 0.1, 0.1), "blue": (0.1, 0.25, 0.85), "green": (0.1, 0.6, 0.2)}


@pytest.fixture(scope="module")
def looks():
    return {level: [look(level, seed) for seed in range(500)] for level in LEVELS}


def compiled(scene, worn, robot="gripper"):
    spec = scene_spec(robot, scene)
    dress(spec, worn)
    return spec.compile()


def picture(model, camera="front", size=84):
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    renderer = FrameRenderer(model, size, size)
    frame = renderer.frame(data, camera)
    renderer.close()
    return frame


def things_seen(simulator, size=84):
    """Which thing, or -1, each pixel of the front camera shows."""
    renderer = mujoco.Renderer(simulator.model, size, size)
    renderer.enable_segmentation_rendering()
    renderer.update_scene(simulator.data, "front")
    geoms = renderer.render()[..., 0]
    renderer.close()
    bodies = [simulator.model.body(f"object_{number}").id for number in range(len(simulator.task.objects))]
    owners = np.append(simulator.model.geom_bodyid, -1)[geoms]
    return np.select([owners == body for body in bodies], range(len(bodies)), -1)


def laid_out(simulator, worn, seed):
    """The layout of a seed in that look, with the hand out of the way."""
    layout = replace(simulator.task.layout(seed, worn.edge), hand=(0.0, 0.24, 0.26))
    simulator.reset(layout, worn)


def test_a_look_is_decided_by_level_and_seed_alone():
    for level in VARIED:
        first = look(level, 3)
        look("mild", 99)
        assert look(level, 3) == first
        assert len({look(level, seed) for seed in range(100)}) == 100
    assert look("mild", 3) != look("ood", 3)


def test_one_factor_levels_are_out_of_distribution_in_that_alone_and_together_in_all():
    fields = [field for factor in FACTORS.values() for field in factor]
    assert sorted(fields) == sorted(MILD.__dataclass_fields__)
    parts = {
        "camera": ("front", "wrist"),
        "light": ("light",),
        "texture": ("table", "floor", "wall"),
        "size": ("edge",),
        "clutter": ("distractors",),
    }
    for factor, changed in parts.items():
        alone, mild = look(f"ood-{factor}", 5), look("mild", 5)
        for part in changed:
            assert getattr(alone, part) != getattr(mild, part), (factor, part)
    # drawn first, so that nothing drawn before it moves them
    assert look("ood-clutter", 5).front == look("mild", 5).front
    assert look("ood-light", 5).table == look("mild", 5).table
    for level, spans in ONE_FACTOR.items():
        own = FACTORS[level.removeprefix("ood-")]
        assert all(getattr(spans, field) == getattr(OOD if field in own else MILD, field) for field in fields)


def test_without_variation_every_seed_looks_plain():
    assert all(look("none", seed) == PLAIN for seed in (0, 7, 2**48))
    assert PLAIN.edge == CUBE


def test_an_unknown_level_is_named_with_those_there_are():
    with pytest.raises(UnknownName, match="unknown level of variation 'wild'; available: mild, none, ood"):
        look("wild", 0)


OFF = {
    "size of cubes": lambda worn: abs(worn.edge - CUBE),
    "turn of the front camera": lambda worn: np.linalg.norm(worn.front.turn),
    "distance of the front camera": lambda worn: worn.front.shift[2],
    "turn of the wrist camera": lambda worn: np.linalg.norm(worn.wrist.turn),
    "shift of the wrist camera": lambda worn: np.linalg.norm(worn.wrist.shift),
    "direction of the lamp": lambda worn: np.linalg.norm(worn.light.turn),
    "brightness of the lamp": lambda worn: abs(worn.light.lamp[1] - 1),
    "colour of the lamp": lambda worn: abs(worn.light.lamp[0] / worn.light.lamp[1] - 1),
    "ambient light": lambda worn: abs(worn.light.ambient - 1),
    "hue of things": lambda worn: np.abs([tint.hue for tint in worn.things]),
    "saturation of things": lambda worn: np.array([1 - tint.saturation for tint in worn.things]),
    "hue of furniture": lambda worn: abs(worn.furniture.hue),
    "fineness of textures": lambda worn: -np.array([s.tile for s in (worn.table, worn.floor, worn.wall)]),
    "distractors": lambda worn: len(worn.distractors),
}


@pytest.mark.parametrize("what", OFF)
def test_out_of_distribution_begins_beyond_where_mild_ends(looks, what):
    mild, ood = (np.concatenate([np.atleast_1d(OFF[what](worn)) for worn in looks[level]]) for level in VARIED)
    assert mild.max() < ood.min()
    assert np.ptp(mild) > 0
    assert np.ptp(ood) > 0


def test_sizes_stay_within_their_ranges(looks):
    mild, ood = (np.array([worn.edge for worn in looks[level]]) for level in VARIED)
    assert 0.047 <= mild.min() < 0.048
    assert 0.052 < mild.max() <= 0.053
    assert 0.042 <= ood.min() < 0.043
    assert 0.057 < ood.max() <= 0.058
    assert not ((ood > 0.0465) & (ood < 0.0535)).any()


@pytest.mark.parametrize("part", ["table", "floor", "wall"])
def test_no_texture_out_of_distribution_is_of_a_family_or_colours_that_mild_has(looks, part):
    mild, ood = ([getattr(worn, part) for worn in looks[level]] for level in VARIED)
    assert {surface.pattern for surface in mild} == set(MILD.patterns)
    assert {surface.pattern for surface in ood} == set(OOD.patterns)
    assert not set(MILD.patterns) & set(OOD.patterns)
    assert not {surface.colours for surface in mild} & {surface.colours for surface in ood}


def test_the_names_of_colours_share_no_hue():
    spans = sorted(HUES.values())
    assert all(high + 5 <= low for (_, high), (low, _) in itertools.pairwise(spans))
    assert spans[-1][1] - 360 < spans[0][0]
    for name, colour in NAMED.items():
        assert name_of(colour) == name
    assert name_of((0.5, 0.52, 0.5)) == "grey"
    assert name_of((0.9, 0.36, 0.1)) is None, "red or orange?"


@pytest.mark.parametrize("level", VARIED)
@pytest.mark.parametrize("name", NAMED)
def test_a_thing_keeps_the_name_of_its_colour(looks, level, name):
    low, high = {"red": (-12, 10), "green": (100, 155), "blue": (212, 244)}[name]
    shades = [tinted(NAMED[name], tint) for worn in looks[level] for tint in worn.things]
    hues, saturations, values = np.array([colorsys.rgb_to_hsv(*shade) for shade in shades]).T
    hues = (hues * 360 + 180) % 360 - 180 if name == "red" else hues * 360
    assert low <= hues.min()
    assert hues.max() <= high
    assert np.ptp(hues) > (high - low) * (0.3 if level == "mild" else 0.85)
    assert saturations.min() > 0.65
    assert values.min() > 0.45


def test_a_tint_of_nothing_leaves_a_colour_and_grey_stays_grey():
    plain = replace(PLAIN.furniture)
    for colour in [*NAMED.values(), (0.25, 0.4, 0.45), (0.62, 0.62, 0.6)]:
        assert np.allclose(tinted(colour, plain), colour)
    darker = tinted((0.6, 0.6, 0.6), replace(plain, hue=0.9, brightness=0.8))
    assert np.allclose(darker, 0.48)


def test_no_distractor_has_the_colour_that_an_instruction_names(looks):
    for level in VARIED:
        colours = {distractor.colour for worn in looks[level] for distractor in worn.distractors}
        assert len(colours) > 3
        assert not {name_of(colour) for colour in colours} & {"red", "green", "blue"}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_texture_repeats_without_a_seam(looks, pattern):
    worn = next(worn for level in VARIED for worn in looks[level] if worn.table.pattern == pattern)
    pixels = texture(worn.table).astype(int)
    assert pixels.shape == (SIDE, SIDE, 3)
    assert np.array_equal(pixels, texture(worn.table))
    for rolled in (pixels, pixels.transpose(1, 0, 2)):
        steps = np.abs(rolled - np.roll(rolled, 1, axis=0)).max(axis=(1, 2))
        assert steps[0] <= steps[1:].max() + 1


@pytest.mark.parametrize("level", VARIED)
@pytest.mark.parametrize(("task_id", "robot"), [*((task_id, "gripper") for task_id in TASKS), ("tidy-drawer", "arm")])
def test_what_happens_does_not_depend_on_how_it_looks(task_id, robot, level):
    task = TASKS[task_id]
    plain, varied = Simulator(task, robot), Simulator(task, robot)
    layout = task.layout(5)
    situation = plain.reset(layout)
    varied.reset(layout, replace(look(level, 5), edge=CUBE))
    touched = 0
    for _ in range(5 * plain.fps):
        action = plain.command(task.act(situation))
        situation = plain.step(action)
        assert varied.step(action) == situation
        touched += varied.data.ncon > 0
    assert touched > 5
    assert np.array_equal(plain.save().values, varied.save().values)
    assert varied.model.ngeom > plain.model.ngeom


@pytest.mark.parametrize(("robot", "part"), [("gripper", "palm"), ("arm", "turret"), ("arm", "finger_left")])
def test_the_robot_keeps_its_colours_and_furniture_does_not(robot, part):
    model, plain = (compiled("tidy_drawer", worn, robot) for worn in (look("ood", 1), PLAIN))
    assert np.array_equal(model.geom(part).rgba, plain.geom(part).rgba)
    assert not np.allclose(model.geom("handle").rgba, plain.geom("handle").rgba, atol=0.03)


def test_nothing_that_is_added_can_be_touched():
    model, plain = (compiled("stack_three", worn) for worn in (replace(look("ood", 1), edge=CUBE), PLAIN))
    collides = [(m.geom_contype != 0) | (m.geom_conaffinity != 0) for m in (model, plain)]
    assert model.ngeom - plain.ngeom == 1 + len(look("ood", 1).distractors)
    assert collides[0].sum() == collides[1].sum()
    assert np.array_equal(model.body_mass, plain.body_mass)


def test_cubes_have_the_size_of_the_look_and_weigh_as_much_as_their_volume():
    for edge in (0.042, 0.058):
        model, plain = compiled("tidy_drawer", replace(PLAIN, edge=edge)), compiled("tidy_drawer", PLAIN)
        for name in ("object_0", "object_1"):
            assert np.allclose(model.geom(name).size, edge / 2)
            assert model.body(name).mass[0] == pytest.approx(0.08 * (edge / 0.05) ** 3)
        others = [name for body in range(plain.nbody) if not (name := plain.body(body).name).startswith("object_")]
        assert len(others) > 5
        assert all(model.body(name).mass[0] == plain.body(name).mass[0] for name in others)
        assert np.array_equal(model.geom("handle").size, plain.geom("handle").size)


def test_things_that_are_no_cubes_keep_their_size():
    worn = replace(PLAIN, edge=0.058)
    for scene in ("press_three_times", "push_to_goal", "insert_peg"):
        model, plain = compiled(scene, worn), compiled(scene, PLAIN)
        assert np.array_equal(model.geom_size, plain.geom_size)
        assert np.array_equal(model.body_mass, plain.body_mass)


def test_layouts_and_experts_know_the_size():
    worn = look("ood", 0)
    simulator = Simulator(STACK, "gripper")
    situation = simulator.reset(STACK.layout(0, worn.edge), worn)
    assert situation.edge == worn.edge
    for _ in range(15 * simulator.fps):
        situation = simulator.step(simulator.command(STACK.act(situation)))
        if STACK.success(situation):
            break
    assert STACK.success(situation)
    heights = [place[2] for place in situation.objects]
    assert np.allclose(np.diff(heights), worn.edge, atol=0.001)


@pytest.mark.parametrize("camera", ["front", "wrist"])
def test_the_plain_look_is_the_scene_as_its_file_has_it(can_draw, camera):
    assert np.array_equal(
        picture(compiled("tidy_drawer", look("none", 4)), camera),
        picture(scene_spec("gripper", "tidy_drawer").compile(), camera),
    )


@pytest.mark.parametrize("camera", ["front", "wrist"])
def test_out_of_distribution_looks_further_from_plain_than_mild_does(can_draw, camera):
    def frame(worn):
        laid_out(simulator, replace(worn, edge=CUBE), 0)
        return simulator.frame(camera, 84, 84).astype(float)

    simulator = Simulator(STACK, "gripper")
    plain = frame(PLAIN)
    mild, ood = ([np.abs(frame(look(level, seed)) - plain).mean() for seed in range(12)] for level in VARIED)
    simulator.close()
    assert min(mild) > 2
    assert min(ood) > max(mild)


@pytest.mark.parametrize(
    "part", ["front", "wrist", "light", "table", "floor", "wall", "things", "furniture", "distractors", "edge"]
)
def test_each_part_of_a_look_can_be_seen(can_draw, part):
    worn = replace(PLAIN, **{part: getattr(look("ood", 1), part)})
    camera = "wrist" if part == "wrist" else "front"
    simulator = Simulator(DRAWER, "gripper")
    laid_out(simulator, PLAIN, 1)
    plain = simulator.frame(camera, 84, 84).astype(int)
    laid_out(simulator, worn, 1)
    changed = np.abs(simulator.frame(camera, 84, 84) - plain).max(axis=-1) > 8
    assert changed.sum() > 20
    simulator.close()


@pytest.mark.parametrize("task_id", ["stack-three", "tidy-drawer", "place-in-bin"])
def test_out_of_distribution_everything_is_in_the_picture_and_nothing_is_hidden(can_draw, task_id):
    simulator = Simulator(TASKS[task_id], "gripper")
    for seed in range(8):
        worn = look("ood", seed)
        laid_out(simulator, worn, seed)
        seen = things_seen(simulator)
        assert all((seen == number).sum() >= 25 for number in range(len(simulator.task.objects)))
        laid_out(simulator, replace(worn, distractors=()), seed)
        assert np.array_equal(seen, things_seen(simulator))
    simulator.close()


def test_out_of_distribution_the_red_cube_is_red_in_the_picture_and_the_others_are_not(can_draw):
    simulator = Simulator(STACK, "gripper")
    spans = {"blue cube": (200, 250), "red cube": (-18, 18), "green cube": (90, 165)}
    for seed in range(8):
        laid_out(simulator, look("ood", seed), seed)
        frame, seen = simulator.frame("front", 84, 84), things_seen(simulator)
        for number, name in enumerate(STACK.objects):
            hue, saturation, _ = colorsys.rgb_to_hsv(*np.median(frame[seen == number], axis=0) / 255)
            low, high = spans[name]
            assert low <= (hue * 360 - 360 if hue * 360 > 300 else hue * 360) <= high, (seed, name)
            assert saturation > 0.6
    simulator.close()


def test_a_simulator_goes_from_look_to_look_and_back(can_draw):
    simulator = Simulator(DRAWER, "gripper")
    frames = []
    for level in ("ood", "none", "mild", "ood", "none"):
        laid_out(simulator, look(level, 2), 2)
        frames.append(simulator.frame("front", 84, 84))
    simulator.close()
    assert np.array_equal(frames[0], frames[3])
    assert np.array_equal(frames[1], frames[4])
    assert not np.array_equal(frames[0], frames[1])


@pytest.mark.parametrize("levels", [("ood",), ("mild", "ood"), ("none", "mild", "ood")])
def test_two_simulators_side_by_side_draw_what_each_has(can_draw, levels):
    first, second = Simulator(DRAWER, "gripper"), Simulator(STACK, "gripper")
    laid_out(first, look("ood", 1), 1)
    before = first.frame("front", 84, 84)
    for level in levels:
        laid_out(second, look(level, 2), 2)
        second.frame("front", 84, 84)
        assert np.array_equal(first.frame("front", 84, 84), before)
    second.close()
    assert np.array_equal(first.frame("front", 84, 84), before)
    first.close()


def test_changing_the_look_leaks_no_memory(can_draw):
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

    simulator = Simulator(DRAWER, "gripper")
    for seed in range(150):
        if seed == 30:
            before = resident()
        laid_out(simulator, look("ood", seed), seed)
        simulator.frame("front", 84, 84)
    simulator.close()
    assert resident() - before < 10
