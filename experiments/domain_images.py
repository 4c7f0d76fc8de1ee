"""Images of two domains with known truth: cells on plates, and woven cloth with defects and copies.

Every kind of cell is on every plate, so that what differs between plates is a batch effect: level,
gradient, vignetting, blur, noise and gain of the camera. `background` chooses among three sets of
such plates.
"""

import csv
import pathlib

import numpy as np
import tifffile
from PIL import Image
from scipy import ndimage

SIDE, CLOTH_SIDE = 96, 256
KINDS = ("disc", "ellipse", "star", "ring", "pair", "dust")
SHARES = (0.28, 0.22, 0.18, 0.14, 0.1, 0.08)
TILES, NEW_TILES = 1200, 200
CLOTHS, DEFECTS, COPIES = 800, 24, 40
CHANGES = ("jpeg", "crop", "contrast", "turn")
# For each plate: level, its slopes across and down, vignetting, blur, and gain of the camera.
BACKGROUNDS = {
    "gradient": [(250, 0, 0, 0, 0.0, 1), (900, 2.5, 1.5, 0, 0.0, 3), (500, 0, 1.2, 0, 0.0, 1)],
    "vignette": [(400, 0, 0, 0, 0.0, 1), (800, 0, 0, 0.6, 0.7, 2), (600, 0, 0, 0.3, 0.4, 2)],
    "shading": [(300, -1, 0, 0.2, 0.0, 1), (700, 1, -1, 0.4, 0.5, 4), (450, 0, -1, 0.2, 0.3, 2)],
}


def draw_cells(kind, random):
    """One tile of cells of a kind: float image with values of about 0 to 1."""
    y, x = np.mgrid[:SIDE, :SIDE]
    image = np.zeros((SIDE, SIDE))
    for _ in range(random.integers(15, 30) if kind == "dust" else random.integers(2, 6)):
        angle, radius = random.uniform(0, 2 * np.pi), random.uniform(8, 14)
        row, column = random.uniform(6, SIDE - 6, 2)
        u = (x - column) * np.cos(angle) + (y - row) * np.sin(angle)
        v = (y - row) * np.cos(angle) - (x - column) * np.sin(angle)
        distance = np.hypot(u, v) / radius
        if kind == "ellipse":
            distance = np.hypot(u / 2.2, v * 2) / radius
        elif kind == "star":
            distance = distance / (0.7 + 0.3 * np.cos(5 * np.arctan2(v, u)))
        elif kind == "pair":
            distance = np.minimum(np.hypot(u - 7, v), np.hypot(u + 7, v)) / 6
        elif kind == "dust":
            distance = np.hypot(u, v) / random.uniform(1.5, 3.5)
        if kind == "ring":
            shape = np.exp(-(((distance - 1) / 0.15) ** 2))
        else:
            shape = 1 / (1 + np.exp(np.clip(10 * (distance - 1), -50, 50)))
        image = np.maximum(image, shape * random.uniform(0.6, 1.2))
    return image


def draw_tile(kind, plate, random):
    """A tile of a plate, 16 bits."""
    level, across, down, vignetting, blur, gain = plate
    y, x = np.mgrid[:SIDE, :SIDE]
    light = draw_cells(kind, random) * random.uniform(600, 1200)
    light += level * random.uniform(0.95, 1.05) + across * x + down * y
    light *= 1 - vignetting * np.hypot(x - SIDE / 2, y - SIDE / 2) / SIDE
    light = ndimage.gaussian_filter(light, blur) if blur else light
    counts = random.poisson(np.maximum(light, 1) / gain) * gain
    return np.clip(counts + random.normal(0, 15, light.shape), 0, 65535).astype("uint16")


def write_cells(folder, background, seed):
    """Writes `cells/plate1`, `cells/plate2` and `cells_new/plate3`, and `cells_truth.csv`."""
    random = np.random.default_rng(seed)
    plates, lines = BACKGROUNDS[background], []
    for number in range(TILES + NEW_TILES):
        is_new = number >= TILES
        plate = 2 if is_new else int(random.integers(2))
        kind = KINDS[random.choice(len(KINDS), p=None if is_new else SHARES)]
        name = f"{'cells_new' if is_new else 'cells'}/plate{plate + 1}/{number:05}.tif"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / name, draw_tile(kind, plates[plate], random))
        lines.append((name, kind, plate + 1))
    write_truth(folder / "cells_truth.csv", ["name", "kind", "plate"], lines)


def draw_cloth(random):
    """A photograph of woven cloth: threads of uneven width and colour, and uneven light."""
    y, x = np.mgrid[:CLOTH_SIDE, :CLOTH_SIDE]
    waves = []
    for along, across in ((x, y), (y, x)):
        shift = ndimage.gaussian_filter1d(random.normal(0, 1, CLOTH_SIDE), 12) * 6
        waves.append(np.sin(2 * np.pi * (across + shift[along]) / 7 + random.uniform(0, 6)))
    light = 12 * np.maximum(*waves) + 40 * ndimage.gaussian_filter(
        random.normal(0, 1, x.shape), 40, mode="wrap"
    )
    color = np.array([120, 125, 140]) + random.normal(0, 4, 3)
    return color + light[..., None] + random.normal(0, 4, (*x.shape, 3))


def add_defect(image, kind, random):
    """A missing thread, a hole or an oil stain."""
    y, x = np.mgrid[:CLOTH_SIDE, :CLOTH_SIDE]
    row, column = random.uniform(40, CLOTH_SIDE - 40, 2)
    if kind == "thread":
        width, length = random.uniform(1.5, 2.5), random.uniform(40, 90)
        mask = np.exp(-(((y - row) / width) ** 2)) * (np.abs(x - column) < length / 2)
        return image + mask[..., None] * random.uniform(45, 80)
    distance = np.hypot(y - row, (x - column) * random.uniform(0.7, 1.4))
    radius = random.uniform(4, 8) if kind == "hole" else random.uniform(9, 18)
    mask = 1 / (1 + np.exp(np.clip((distance - radius) / (1 if kind == "hole" else 3), -50, 50)))
    dark = np.array([80, 80, 90]) if kind == "hole" else np.array([25, 35, 50])
    return image - mask[..., None] * dark * random.uniform(0.8, 1.2)


def change_copy(picture, change):
    """A near copy of a picture, and the quality of its JPEG."""
    if change == "crop":
        side = picture.width
        return picture.crop((7, 10, side - 9, side - 6)).resize((side, side)), 90
    if change == "contrast":
        pixels = np.asarray(picture, float)
        return Image.fromarray(np.clip(0.92 * pixels + 14, 0, 255).astype("uint8")), 90
    if change == "turn":
        return picture.transpose(Image.Transpose.ROTATE_90), 90
    return picture, 35


def write_cloths(folder, seed):
    """Writes `cloth/*.jpg` in random order, and `cloth_truth.csv` with each copy's original."""
    random = np.random.default_rng(seed)
    count = CLOTHS + DEFECTS + COPIES
    files = [f"cloth/{number:05}.jpg" for number in random.permutation(count)]
    pictures, lines = [], []
    originals = random.choice(CLOTHS, COPIES, replace=False)  # copies of one would be copies, too
    (folder / "cloth").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        kind, original, quality = "normal", "", 92
        if number < CLOTHS + DEFECTS:
            image = draw_cloth(random)
            if number >= CLOTHS:
                kind = ("thread", "hole", "stain")[number % 3]
                image = add_defect(image, kind, random)
            picture = Image.fromarray(np.clip(image, 0, 255).astype("uint8"))
            pictures.append(picture)
        else:
            source = originals[number - CLOTHS - DEFECTS]
            kind, original = CHANGES[number % 4], files[source]
            picture, quality = change_copy(pictures[source], kind)
        picture.save(folder / files[number], quality=quality)
        lines.append((files[number], kind, original))
    write_truth(folder / "cloth_truth.csv", ["name", "kind", "original"], lines)


def write_truth(path, titles, lines):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([titles, *sorted(lines)])


def read_truth(path):
    """The lines of a table of the truth, by the names of the images."""
    with open(path, newline="", encoding="utf-8") as file:
        return {line["name"]: line for line in csv.DictReader(file)}


def write_images(folder, background, seed):
    """Writes both sets of images, unless they exist."""
    folder = pathlib.Path(folder)
    if not (folder / "cells_truth.csv").is_file():
        write_cells(folder, background, seed)
    if not (folder / "cloth_truth.csv").is_file():
        write_cloths(folder, seed)
