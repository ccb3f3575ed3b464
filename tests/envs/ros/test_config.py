import pytest

from headway.errors import InvalidValue
from headway_envs.ros.config import Arm, BridgeConfig, Topics, read_config, to_yaml


def test_what_is_printed_reads_back_as_the_same(tmp_path):
    config = BridgeConfig(
        estimator="sarm:runs/tidy",
        task="open the drawer",
        topics=Topics(cameras={"front": "/front", "wrist": "/wrist"}, joints="/joints"),
        arm=Arm(joints=("a", "b"), lower=(-1, -2, 0), upper=(1, 2, 1), max_change=0.1, extra=1, dry_run=False),
    )
    (tmp_path / "c.yaml").write_text(to_yaml(config))
    assert read_config(tmp_path / "c.yaml") == config


def test_a_token_is_not_printed():
    import dataclasses

    config = BridgeConfig()
    assert "secret" not in to_yaml(dataclasses.replace(config, link=dataclasses.replace(config.link, token="secret")))


def test_what_a_file_does_not_say_has_its_default(tmp_path):
    (tmp_path / "c.yaml").write_text("limits: {frame_age: 1}\n")
    config = read_config(tmp_path / "c.yaml")
    assert config.limits.frame_age == 1
    assert config.limits.joint_age == BridgeConfig().limits.joint_age
    assert config.arm.dry_run


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("limits: {frame_age: -1}", "limits.frame_age must be above 0"),
        ("limits: {frame_age: .inf}", "limits.frame_age must be above 0 and finite"),
        ("limit: {frame_age: 1}", "limit: Unexpected"),
        ("limits: {frame: 2}", "limits.frame: Unexpected"),
        ("gamma: fast", "gamma: Input should be a valid number"),
        ("gamma: 0", "gamma must lie above 0"),
        ("arm: [1]", "arm: Input should be a dictionary"),
        ("arm: {dry_run: false}", "needs arm.joints"),
        ("{arm: {dry_run: false, joints: [a]}, topics: {joints: ''}}", "needs topics.joints"),
        ("arm: {joints: [a, a]}", "names one twice: a, a"),
        ("arm: {lower: [1]}", "1 values for 0"),
        ("arm: {joints: [a], lower: [1], upper: [0]}", "lower must not be above"),
        ("topics: {cameras: {}}", "at least one camera"),
        ("topics: {joints: joint_states}", "begin with a slash, got 'joint_states'"),
        ("topics: {namespace: /}", "begin with a slash"),
        ("topics: {image_kind: sensor_msgs/PointCloud}", "must be one of"),
        ("link: {url: 'http://arm'}", "must be ws://HOST:PORT"),
        ("link: {backoff: [2, 1]}", "two rising numbers"),
        ("success: {signal: value}", "success.signal: Input should be 'success' or 'progress'"),
        ("success: {high: 0.5}", "needs 0 < low <= high"),
        ("- 3", "the file: Input should be a dictionary"),
        ("a: [", "cannot be read as YAML"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line_that_names_it(tmp_path, text, told):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(InvalidValue) as error:
        read_config(path)
    assert told in str(error.value)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(InvalidValue, match=r"none\.yaml cannot be read"):
        read_config(tmp_path / "none.yaml")


def test_names_are_under_the_namespace_unless_put_elsewhere():
    topics = Topics(namespace="/cell/", estop="/box/pressed")
    assert topics.own("progress") == "/cell/progress"
    assert topics.own("estop") == "/box/pressed"
    assert topics.own("task") == "/cell/task"
