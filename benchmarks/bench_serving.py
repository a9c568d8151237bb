"""Many callers of one server: throughput with and without batches, wrong answers, memory.

    python benchmarks/bench_serving.py [--requests 1000]

Starts `facegpt serve` twice, once with one request at a time. Each time 16 clients ask 20 times for
the face of a text of their own; every answer must be that of its text. Then the memory of the
server over many requests. Server and clients share the machine.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx

CLIENTS, ASKED = 16, 20
WARM_UP = 200
THROUGHPUT_BAR, GROWTH_BAR = 2.0, 0.05
TEXT = "a {age} year old man with a long thin face, number {number}"
COMMAND = "import sys; from facegpt.cli import main; main(sys.argv[1:])"


@contextmanager
def served(folder: Path, most_at_once: int) -> Iterator[tuple[str, int]]:
    """Address and process of a server."""
    limits = ["--most-at-once", str(most_at_once), "--requests-per-minute", "1000000"]
    arguments = ["serve", "--port", "0", "--data", str(folder), *limits]
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[0], process.pid
    finally:
        process.terminate()
        process.wait(30)


def ask(address: str, first: int, count: int) -> int:
    """How many of so many requests were answered wrongly or not at all."""
    wrong = 0
    with httpx.Client(base_url=address, timeout=120) as session:
        for number in range(first, first + count):
            text = TEXT.format(age=20 + number % 60, number=number)
            answer = session.post("/v1/imagine", json={"text": text})
            faces = answer.json().get("faces", [])
            wrong += [face["record"]["source"]["text"] for face in faces] != [text]
    return wrong


def all_at_once(address: str, count: int = ASKED) -> tuple[float, int]:
    """Requests per second of all clients, and how many went wrong."""
    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        wrong = sum(clients.map(lambda n: ask(address, n * count, count), range(CLIENTS)))
    return CLIENTS * count / (time.perf_counter() - started), wrong


def memory_mb(process: int) -> float:
    """What a process holds now; Linux only."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> int:
    """Measure, print, and fail when a bar is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=1000)
    requests = parser.parse_args().requests
    rates, wrong = {}, 0
    with tempfile.TemporaryDirectory() as folder:
        for most_at_once in (1, 8):
            with served(Path(folder) / str(most_at_once), most_at_once) as (address, process):
                all_at_once(address, 1)
                rates[most_at_once], lost = all_at_once(address)
                wrong += lost
                if most_at_once == 8:
                    wrong += all_at_once(address, WARM_UP // CLIENTS)[1]
                    before = memory_mb(process)
                    wrong += all_at_once(address, requests // CLIENTS)[1]
                    growth = memory_mb(process) / before - 1
    gain = rates[8] / rates[1]
    print(f"one at a time      {rates[1]:6.2f} faces/s")
    print(f"up to 8 at once    {rates[8]:6.2f} faces/s, {gain:.2f} times as many (bar 2)")
    print(f"wrong or lost      {wrong:6d} (bar 0)")
    print(f"memory             {before:6.0f} MB, {growth:+.1%} in {requests} requests (bar 5 %)")
    return int(gain < THROUGHPUT_BAR or wrong > 0 or growth > GROWTH_BAR)


if __name__ == "__main__":
    sys.exit(main())
