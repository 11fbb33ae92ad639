"""Train the cell network on rendered pictures and write the weights that the instrument ships.

python -m deploy.training.train --out firmware_app/endothelium/cell_network.npz
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# numpy's own threads would only get in the way of the painting processes: a picture takes 0.2 s with them, 0.04 without
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import torch
from torch import nn

from deploy.training.bank import INPUT_STEPS, TRUTH_STEPS, Bank
from deploy.training.network import CellNetwork, folded
from deploy.training.tissue import load_tissues
from deploy.training.widening import continue_from

LOSS_WEIGHTS = {"border": 1.0, "depth": 0.6, "trust": 0.5, "guttae": 0.25}
Story = dict[str, Any]

AVERAGING = 0.998  # the weights that are kept are a running mean of the last five hundred steps
PICTURES_AT_START = 240
START_BATCH = 64  # pictures of which the batch normalisation takes its first means and deviations
STRETCH_STEPS = 1000  # of training, between which pictures are painted
PICTURES_PER_STRETCH = 2400  # of 8000 that a stretch takes: each is seen three or four times, turned and mirrored


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="where mosaics, pictures and checkpoints are kept")
    parser.add_argument("--steps", type=int, default=11000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=3e-3, help="the highest learning rate")
    parser.add_argument("--seed", type=int, default=20261130)
    parser.add_argument("--tissues", type=int, default=320)
    parser.add_argument("--capacity", type=int, default=9000, help="pictures in the bank at a time")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--start", type=Path, help="weights (.npz) to go on from, of this network or of a narrower one")
    arguments = parser.parse_args()
    train(arguments)
    return 0


def train(arguments: argparse.Namespace) -> None:
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    rng = np.random.default_rng(arguments.seed)
    tissues = arguments.folder / "tissues.npz"
    arguments.folder.mkdir(parents=True, exist_ok=True)
    load_tissues(arguments.tissues, tissues, arguments.threads)
    bank = Bank(arguments.folder / "bank", arguments.capacity)
    network = CellNetwork()
    before: list[Story] = []
    if arguments.start:
        with np.load(arguments.start) as stored:
            arrays = dict(stored)
        before = json.loads(bytes(arrays["story"]))["stages"]
        bank.paint(PICTURES_AT_START, tissues, arguments.seed, arguments.threads)
        continue_from(network, arrays, draw_batch(bank, rng, START_BATCH)[0], rng)
    network = network.to(memory_format=torch.channels_last)
    averaged = torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=running_mean(), use_buffers=True)
    optimiser = torch.optim.AdamW(network.parameters(), lr=arguments.rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, arguments.rate, total_steps=arguments.steps, pct_start=0.05, final_div_factor=300
    )
    recent: list[dict[str, float]] = []
    began = time.monotonic()
    for step in range(1, arguments.steps + 1):
        if step % STRETCH_STEPS == 1:
            bank.paint(PICTURES_PER_STRETCH, tissues, arguments.seed, arguments.threads)
        inputs, truths = draw_batch(bank, rng, arguments.batch)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(inputs)
        losses = losses_of(logits.float(), truths)
        total = sum(LOSS_WEIGHTS[name] * loss for name, loss in losses.items())
        optimiser.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        averaged.update_parameters(network)
        recent.append({name: float(loss.detach()) for name, loss in losses.items()})
        if step % 100 == 0 or step == arguments.steps:
            means = {name: round(float(np.mean([row[name] for row in recent])), 4) for name in losses}
            line = {"step": step, "seconds": round(time.monotonic() - began), "painted": bank.painted}
            print(json.dumps({**line, **means}), flush=True)
            recent.clear()
        if step % 500 == 0 or step == arguments.steps:
            keep(averaged.module, arguments, [*before, story_of(arguments, step, means)])


def running_mean() -> Callable[[list[torch.Tensor], list[torch.Tensor], torch.Tensor | int], None]:
    """An exponential mean that forgets the first steps sooner: their weights are not worth keeping."""

    @torch.no_grad()
    def update(kept: list[torch.Tensor], new: list[torch.Tensor], number: torch.Tensor | int) -> None:
        share = min(AVERAGING, (1 + int(number)) / (10 + int(number)))
        for old, fresh in zip(kept, new, strict=True):
            if old.is_floating_point():
                old.lerp_(fresh.to(old.dtype), 1 - share)
            else:
                old.copy_(fresh)

    return update


def draw_batch(bank: Bank, rng: np.random.Generator, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures of the bank, each turned and mirrored by chance."""
    inputs, truths = [], []
    for place in rng.integers(0, bank.filled, size):
        turn, mirror = int(rng.integers(4)), bool(rng.integers(2))
        for stack, out in ((bank.inputs, inputs), (bank.truths, truths)):
            planes = np.rot90(stack[place], turn, (1, 2))
            out.append(planes[:, :, ::-1] if mirror else planes)
    x = torch.from_numpy(np.stack(inputs)).float().div_(INPUT_STEPS).contiguous(memory_format=torch.channels_last)
    return x, torch.from_numpy(np.stack(truths)).float().div_(TRUTH_STEPS)


def losses_of(logits: torch.Tensor, truths: torch.Tensor) -> dict[str, torch.Tensor]:
    """Cross entropies against soft truths; border and depth count only where a border can be seen."""
    border, depth, trust, guttae, weight = truths.unbind(1)
    cross = nn.functional.binary_cross_entropy_with_logits
    counted = weight.sum().clamp(min=1)
    seen_border = weight * (1 + 1.5 * border)
    return {
        "border": (cross(logits[:, 0], border, reduction="none") * seen_border).sum() / counted,
        "depth": (cross(logits[:, 1], depth, reduction="none") * weight).sum() / counted,
        "trust": cross(logits[:, 2], trust),
        "guttae": cross(logits[:, 3], guttae),
    }


def story_of(arguments: argparse.Namespace, step: int, losses: dict[str, float]) -> Story:
    start = f" --start {arguments.start.name}" if arguments.start else ""
    return {
        "command": f"python -m deploy.training.train --steps {arguments.steps} --batch {arguments.batch} "
        f"--rate {arguments.rate} --seed {arguments.seed}{start}",
        "steps": step,
        "training_losses": losses,
    }


def keep(network: nn.Module, arguments: argparse.Namespace, stages: list[Story]) -> None:
    """The weights in half precision, with the story of their making. A later stage can go on from them."""
    assert isinstance(network, CellNetwork)
    arrays = {name: array.astype(np.float16) for name, array in folded(network).items()}
    arrays["story"] = np.frombuffer(json.dumps({"stages": stages}).encode(), np.uint8)
    np.savez_compressed(arguments.out, **arrays)


if __name__ == "__main__":
    raise SystemExit(main())
