"""`make bench`: speed as ratios within one run, beside the rates that they come from; nothing here is a test."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import neighbours
import torch
from data import caching, cauchy_linear, rendering
from reading import reading
from training import DEVICES, at_equal_time, several, speed

from hollow.files import atomic
from hollow.machine import commit, hardware

SOURCE = sorted(Path(__file__).parent.glob("*.py"))


def benches(photographs: str | None, budget: float) -> dict[str, Callable[[], dict[str, float]]]:
    """Return what is measured, by name."""
    found: dict[str, Callable[[], dict[str, float]]] = {}
    for device in DEVICES:
        where = "" if device == "cpu" else ", on the GPU"
        found |= {
            f"training, width 16{where}": lambda device=device: speed(16, device),
            f"training, width 64{where}": lambda device=device: speed(64, device, repeats=2, rounds=5),
            f"several small models{where}": lambda device=device: several(device),
            f"portraits, {budget:g} s of training{where}": lambda device=device: at_equal_time(
                "procedural", budget, device=device
            ),
        }
        if photographs:
            found[f"photographs, {budget:g} s of training{where}"] = lambda device=device: at_equal_time(
                photographs, budget, device=device
            )
    found |= neighbours.benches()
    return found | {
        "cauchy-linear": cauchy_linear,
        "portraits, 64 x 64": rendering,
        "20,000 JPEGs of 64 x 64": lambda: caching(64, 64),
        "20,000 JPEGs of 178 x 218": lambda: caching(178, 218),
        "reading the book": reading,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="run the benches whose name contains this")
    parser.add_argument("--images", help="folder or zip of photographs, for the comparison at equal time")
    parser.add_argument("--seconds", type=float, default=40, help="of that comparison, for each loop")
    parser.add_argument("--record", type=Path, help="also write the figures to this file, for the page of the book")
    options = parser.parse_args()
    machine = [hardware(device) for device in DEVICES]
    print(f"{'; '.join(machine)}; torch {torch.__version__}")
    results = {}
    for name, bench in benches(options.images, options.seconds).items():
        if options.only in name:
            results[name] = bench()
            print(f"\n{name}")
            for what, value in results[name].items():
                print(f"  {what:50s} {value:12.4g}", flush=True)
    if options.record:
        record = {
            "command": "make bench RECORD=1" + (" IMAGES=PATH" if options.images else ""),
            "hardware": machine,
            "torch": torch.__version__,
            "commit": commit(),
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "source": hashlib.sha256(b"".join(path.read_bytes() for path in SOURCE)).hexdigest()[:12],
            "results": results,
        }
        with atomic(options.record) as part:
            part.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
