"""Times of the parts of a MoCo step, all of them on one device: decoding, crops, colours, update; and its kernels.

Files are decoded on the GPU (nvJPEG), and so are views cut and scaled, which worker processes do in training: what a
step could take if no processor were in its way. Photographs are those of a packed folder, or are made.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.device_profile import profiled, wait_for
from benchmarks.machine import described, keep, out_file
from common.flags import Parser
from common.machine import processor

PACKED = Path(__file__).resolve().parent.parent / "packed" / "photographs"


class Parts:
    """The parts of a step, each from what the one before it left."""

    def __init__(self, options: argparse.Namespace, device: Any, paths: list[Path]) -> None:
        import numpy as np
        import torch

        from benchmarks.moco import make_trainer

        paths = (paths * -(-options.batch_size // len(paths)))[: options.batch_size]
        self.device, self.size, self.options = device, options.size, options
        self.files = [torch.from_numpy(np.fromfile(path, np.uint8)) for path in paths]
        arithmetic = {"amp": "bf16", "channels_last": True, "loader": "device"}
        options.workers = 0
        self.trainer = make_trainer(paths, arithmetic, options, device)
        self.recipe, self.epoch = self.trainer.views.recipe, 0
        self.decodes_on = device.type

    def decode(self) -> None:
        """JPEG files to uint8 [3, H, W]; on the processor where this torchvision has no decoder for the device."""
        from torchvision.io import ImageReadMode, decode_jpeg

        try:
            self.images = decode_jpeg(self.files, ImageReadMode.RGB, device=self.decodes_on)
        except RuntimeError:
            if self.decodes_on == "cpu":
                raise
            self.decodes_on = "cpu"
            return self.decode()
        self.images = [image.to(self.device) for image in self.images]

    def crop(self) -> None:
        """Two random windows of each image, scaled and mirrored: uint8 [B, 2, 3, size, size]."""
        import torch

        from common.random_streams import generator
        from moco_nonsem.images.random_resized_crop import crop_and_resize
        from moco_nonsem.views.view_draws import draw_view

        self.epoch += 1
        self.draws = [
            [
                draw_view(generator(0, name, self.epoch, place), image.shape[1], image.shape[2], True)
                for name in ("query", "key")
            ]
            for place, image in enumerate(self.images)
        ]
        views = [
            [crop_and_resize(image, draw.box, self.size).flip(2 if draw.flip else []) for draw in draws]
            for image, draws in zip(self.images, self.draws, strict=True)
        ]
        self.crops = torch.stack([torch.stack(both) for both in views])

    def colour(self) -> None:
        """Colours, blur and normalisation of both views, and a patch view."""
        import numpy as np

        from moco_nonsem.views.loader import patches_of_examples
        from moco_nonsem.views.make_views import DecodedBatch, make_views
        from moco_nonsem.views.view_draws import color_draws

        examples, recipe = np.arange(len(self.images)), self.recipe
        patches = patches_of_examples(0, self.epoch, examples, recipe.patch_views, self.size, recipe.patch_ratio)
        colors = [color_draws([draws[view] for draws in self.draws]) for view in (0, 1)]
        self.made = make_views(DecodedBatch(self.crops, colors, patches, examples), recipe, self.device)

    def views_of_images(self) -> None:
        """All views, from decoded images."""
        self.crop()
        self.colour()

    def update(self) -> None:
        """The step itself: query, keys, patch views, loss, gradients, weights."""
        self.trainer.update(self.made)


NAMES = ("decode", "crop", "colour", "update")


def measure(parts: Parts, turns: int, warmup: int) -> dict[str, list[float]]:
    """{part: its seconds of each turn}."""
    seconds: dict[str, list[float]] = {name: [] for name in NAMES}
    for turn in range(turns + warmup):
        for name in NAMES:
            wait_for(parts.device)
            begun = time.perf_counter()
            getattr(parts, name)()
            wait_for(parts.device)
            if turn >= warmup:
                seconds[name].append(time.perf_counter() - begun)
    return seconds


def main(argv: list[str] | None = None) -> int:
    """Prints the measurements, and with --out keeps them as JSON."""
    parser = Parser(prog="python -m benchmarks.moco_kernels", description="Times of the parts of a MoCo step.")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--arch", default="resnet50")
    parser.add_argument("--size", type=int, default=224, help="side of a view [224]")
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--images", type=Path, help="folder of JPEG files [those that were packed, else made]")
    parser.add_argument("--turns", type=int, default=20, help="timed turns of each part [20]")
    parser.add_argument("--warmup", type=int, default=5, help="turns before, not counted [5]")
    parser.add_argument("--out", type=out_file, help="JSON file to write")
    options = parser.parse_args(argv)
    if options.turns < 2 or options.warmup < 1 or options.batch_size < 2:
        parser.error("at least 2 --turns after 1 of --warmup, and a --batch_size of 2")
    if options.images and not os.path.isdir(options.images):
        parser.error(f"--images={options.images}: there is no such folder")
    import torch

    from benchmarks.moco import photographs

    device = torch.device(options.device)
    with photographs(options.images or (PACKED if PACKED.is_dir() else None)) as paths:
        if not paths:
            parser.error(f"--images={options.images} holds no .JPEG or .jpg file; name another folder")
        parts = Parts(options, device, paths)
        seconds = measure(parts, options.turns, options.warmup)
    rows = {name: round(statistics.median(own), 5) for name, own in seconds.items()}
    report = {
        **described("benchmarks.moco_kernels", argv),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else processor(),
        "arch": options.arch,
        "size": options.size,
        "batch_size": options.batch_size,
        "decoded_on": parts.decodes_on,
        "median_seconds": rows,
        "images_per_second": round(options.batch_size / sum(rows.values()), 1),
        "peak_bytes": torch.cuda.max_memory_allocated() if device.type == "cuda" else None,
        "update": profiled(parts.update, device),
        "views": profiled(parts.views_of_images, device),
    }
    print(json.dumps(report, indent=1))
    keep(report, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
