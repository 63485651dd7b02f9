"""Write digits/: images in a folder for each class; a tenth lie in a wrong one, and two files are broken."""

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from acestimator.noise import corrupt, symmetric

NAMES = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])

digits = load_digits()
given = corrupt(digits.target, symmetric(10, 0.1), random_state=0)
rights = ["file,label"]
for number, (image, label, right) in enumerate(zip(digits.images, NAMES[given], NAMES[digits.target], strict=True)):
    file = Path("digits", label, f"scan_{number:04d}.png")
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((255 - image * (255 / 16)).astype(np.uint8)).save(file)
    rights.append(f"{file.name},{right}")
Path("digits_right.csv").write_text("\n".join(rights) + "\n", encoding="utf-8")
for number in (100, 200):
    (broken,) = Path("digits").glob(f"*/scan_{number:04d}.png")
    broken.write_bytes(broken.read_bytes()[:60])  # as after a copy that was cut short
