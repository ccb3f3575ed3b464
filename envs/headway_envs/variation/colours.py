"""Colours and their names: instructions call things by colour, so a thing may change its shade but never its name."""

import colorsys

from headway_envs.variation.appearance import Colour, Tint

HUES = {
    "red": (-12.0, 10.0),
    "orange": (20.0, 42.0),
    "yellow": (48.0, 66.0),
    "green": (100.0, 155.0),
    "cyan": (172.0, 202.0),
    "blue": (212.0, 244.0),
    "violet": (270.0, 310.0),
    "pink": (318.0, 338.0),
}
"""The hues in degrees that have a name beyond doubt; between two of them are those that could be called either."""

GREY = 0.2
"""Saturation below which a colour counts as grey."""


def name_of(colour: Colour) -> str | None:
    """What a colour is called; `grey` for any without hue, None for what could be called either of two names."""
    hue, saturation, _ = _hue_saturation_brightness(colour)
    if saturation < GREY:
        return "grey"
    for name, (low, high) in HUES.items():
        if low <= hue <= high or low <= hue - 360 <= high:
            return name
    return None


def tinted(colour: Colour, tint: Tint) -> Colour:
    """The same colour in another shade, of the same name. A hue without a name stays as it is."""
    hue, saturation, brightness = _hue_saturation_brightness(colour)
    name = name_of(colour)
    if name in HUES:
        low, high = HUES[name]
        hue = hue - 360 if hue > high else hue
        hue += tint.hue * (high - hue if tint.hue > 0 else hue - low)
    return colorsys.hsv_to_rgb(
        hue / 360 % 1, min(1.0, saturation * tint.saturation), min(1.0, brightness * tint.brightness)
    )


def _hue_saturation_brightness(colour: Colour) -> tuple[float, float, float]:
    """Hue in degrees from 0 to 360, the others in [0, 1]."""
    hue, saturation, brightness = colorsys.rgb_to_hsv(*colour)
    return hue * 360, saturation, brightness
