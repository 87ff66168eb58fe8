"""How `hollow.faces` paints a portrait: a stack of soft-edged shapes, back to front.

Each shape is a signed distance d (negative inside), and its coverage of a pixel of width px is
clamp(1/2 - d/px, 0, 1), so edges are antialiased. All lengths are in units of 1/64 of the canvas. Tensors are
(rows, columns, batch): with the batch last, a factor of shape (n,) broadcasts without reshaping, and a small
feature touches only its window of rows and columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_SKIN = ((253, 224, 205), (242, 199, 168), (222, 170, 130), (190, 131, 90), (140, 88, 58), (96, 60, 42))
_HAIR = ((30, 25, 27), (50, 36, 31), (84, 54, 37), (122, 72, 44), (182, 94, 48), (194, 148, 88), (232, 204, 136),
         (206, 206, 210))  # fmt: skip
_EYES = ((60, 36, 22), (112, 70, 38), (132, 112, 62), (78, 130, 84), (66, 122, 176), (136, 154, 168))
# Hairlines, one column for each class of hair_style: where the parting is, how fast the line falls, how it bends.
_PARTING = (-7.0, 7.0, 0.0, 0.0)
_SLOPE = (0.4, 0.4, 0.75, 0.05)
_DROP = (-2.0, -2.0, -3.0, 3.5)


def _palette(stops: tuple[tuple[int, int, int], ...], t: Tensor) -> Tensor:
    """Colours (3, 1, 1, n) at t in [0, 1] along equally spaced stops."""
    table = torch.tensor(stops, dtype=torch.float32, device=t.device) / 255
    place = t * (len(stops) - 1)
    left = place.long().clamp_(max=len(stops) - 2)
    return torch.lerp(table[left], table[left + 1], (place - left)[:, None]).T[:, None, None]


def _hue(turn: Tensor, value: Tensor, saturation: float) -> Tensor:
    """Colours (3, 1, 1, n) around the colour circle."""
    phase = torch.tensor([0.0, 1 / 3, 2 / 3], device=turn.device)[:, None]
    wheel = 0.5 + 0.5 * torch.cos(2 * math.pi * (turn - phase))
    return (value * (1 - saturation + saturation * wheel))[:, None, None]


def _rgb(like: Tensor, red: float, green: float, blue: float) -> Tensor:
    return like.new_tensor([red, green, blue])[:, None, None, None]


def _sq(x: Tensor) -> Tensor:
    return x * x


def _ramp(x: Tensor) -> Tensor:
    """Clamp in place to [0, 1]."""
    return x.clamp_(0, 1)


@dataclass(frozen=True)
class _Canvas:
    """A window of the picture: colours (3, h, w, n) and the head's coordinates u, v (h, w, n) at its pixels."""

    rgb: Tensor
    u: Tensor
    v: Tensor
    px: float

    def window(self, top: float, bottom: float, left: float = 0, right: float = 64) -> _Canvas:
        rows = slice(math.floor(top / self.px), math.ceil(bottom / self.px))
        cols = slice(math.floor(left / self.px), math.ceil(right / self.px))
        return _Canvas(self.rgb[:, rows, cols], self.u[rows, cols], self.v[rows, cols], self.px)

    def cover(self, d: Tensor) -> Tensor:
        """Coverage of each pixel by the shape d < 0; overwrites d."""
        return d.mul_(-1 / self.px).add_(0.5).clamp_(0, 1)

    def ellipse(self, u: Tensor, v: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
        """Coverage by (u/a)^2 + (v/b)^2 < 1, to first order in the distance."""
        scale = (0.25 / self.px) * (a + b)
        return _sq(u / a).add_(_sq(v / b)).sub_(1).mul_(-scale).add_(0.5).clamp_(0, 1)

    def paint(self, colour: Tensor, mask: Tensor) -> None:
        self.rgb.lerp_(colour, mask)


def _hair(c: _Canvas, f: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Coverage by all of the hair and by the part in front of the face; the wave that curls it, in [-1, 1]."""
    a = f["face_width"] + 1.2 + f["hair_volume"]
    b = 15.5 + f["hair_volume"] * 0.7
    end = -3 + 29 * _sq(f["hair_length"])
    u = c.u + f["yaw"]
    wave = u.abs().add_(c.v).mul_(0.8).sin_()
    curl = _sq(f["hair_curl"])
    above = (c.v + 4).clamp_(max=0).div_(b)
    below = (c.v - end).clamp_(min=0).div_(7)
    below = _sq(below)
    q = _sq(u / a).add_(_sq(above)).add_(below)
    # The lower end is rounder than the sides: the distance is measured by the half-axis that is met there.
    q = q.sub_(1).mul_(below.clamp_(max=1).mul_(7 - a).add_(a)).mul_(0.5)
    mass = c.cover(q.sub_(wave * (0.9 * curl)))
    style = f["hair_style"].long()
    parting, slope, drop = (torch.tensor(t, device=style.device)[style] for t in (_PARTING, _SLOPE, _DROP))
    w = u.sub_(4 * f["yaw"])
    line = (w - parting).abs_().mul_(slope).sub_(f["hairline"] - drop)
    below_line = line.sub_(c.v).div_((1 + slope * slope).sqrt())
    side = w.abs_().sub_(f["face_width"] - 0.6).add_(wave * (0.8 * curl))
    opening = c.cover(torch.maximum(below_line, side))
    return mass, opening.neg_().add_(1).mul_(mass), wave


def _body(c: _Canvas, f: dict[str, Tensor], x: Tensor, y: Tensor, skin: Tensor, light: Tensor) -> None:
    """Neck, shoulders and clothes, which do not tilt."""
    off = (x - 32).abs()
    neck = 6.0 + 0.16 * (f["face_width"] - 12.5) + 1.2 * f["jaw"]
    shade = _ramp(1.15 - (y - 45) / 14) * 0.45 + 0.1 * light.abs()
    throat = skin * (1 - shade)
    shoulder = 54.5 + 0.012 * _sq(off)
    c.paint(throat, torch.maximum(c.cover(off - neck), c.cover(shoulder - y)))
    depth, half = 1.5 + 8 * f["neckline"], neck + 3.0
    steep = depth / half
    collar = 55 + depth - off * steep
    d = torch.maximum(collar - y, shoulder - 0.6 - y).div_((1 + steep * steep).sqrt())
    cloth = _hue(f["clothing_hue"], 0.25 + 0.6 * f["clothing_light"], 0.6)
    trim = c.cover(d + 1.4)
    c.paint(cloth * 0.72, c.cover(d))
    c.paint(cloth * (1 + 0.25 * light * (x / 32 - 1)), trim)


def _head(c: _Canvas, f: dict[str, Tensor], skin: Tensor, light: Tensor) -> Tensor:
    """Ears and the oval of the face with its shading; returns the coverage of the oval."""
    a = f["face_width"]
    ears = c.window(20, 46, 8, 56)
    ear_u = (ears.u + 1.5 * f["yaw"]).abs_().sub_(a - 0.3)
    ears.paint(skin * 0.86, ears.ellipse(ear_u, ears.v - 2, 2.3, 3.9))
    c = c.window(8, 56, 8, 56)
    down = (c.v / f["face_length"]).clamp_(min=0)
    up = (c.v / 18).clamp_(max=0)
    x = (c.u - f["yaw"] * 0.8) / a
    y2 = _sq(down + up)
    lit = x * light
    x.mul_(down.mul_(0.28 * (1 - f["jaw"])).add_(1))
    x2 = _sq(x)
    q = x2 + y2
    q -= x2.mul_(y2.clamp(max=1)).mul_(up.sign_().add_(1).mul_(0.15 + 0.4 * f["jaw"]))
    q.sub_(1)
    oval = c.cover(q * (0.25 * (a + f["face_length"])))
    c.paint(skin, oval)
    # Shade: away from the light, and towards the rim, where the surface turns away from the viewer.
    rim = q.add_(0.75).clamp_(min=0).mul_(0.25 + 0.45 * f["light_strength"])
    shade = lit.mul_(-0.75).add_(rim).clamp_(0, 0.85).mul_(oval)
    c.paint(skin * skin * _rgb(skin, 0.68, 0.58, 0.56), shade)
    return oval


def _eyes(c: _Canvas, f: dict[str, Tensor], skin: Tensor, hair: Tensor) -> None:
    """Eyes, brows and glasses."""
    dark = _rgb(skin, 0.13, 0.09, 0.09)
    side = c.u.sign()
    x = c.u - side * f["eye_spacing"]
    out = x * side  # positive away from the nose
    h, half = f["eye_size"], 2.9 + 0.35 * f["eye_size"]
    x2 = _sq(x / half)
    arch = (1 - x2).mul_(h)
    white = c.cover((c.v.abs() - arch).mul_(0.8))
    c.paint(skin * 0.72, c.cover((c.v + 0.5).abs_().sub_(arch * 1.5 + 0.5)).mul_(0.35))
    c.paint(_rgb(skin, 0.96, 0.95, 0.94), white)
    look = x - 1.2 * f["gaze"]
    radius = 0.9 + 0.55 * h
    c.paint(_palette(_EYES, f["eye_colour"]), c.ellipse(look, c.v + 0.15, radius, radius).mul_(white))
    c.paint(dark, c.ellipse(look, c.v + 0.15, radius * 0.5, radius * 0.5).mul_(white))
    c.paint(_rgb(skin, 1, 1, 1), c.ellipse(look + 0.6, c.v + 0.7, 0.5, 0.5).mul_(white))
    lash = (c.v + arch + 0.15).abs_().sub_(0.42)
    c.paint(dark, c.cover(torch.maximum(lash, out.abs() - half)).mul_(0.85))

    thick = f["brow_thickness"]
    rise = c.v + (5.0 + 0.6 * h)
    rise += out * (0.22 * f["brow_angle"])
    rise -= _sq(out) * 0.035
    d = rise.abs_().sub_(thick).add_(out * (0.06 * thick + 0.03))
    c.paint(hair * 0.62, c.cover(torch.maximum(d, (out + 0.2).abs_().sub_(4.2))).mul_(0.9))

    kind = f["glasses"]
    worn, square = (kind > 0).float(), (kind > 1).float()
    gx, gy = _sq(x / 5.0), _sq((c.v - 0.6) / (4.9 - 0.9 * square))
    ring = (gx + gy - gx.clamp(max=1).mul_(gy.clamp(max=1)).mul_(0.85 * square)).sqrt_().sub_(1).mul_(4.8)
    bridge = torch.maximum((c.v + 0.6).abs_().sub_(0.45), c.u.abs().sub_(f["eye_spacing"] - 4.8))
    c.paint(_rgb(skin, 0.85, 0.92, 0.97), c.cover(ring + 0.2).mul_(0.16 * worn))
    c.paint(dark, c.cover(torch.minimum(ring.abs_().sub_(0.5), bridge)).mul_(worn))


def _nose(c: _Canvas, f: dict[str, Tensor], skin: Tensor, light: Tensor) -> None:
    """Nose: a shaded flank, a soft tip, two nostrils."""
    length, width = f["nose_length"], f["nose_width"]
    u = c.u - 1.2 * f["yaw"]
    shadow = skin * _rgb(skin, 0.74, 0.62, 0.58)
    along = _ramp(c.v / length)
    flank = (u + (0.55 * width) * light).abs_().sub_(along * width * 0.75)
    fade = _ramp((length + 0.6 - c.v) * 0.8)
    c.paint(shadow, c.cover(flank).mul_(fade).mul_(along).mul_(0.35 + 0.3 * light.abs()))
    ridge = (u - (0.35 * width) * light).abs_().mul_(-1 / (0.8 * width)).add_(1).clamp_(min=0)
    c.paint(skin * 0.6 + 0.4, ridge.mul_(fade).mul_(along).mul_(0.45))
    wing = u.abs().sub_(width * 0.62)
    c.paint(shadow, c.ellipse(u, c.v - length + 0.1, width, 1.1 + 0.15 * width).mul_(0.6))
    c.paint(skin * skin * 0.45, c.ellipse(wing, c.v - length - 0.45, 0.35 * width, 0.55).mul_(0.8))


def _mouth(c: _Canvas, f: dict[str, Tensor], skin: Tensor) -> None:
    """Lips along a parabola that the smile bends, teeth between them."""
    half = f["mouth_width"] * (1 + 0.08 * f["smile"])
    x2 = _sq(c.u / half)
    v = c.v - _mouth_height(f)
    v += (x2 - 0.4).mul_(2.3 * f["smile"])
    arch = (1 - x2).clamp_(min=-0.6)
    gap = arch * f["mouth_open"]
    red = torch.lerp(skin * _rgb(skin, 0.86, 0.62, 0.6), _rgb(skin, 0.74, 0.13, 0.2), 0.15 + 0.75 * f["lip_colour"])
    lips = torch.maximum(-1.15 * arch - v, v - gap - 1.5 * arch)
    c.paint(red, c.cover(lips.mul_(0.85)))
    inside = torch.maximum(-v, v - gap)
    c.paint(red * 0.3, c.cover(inside - 0.25).mul_(_ramp(arch * 4)))
    teeth = torch.maximum(-v + 0.25, v - gap * 0.6).add_(0.1)
    c.paint(_rgb(skin, 0.96, 0.94, 0.91), c.cover(teeth).mul_(_ramp(gap)))


def _mouth_height(f: dict[str, Tensor]) -> Tensor:
    return 0.64 * f["nose_length"] + 0.36 * f["face_length"]


def _cheeks(c: _Canvas, f: dict[str, Tensor], skin: Tensor, hair: Tensor, oval: Tensor) -> None:
    """Blush and beard, both inside the oval of the face."""
    cheek = _sq((c.u.abs() - 8.5) / 5).add_(_sq((c.v - 6.5) / 4)).mul_(-1).add_(1).clamp_(min=0)
    c.paint(skin * _rgb(skin, 0.98, 0.55, 0.55), cheek.mul_(oval).mul_(0.7 * f["blush"]))
    amount = torch.tensor([0.0, 0.38, 0.92], device=skin.device)[f["beard"].long()]
    top = _mouth_height(f) - 2.6
    x2 = _sq(c.u / f["face_width"])
    edge = (c.v - top).add_(x2.mul_(x2).mul_(12)).mul_(0.7).clamp_(0, 1)
    c.paint(hair * 0.72, edge.mul_(oval).mul_(amount))


def draw(f: dict[str, Tensor], size: int) -> Tensor:
    """Portraits as (3, size, size, n) in [0, 1] for checked factors on one device."""
    px = 64 / size
    axis = (torch.arange(size, device=f["skin"].device, dtype=torch.float32) + 0.5) * px
    x, y = axis[None, :, None], axis[:, None, None]
    # The head rolls about the neck, (32, 47); its own origin lies between the eyes.
    angle = f["tilt"] * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    u = (x - 32) * cos + (y - 47) * sin
    v = (y - 47) * cos + ((32 - x) * sin + 16)
    skin, hair = _palette(_SKIN, f["skin"]), _palette(_HAIR, f["hair_colour"])
    light = f["light_direction"] * f["light_strength"]
    wall = _hue(f["background_hue"], 0.35 + 0.52 * f["background_light"], 0.3)
    slope = 0.3 * f["background_gradient"]
    c = _Canvas(wall * (1 + slope * (y / 32 - 1) + 0.1 * light * (x / 32 - 1)), u, v, px)

    mass, front, wave = _hair(c, f)
    c.paint(hair * 0.6, mass)
    _body(c.window(42, 64), f, x, y[math.floor(42 / px) :], skin, light)
    oval = _head(c, f, skin, light)
    # A turned head moves its features sideways, and the far half of the face looks narrower.
    w = u - 4 * f["yaw"]
    face = _Canvas(c.rgb, w + _sq(w) * (0.014 * f["yaw"]), v, px)
    _cheeks(face.window(8, 56, 8, 56), f, skin, hair, oval)
    _nose(face.window(29, 43, 18, 46), f, skin, light)
    _mouth(face.window(36, 52, 16, 48), f, skin)
    _eyes(face.window(18, 40, 10, 54), f, skin, hair)
    c.paint(hair * (1 + 0.25 * light * (x / 32 - 1)), front)
    # A highlight over the crown, and one on the crest of each curl.
    gloss = 0.12 + 0.2 * f["light_strength"]
    sheen = (v + 13).abs_().mul_(-0.2).add_(1).clamp_(min=0).mul_(gloss)
    sheen = sheen.add_(wave.clamp_(min=0).mul_(0.24 * f["hair_curl"])).mul_(front)
    c.paint(hair * 0.5 + 0.5, sheen)
    return c.rgb.clamp_(0, 1)
