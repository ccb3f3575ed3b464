import os
import subprocess
import sys

import av
import numpy as np
import pytest

from headway.errors import InvalidValue, UnknownName, VideoError
from headway_datasets import video
from headway_datasets.video import VideoEncoder, VideoFrames, encode_video, probe

CONTAINERS = {
    "h264.mp4": {"codec": "libx264"},
    "h264.mkv": {"codec": "libx264", "bf": "3"},
    "h264.mov": {"codec": "libx264"},
    "mpeg4.mp4": {"codec": "mpeg4"},
    "mpeg4.avi": {"codec": "mpeg4", "bf": "2"},
    "vp8.webm": {"codec": "libvpx", "auto-alt-ref": "1", "lag-in-frames": "16"},
    "vp9.webm": {"codec": "libvpx-vp9", "auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "8"},
    "av1.mp4": {"codec": "libsvtav1", "preset": "12"},
    "palette.gif": {"codec": "gif", "pixels": "rgb8"},
}


@pytest.fixture(autouse=True)
def quiet_encoder(monkeypatch):
    monkeypatch.setenv("SVT_LOG", "1")


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_kind_of_file_gives_each_frame_once_and_in_order(tmp_path, scene, is_frame, save_video, name):
    path = save_video(tmp_path / name, scene(40), **CONTAINERS[name])
    info = probe(path)
    assert (info.frames, info.fps, info.size) == (40, 10, (64, 64))
    pictures = list(VideoFrames(path, 40, "episode 0, camera top"))
    assert len(pictures) == 40
    assert all(picture.dtype == np.uint8 and picture.shape == (64, 64, 3) for picture in pictures)
    assert all(is_frame(picture, number) for number, picture in enumerate(pictures))


@pytest.mark.parametrize("codec", ["h264", "av1"])
@pytest.mark.parametrize("first", [0, 1, 17, 30])
def test_a_stretch_begins_and_ends_at_its_own_frames(tmp_path, scene, is_frame, codec, first):
    path = tmp_path / "many.mp4"
    encode_video(path, scene(50), fps=10, codec=codec)
    pictures = list(VideoFrames(path, 20, "episode 1", start=first / 10, fps=10))
    assert len(pictures) == 20
    assert all(is_frame(picture, first + index) for index, picture in enumerate(pictures))


def test_a_stretch_far_from_a_key_frame_is_exact(tmp_path, scene, is_frame, save_video):
    path = save_video(tmp_path / "long.mp4", scene(60), g="60", bf="3")
    pictures = list(VideoFrames(path, 10, "episode 1", start=4.3, fps=10))
    assert [is_frame(picture, 43 + index) for index, picture in enumerate(pictures)] == [True] * 10


def test_only_the_frames_of_the_stretch_are_converted_and_each_once(tmp_path, scene, monkeypatch):
    path = tmp_path / "many.mp4"
    encode_video(path, scene(50), fps=10)
    converted = []

    class Counting(video.VideoReformatter):
        def reformat(self, frame, **changes):
            converted.append(round(frame.time * 10))
            return super().reformat(frame, **changes)

    monkeypatch.setattr(video, "VideoReformatter", Counting)
    frames = VideoFrames(path, 20, "episode 1", start=1.0, fps=10)
    assert sum(1 for _ in frames) == 20
    assert converted == list(range(10, 30))


def test_frames_can_be_iterated_over_again_and_left_early(tmp_path, scene):
    path = tmp_path / "video.mp4"
    encode_video(path, scene(12), fps=10)
    frames = VideoFrames(path, 12, "episode 0")
    first = next(iter(frames))
    assert np.array_equal(first, next(iter(frames)))
    assert len(list(frames)) == len(frames) == 12


def test_a_file_with_fewer_frames_than_promised_names_file_and_episode(tmp_path, scene):
    path = tmp_path / "short.mp4"
    encode_video(path, scene(12), fps=10)
    pictures = iter(VideoFrames(path, 15, "episode 7, camera top"))
    assert [next(pictures).shape for _ in range(12)] == [(64, 64, 3)] * 12
    with pytest.raises(VideoError, match=r"episode 7, camera top: .*short\.mp4 holds 12 of the 15 frames") as caught:
        next(pictures)
    assert "\n" not in str(caught.value)


def test_a_stretch_with_missing_frames_never_borrows_those_of_the_next_episode(tmp_path, scene, save_video):
    times = [*range(10), *range(15, 30)]
    path = save_video(tmp_path / "gap.mp4", scene(25), times=times)
    with pytest.raises(VideoError, match="holds 10 of the 15 frames"):
        list(VideoFrames(path, 15, "episode 0", start=0.0, fps=10))


@pytest.mark.parametrize("name", ["vp9.webm", "h264.mkv", "vp8.webm"])
def test_a_file_cut_short_promises_what_it_lost_and_says_so_when_read(tmp_path, scene, save_video, name):
    path = save_video(tmp_path / name, scene(60) + _noise(60), **CONTAINERS[name])
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert probe(path).frames == 60
    with pytest.raises(VideoError, match="of the 60 frames it should; it was cut short"):
        list(VideoFrames(path, 60, "episode 0"))


def test_an_mp4_cut_short_while_its_index_is_at_the_front_says_so_when_read(tmp_path, scene, save_video):
    path = tmp_path / "front.mp4"
    save_video(path, scene(60) + _noise(60))
    front = tmp_path / "faststart.mp4"
    with av.open(str(path)) as old, av.open(str(front), "w", options={"movflags": "faststart"}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    front.write_bytes(front.read_bytes()[: front.stat().st_size // 2])
    assert probe(front).frames == 60
    with pytest.raises(VideoError, match=r"episode 0: .*faststart\.mp4"):
        list(VideoFrames(front, 60, "episode 0"))


@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_damage_in_the_middle_is_an_error_and_no_grey_picture(tmp_path, scene, codec):
    path = tmp_path / "damaged.mp4"
    encode_video(path, scene(60) + _noise(60), fps=10, codec=codec)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = np.random.default_rng(1).bytes(2000)
    path.write_bytes(content)
    with pytest.raises(VideoError, match=r"episode 3: .*damaged\.mp4 (cannot be decoded|is damaged)"):
        list(VideoFrames(path, 60, "episode 3"))


def test_damage_that_the_decoder_papers_over_is_found_too(tmp_path, scene):
    path = tmp_path / "damaged.mp4"
    encode_video(path, scene(60) + _noise(60), fps=10)
    whole = path.read_bytes()
    found = 0
    for place in range(20):
        content, spot = bytearray(whole), (place + 2) * len(whole) // 25
        content[spot : spot + 60] = np.random.default_rng(place).bytes(60)
        path.write_bytes(content)
        try:
            list(VideoFrames(path, 60, "episode 3"))
        except VideoError:
            found += 1
    assert found >= 9


@pytest.mark.parametrize("content", [b"", b"not a video", b"\0\0\0\x18ftypmp42" + bytes(500)])
def test_what_is_no_video_is_one_clear_line(tmp_path, content):
    path = tmp_path / "odd.mp4"
    path.write_bytes(content)
    for read in (lambda: probe(path), lambda: list(VideoFrames(path, 5, "episode 0"))):
        with pytest.raises(VideoError, match=r"odd\.mp4") as caught:
            read()
        assert "\n" not in str(caught.value)


def test_a_missing_file_and_one_with_sound_only_are_refused(tmp_path):
    with pytest.raises(VideoError, match="No such file"):
        list(VideoFrames(tmp_path / "none.mp4", 5, "episode 0"))
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(VideoError, match="holds no video"):
        probe(path)


def test_a_video_without_frames_is_refused(tmp_path, scene, save_video):
    path = save_video(tmp_path / "none.webm", scene(1)[:0], codec="libvpx-vp9")
    with pytest.raises(VideoError, match=r"none\.webm"):
        probe(path)


def test_variable_frame_times_are_counted_as_frames(tmp_path, scene, is_frame, save_video):
    times = np.cumsum([0, *([1, 4] * 12)]).tolist()
    path = save_video(tmp_path / "variable.mkv", scene(25), times=times)
    assert probe(path).frames == 25
    assert all(is_frame(picture, index) for index, picture in enumerate(VideoFrames(path, 25, "episode 0")))


def test_frames_before_the_cut_of_a_clip_are_not_counted(tmp_path, scene, save_video):
    whole = save_video(tmp_path / "whole.mp4", scene(60), g="10", bf="0")
    clip = tmp_path / "clip.mp4"
    with av.open(str(whole)) as old, av.open(str(clip), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(old.demux(video=0)):
            if packet.dts is None or number < 20:
                continue
            shift = int(2.5 / packet.time_base)  # the clip begins within a group of pictures
            packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
            new.mux(packet)
    shown = probe(clip).frames
    assert shown < 40
    assert len(list(VideoFrames(clip, shown, "episode 0"))) == shown


def test_odd_sizes_are_written_by_repeating_the_last_row_and_column(tmp_path):
    frames = np.full((4, 33, 47, 3), (200, 60, 60), np.uint8)
    assert encode_video(tmp_path / "odd.mp4", frames, fps=10) == 4
    picture = next(iter(VideoFrames(tmp_path / "odd.mp4", 4, "episode 0")))
    assert picture.shape == (34, 48, 3)
    assert np.abs(picture.astype(int) - (200, 60, 60)).max() < 8


def test_the_encoder_refuses_what_it_cannot_write(tmp_path, scene):
    with pytest.raises(UnknownName, match="available: av1, h264"):
        VideoEncoder(tmp_path / "a.mp4", 10, codec="h265")
    with VideoEncoder(tmp_path / "b.mp4", 10) as encoder:
        encoder.write(scene(1)[0])
        with pytest.raises(InvalidValue, match=r"\(32, 32, 3\)"):
            encoder.write(scene(1, side=32)[0])


def test_encoding_says_nothing_on_the_terminal(tmp_path):
    code = (
        "import sys, numpy; from pathlib import Path; from headway_datasets.video import encode_video\n"
        "for codec in ('h264', 'av1'):\n"
        "    encode_video(Path(sys.argv[1]) / codec, numpy.zeros((4, 64, 64, 3), 'uint8'), 10, codec)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "SVT_LOG"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, env=environment)
    assert done.returncode == 0
    assert done.stdout + done.stderr == ""


def _noise(length):
    return np.random.default_rng(0).integers(0, 24, (length, 64, 64, 3), dtype=np.uint8)
