"""Damaged files and texts, without end: each may only end in a result or in one sentence.

    python tests/fuzz_files.py --seconds 600 --seed 1

Whole files of every kind are changed by bits, bytes, pieces and words, and given to the command line, and to whoever
else reads them, in a process of its own. What goes wrong is said, and its case kept in a folder; the exit code tells.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import fastntk
from fastntk.__main__ import main as command_line

#: Seconds that a case may take.
PATIENCE = 60

#: What means something to one reader or another.
WORDS = (
    *rb"nan inf -1 1e400 0 99999999999999999999 e308 1_0 ,, descr |O <f8 shape null {} True Dense( Conv(3)".split(),
    *(b"__import__('os')", b"9**9**9", b"*[", b"] * 10", b"lambda: 0", b"Residual('relu')"),
    *(b"[" * 3000, b"(" * 90, b'"', b"\n\n", b"\xff\xfe", b"\xe2\x88\x9e", b"\0" * 8),
)

NETWORKS = (
    'Sequential(Dense(2**0.5, 0.1), "relu", Dense())',
    "mlp(3, ['erf', 'relu', 'tanh'], sigma_w=[1.5, 1, 1, 2])",
    "resmlp(2, 'erf', 1.5, 0.1, scale='depth', layer_norm=True)",
    "Sequential(Dense(), Residual('erf', Dense(1/2)), Concat(Dense(), Dense(), fractions=[1/4, 3/4]))",
    "Sequential(Conv(3, sigma_w=1.4, padding='same'), 'relu', AvgPool(2), Flatten(), Dense(width=9))",
    "Sequential(*[Dense(), Activation('leaky_relu', alpha=0.1)] * 3, LayerNorm(eps=1e-3), Dropout(0.1), Dense())",
)


def change(content: bytes, rng: np.random.Generator) -> bytes:
    """Once or a few times, in one way or another."""
    data = bytearray(content)
    for _ in range(int(rng.choice([1, 1, 1, 2, 5]))):
        at, size = int(rng.integers(len(data) + 1)), int(rng.integers(1, 17))
        word = WORDS[int(rng.integers(len(WORDS)))]
        match int(rng.integers(7)):
            case 0 if data:
                data[at % len(data)] ^= 1 << int(rng.integers(8))
            case 1:
                data[at : at + size] = rng.bytes(size)
            case 2:
                del data[at : at + size]
            case 3:
                del data[at:]
            case 4:
                data[at:at] = data[: 8 * size]
            case 5:
                data[at:at] = word
            case _:
                data[at : at + len(word)] = word
    return bytes(data)


# --- What is read, by what the command line is told


def tables(folder: Path) -> dict[str, list[list[str]]]:
    """Whole files, and the commands that read them."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 4)), rng.normal(size=12)
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", y)
    np.save(folder / "images.npy", rng.random((3, 5, 4, 2)).astype(np.float32))
    np.savez(folder / "X.npz", X=X, other=y)
    np.savetxt(folder / "X.csv", X, delimiter=",", header="a,b,c,d", comments="")
    np.savetxt(folder / "y.csv", np.arange(12) % 3, fmt="%d")
    quietly(["fit", str(folder / "X.npy"), str(folder / "y.npy"), "--out", str(folder / "model.npz"), "--quiet"])
    quietly(["compute", str(folder / "X.npy"), "--out", str(folder / "K.zarr"), "--chunk", "5", "--quiet"])
    out = ["--out", "out.npy", "--quiet"]
    return {
        "X.npy": [["compute", "X.npy", *out], ["fit", "X.npy", "y.npy", "--out", "m.npz", "--quiet"]],
        "y.npy": [["fit", "X.npy", "y.npy", "--out", "m.npz", "--quiet"]],
        "images.npy": [["compute", "images.npy", "--net", NETWORKS[4], *out]],
        "X.npz": [["compute", "X.npz:X", *out], ["compute", "X.npz", *out]],
        "X.csv": [["compute", "X.csv", *out]],
        "y.csv": [["fit", "X.npy", "y.csv", "--classify", "--out", "m.npz", "--quiet"]],
        "model.npz": [["predict", "model.npz", "X.npy", *out]],
        "K.zarr": [["info", "K.zarr"], ["compute", "X.npy", "--out", "K.zarr", "--resume", "--quiet"]],
    }


def quietly(arguments: list[str]) -> tuple[int, str]:
    """The command line's exit code, and what it says of errors."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            code = command_line(arguments)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
    return code, said.getvalue()


def check_sentence(text: str) -> None:
    """Of one line, and not a Python object's."""
    assert 0 < len(text) < 1200, text
    assert "\n" not in text, text
    assert "Traceback" not in text, text


def run_command(arguments: list[str]) -> None:
    """A result, or a sentence."""
    code, said = quietly(arguments)
    lines = [line for line in said.splitlines() if line]
    assert code in (0, 1), f"exit code {code}"
    for line in lines:
        check_sentence(line)
    if code:
        assert len(lines) == 1, said
        assert lines[0].startswith("fastntk: "), said


def read_store(path: Path) -> None:
    """Numbers that are the kernel's, or an error of one line."""
    try:
        stored = fastntk.store.open(path)
        found = stored[:]
    except (ValueError, OSError) as error:
        check_sentence(str(error))
        return
    X = np.load(path.parent / "X.npy")
    np.testing.assert_array_equal(found, fastntk.mlp(1).ntk(X), "other numbers than were stored")


def read_network(text: str) -> None:
    """A network, whose text it is, or an error of one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            net = fastntk.network(text)
    except ValueError as error:
        check_sentence(str(error))
        return
    assert fastntk.network(repr(net)) == net, "another network than its repr"


# --- Cases


def cases(whole: Path, commands: dict[str, list[list[str]]], rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """One after the other, as what is to be done in a folder: what to write where, and what to call."""
    names = [*commands, "text", "text"]
    while True:
        name = names[int(rng.integers(len(names)))]
        if name == "text":
            text = change(NETWORKS[int(rng.integers(len(NETWORKS)))].encode(), rng).decode(errors="replace")
            yield {"text": text}
            continue
        file = Path(name)
        if (whole / name).is_dir():
            files = sorted(path.relative_to(whole) for path in (whole / name).rglob("*") if path.is_file())
            file = files[int(rng.integers(len(files)))]
        content = change((whole / file).read_bytes(), rng)
        chosen = commands[name][int(rng.integers(len(commands[name])))]
        yield {"file": str(file), "content": content.hex(), "command": chosen}


def run(case: dict[str, Any], whole: Path) -> None:
    """Raise what is wrong."""
    if "text" in case:
        read_network(case["text"])
        return
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        shutil.copytree(whole, name, dirs_exist_ok=True)
        Path(case["file"]).write_bytes(bytes.fromhex(case["content"]))
        if case["file"].startswith("K.zarr"):
            read_store(Path(name, "K.zarr"))
        run_command(case["command"])


def work(kept: Path, seed: int, until: float, most: int) -> int:
    """Run cases of a seed; each is on the disk before it begins, as it may take the process with it."""

    def late(*_: object) -> None:
        raise TimeoutError(f"it takes more than {PATIENCE} s")

    signal.signal(signal.SIGALRM, late)
    rng, wrong = np.random.default_rng(seed), 0
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder)
        commands = tables(whole)
        for number, case in enumerate(cases(whole, commands, rng)):
            if number >= most or time.time() > until:
                break
            file = kept / f"{seed}-{number}.json"
            file.write_text(json.dumps(case))
            signal.alarm(PATIENCE)
            try:
                run(case, whole)
            except BaseException:
                if sys.exc_info()[0] is KeyboardInterrupt:
                    raise
                wrong += 1
                print(f"{file}: {shown(case)}\n{traceback.format_exc(limit=-4)}", flush=True)
            else:
                file.unlink()
            finally:
                signal.alarm(0)
    print(f"{number} cases of seed {seed}, {wrong} wrong", flush=True)
    return wrong


def shown(case: dict[str, Any]) -> str:
    """For people."""
    return repr(case["text"])[:300] if "text" in case else f"{case['file']} for {' '.join(case['command'])}"


def main(arguments: list[str] | None = None) -> int:
    """Start over in another process where one dies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="how long to look (60)")
    parser.add_argument("--seed", type=int, default=0, help="of the first process (0)")
    parser.add_argument("--most", type=int, default=10**9, help="cases of a process at most")
    parser.add_argument("--keep", type=Path, default=None, help="a folder for cases that go wrong")
    parser.add_argument("--again", type=Path, help="one of those, to be run again")
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.again:
        with tempfile.TemporaryDirectory() as folder:
            tables(Path(folder))
            run(json.loads(given.again.read_text()), Path(folder))
        print("well")
        return 0
    kept = given.keep or Path(tempfile.mkdtemp(prefix="fastntk-fuzz-"))
    kept.mkdir(exist_ok=True)
    if given.until:
        return 1 if work(kept, given.seed, given.until, given.most) else 0
    until, seed, wrong = time.time() + given.seconds, given.seed, False
    while True:
        command = [sys.executable, __file__, "--until", str(until), "--seed", str(seed), "--keep", str(kept)]
        done = subprocess.run([*command, "--most", str(given.most)], check=False, env=os.environ)
        wrong |= done.returncode != 0
        if done.returncode in (0, 1):
            break
        print(f"the process ended with {done.returncode}: its last case is in {kept}", flush=True)
        seed += 1
    if not wrong and not given.keep:
        kept.rmdir()
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
