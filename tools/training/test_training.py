"""Runs all steps of the training on a few examples, in about a minute, and checks what the networks must agree on.

It runs where PyTorch is: `tools/training/run --test`. With EDGEQA_MPNET, a folder of all-mpnet-base-v2's
model.safetensors and tokenizer.json, the teacher's steps are run too.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import labels as labels_of
import mpnet
import numpy as np
import onnxruntime
import pytest
import structured
import torch
from graphs import encode_graph, read_graph
from make_reader import BUNDLED, Recipe, parse_args
from student import load_student, train_student
from teacher import train_teacher
from torch_readers import INNER, Student, Teacher, distance_buckets, pack, rounded_rows, save_reader, unpack
from weights import load_weights

from edgeqa.asking.documents import from_path
from examples import Example, Tokens, batches, make_examples, of_squad, read_examples, write_examples

SQUAD = Path(__file__).parents[2] / "tests" / "data" / "squad-v1.1.json"
TOKENIZER = BUNDLED / "tokenizer.json"
MANUAL_PAGE = """LS(1)

  -a, --all
      do not ignore entries starting with a dot. The default is off.
  -C
      list entries by columns, as wide as the terminal is
  --block-size=SIZE
      scale sizes by SIZE before printing them. The default is 1024.
  -h, --human-readable
      print sizes in powers of 1024, as people read them
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    (folder / "ls.1").write_text(MANUAL_PAGE, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory, pages: Path) -> Path:
    """A file of a hundred examples of all kinds."""
    path = tmp_path_factory.mktemp("examples") / "examples.jsonl.xz"
    made = make_examples(SQUAD, pages)
    structural = [example for example in made if example.kind in {"option", "default"}]
    plain = [example for example in made if example.kind not in {"option", "default"}]
    rest = plain[:: max(1, len(plain) // (100 - len(structural)))][: 100 - len(structural)]
    write_examples([*rest, *structural], path)
    return path


@pytest.fixture(scope="module")
def begin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a student that has learnt nothing."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("begin") / "begin.safetensors"
    pack(Student().state_dict(), path)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, examples: Path, begin: Path) -> Path:
    """A student that has seen each of the hundred examples a few times."""
    path = tmp_path_factory.mktemp("student") / "student.ck"
    losses = train_student(examples, TOKENIZER, begin, path, total=400, labels=None)
    assert np.mean(losses[-3:]) < 0.85 * np.mean(losses[:3])
    return path


def test_an_answer_stands_where_its_example_says(examples: Path) -> None:
    made = read_examples(examples)
    assert len(made) == 100
    assert {example.kind for example in made} >= {"answer", "table", "option"}
    for example in made:
        if example.start < 0:
            assert example.end == -1
        else:
            assert example.context[example.start : example.end].strip()


def test_the_same_texts_give_the_same_examples(pages: Path) -> None:
    assert make_examples(SQUAD, pages) == make_examples(SQUAD, pages)


def test_a_hard_twin_lacks_the_answer() -> None:
    made = list(of_squad(SQUAD))
    answers = {(example.question, example.context): example for example in made if example.kind == "answer"}
    for example in made:
        if example.kind in {"paragraph", "dropped"}:
            right = [answer for (question, _), answer in answers.items() if question == example.question]
            assert all(a.context[a.start : a.end].lower() not in example.context.lower() for a in right)
        if example.kind == "swapped":
            assert (example.question, example.context) not in answers


def test_a_manual_page_gives_questions_on_its_options(pages: Path) -> None:
    made = [Example(*fields) for fields in structured.options(pages)]
    assert {"option", "default"} >= {example.kind for example in made} != set()
    defaults = [example for example in made if example.kind == "default"]
    assert {example.context[example.start : example.end] for example in defaults} <= {"off", "1024"}


def test_a_question_is_typed_as_people_type() -> None:
    typed = {
        structured.typed("What is the default value of the block size?", random.Random(seed)) for seed in range(60)
    }
    assert "default value block size" in typed
    assert "What is the default value of the block size" in typed


def test_a_window_holds_the_answer() -> None:
    example = Tokens(0, [1, 2], list(range(500)), 400, 410)
    for seed in range(50):
        begin, part = example.window(100, random.Random(seed))
        assert part.context == list(range(begin, begin + 100))
        assert part.context[part.first : part.last + 1] == list(range(400, 411))


def test_packed_weights_are_nearly_the_same(tmp_path: Path) -> None:
    torch.manual_seed(1)
    weights = {"matrix": torch.randn(8, 16), "vector": torch.randn(16)}
    pack(weights, tmp_path / "packed.safetensors")
    again = unpack(tmp_path / "packed.safetensors")
    for name, value in weights.items():
        assert (again[name] - value).abs().max() < 0.02
    assert torch.equal(rounded_rows(again["matrix"]).round(decimals=4), again["matrix"].round(decimals=4))


def test_training_goes_on_from_its_checkpoint(tmp_path: Path, examples: Path, begin: Path) -> None:
    whole = train_student(examples, TOKENIZER, begin, tmp_path / "whole.ck", total=120, labels=None)
    half = train_student(examples, TOKENIZER, begin, tmp_path / "parts.ck", total=120, labels=None)
    again = train_student(examples, TOKENIZER, begin, tmp_path / "parts.ck", total=120, labels=None)
    assert again == []
    assert half == pytest.approx(whole, rel=0.05)


def test_the_graphs_compute_what_the_trained_network_computes(tmp_path: Path, checkpoint: Path) -> None:
    student = load_student(checkpoint)
    save_reader(student, tmp_path / "reader.safetensors")
    weights, sizes = load_weights(tmp_path / "reader.safetensors")
    assert [weights[f"layers.{n}.f1.weight"].shape[0] for n in range(6)] == list(INNER)
    student.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    question, context = [101, 2054, 2003, 102], [*range(2000, 2060), 102]
    with torch.no_grad():
        expected = student(torch.tensor([question]), torch.tensor([context]), torch.tensor([0]))[0][0].numpy()

    def run(graph: object, **inputs: object) -> list[np.ndarray]:
        session = onnxruntime.InferenceSession(graph.SerializeToString())  # type: ignore[attr-defined]
        outputs: list[np.ndarray] = session.run(None, inputs)
        return outputs

    encode = encode_graph(weights, sizes, int8=False)
    hidden_question = run(encode, input_ids=np.array([question]), position_ids=np.arange(len(question))[None])[0]
    hidden = run(encode, input_ids=np.array([context]), position_ids=np.arange(64, 64 + len(context))[None])[0][0]
    # As float as int8 can be: each value is its own scale's multiple only roughly, so the bound below is not tight.
    scale = (np.abs(hidden).max(1) / 127).astype(np.float32)
    rounded = np.rint(hidden / scale[:, None]).astype(np.int8)
    logits, rows = run(
        read_graph(weights, sizes, int8=False),
        question_hidden=hidden_question,
        context_hidden=rounded[None],
        context_scale=scale,
        likely_tokens=np.array([16]),
    )
    assert len(rows) == 16
    theirs = expected[len(question) :][rows]
    both = theirs[:, 0] > -1e3
    assert both.sum() >= 14  # which tokens are likely may differ at the edge, by the rounding
    np.testing.assert_allclose(logits[0, :-1][both], theirs[both], atol=0.15)
    np.testing.assert_allclose(logits[0, -1], expected[0], atol=0.15)


def test_a_student_rounds_to_8_bits_as_the_graphs_do(checkpoint: Path) -> None:
    student = load_student(checkpoint)
    asked = torch.tensor([[101, 2054, 2003, 102]]), torch.tensor([[*range(2000, 2060), 102]]), torch.tensor([0])
    with torch.no_grad():
        plain = student(*asked)[1]
        student.round_to_8_bits()
        rounded = student(*asked)[1]
    assert 0 < (plain - rounded).abs().max() < 1


def test_questions_asked_together_of_a_context_are_read_as_alone(checkpoint: Path) -> None:
    student = load_student(checkpoint)
    long, short = torch.tensor([[101, 2054, 2003, 2040, 102]]), torch.tensor([[101, 2054, 102, 0, 0]])
    first, other = torch.tensor([[*range(2000, 2060), 102]]), torch.tensor([[*range(3000, 3030), 102, *[0] * 30]])
    with torch.no_grad():
        together = student(torch.cat([long, short, long]), torch.cat([first, other]), torch.tensor([0, 0, 1]))[1]
        alone = [
            student(long, first, torch.tensor([0]))[1][0],
            student(short[:, :3], first, torch.tensor([0]))[1][0],
            student(long, other[:, :31], torch.tensor([0]))[1][0],
        ]
    assert torch.allclose(together[0], alone[0], atol=1e-4)
    assert torch.allclose(together[1, [0, 1, 2, *range(5, 66)]], alone[1], atol=1e-4)
    assert torch.allclose(together[2, :36], alone[2], atol=1e-4)


def test_every_example_is_seen_once_in_a_pass_and_contexts_stay_together() -> None:
    examples = [Tokens(number // 5, [1] * (number % 7), [2] * (20 + number // 5), -1, -1) for number in range(100)]
    stream = batches(examples, window=320, tokens=700, seed=1, contexts_together=True)
    seen: list[int] = []
    shared = 0
    while len(seen) < len(examples):
        batch = next(stream)
        seen += [number for number, _, _ in batch]
        shared += len(batch) - len({each.context_number for _, _, each in batch})
        longest = max(len(e.question) for _, _, e in batch) + max(len(e.context) for _, _, e in batch) + 4
        assert longest * len(batch) <= 700
    assert sorted(seen) == list(range(100))
    assert shared >= 60


def test_near_tokens_have_buckets_of_their_own() -> None:
    buckets = distance_buckets(300)
    assert buckets[10, 10] == 0
    assert len({int(buckets[20, other]) for other in range(13, 28)}) == 15
    assert buckets[0, 250] == buckets[0, 299] == 31


def test_labels_of_other_examples_are_refused(tmp_path: Path) -> None:
    labels_of.Labels(tmp_path / "labels.npz", 3).save()
    with pytest.raises(ValueError, match="labels 3 examples, not 4"):
        labels_of.Labels(tmp_path / "labels.npz", 4)


def test_labels_stand_where_their_tokens_are(tmp_path: Path) -> None:
    known = labels_of.Labels(tmp_path / "labels.npz", 1)
    logits = np.full((50, 2), -5.0, np.float32)
    logits[30] = [4.0, 1.0]
    logits[33] = [0.0, 6.0]
    known.put(0, logits, [-2.0, -2.0])
    window = Tokens(0, [7, 8], list(range(20, 40)), 10, 13)  # tokens 20 to 39 of the context
    laid, labelled = known.of([(0, 20, window)], tokens=30, before=4)
    assert labelled.tolist() == [True]
    assert laid[0, :, 0].argmax() == 30 - 20 + 4
    assert laid[0, :, 1].argmax() == 33 - 20 + 4
    assert laid[0, 0].tolist() == [-6.0, -8.0]


def test_all_steps_make_a_bundle(tmp_path: Path, examples: Path, begin: Path) -> None:
    """With labels given, as somebody has them who does not train the teacher."""
    known = labels_of.Labels(tmp_path / "labels.npz", len(read_examples(examples)))
    known.save()
    options = ["--examples", str(examples), "--labels", str(known.path), "--begin", str(begin)]
    recipe = Recipe(parse_args([str(tmp_path / "made"), *options, "--student-examples", "60"]))
    recipe.folder.mkdir()
    for step in (recipe.make_examples, recipe.train_teacher, recipe.label, recipe.train_student, recipe.make_bundle):
        step()
    manifest = json.loads((recipe.bundle / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["layers"], manifest["split"], manifest["precision"]) == (6, 3, "int8")
    assert "manifest.json" in recipe.status()


def test_the_careful_readers_network_computes_what_the_trained_teacher_does(tmp_path: Path) -> None:
    torch.manual_seed(2)
    teacher = Teacher().eval()
    ids = torch.randint(4, 30_000, (1, 60))
    with torch.no_grad():
        expected = teacher(ids, torch.ones_like(ids, dtype=torch.bool))[0].numpy()
    weights = {name: value.numpy() for name, value in teacher.state_dict().items()}
    np.testing.assert_allclose(mpnet.read(weights, ids[0].numpy()), expected, atol=1e-3)
    names = set(teacher.trained())
    assert {name.split(".")[1] for name in names if name.startswith("layers.")} == {str(n) for n in range(4, 12)}
    pack(teacher.trained(), tmp_path / "upper.safetensors")
    again = unpack(tmp_path / "upper.safetensors")
    assert set(again) == names
    assert {name.partition(".")[0] for name in names} == {"layers", "span"}


@pytest.mark.skipif("EDGEQA_MPNET" not in os.environ, reason="EDGEQA_MPNET names no folder of all-mpnet-base-v2")
def test_the_teacher_learns_and_labels(tmp_path: Path, examples: Path) -> None:
    pretrained = Path(os.environ["EDGEQA_MPNET"])
    losses = train_teacher(examples, pretrained, None, tmp_path / "teacher.ck", total=60)
    assert all(loss < 20 for loss in losses)
    recipe = Recipe(parse_args([str(tmp_path), "--examples", str(examples), "--mpnet", str(pretrained)]))
    recipe.make_base()
    manifest = json.loads((recipe.base / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["name"], manifest["layers"], manifest["precision"]) == ("edgeqa-base", 12, "int8")
    known = labels_of.label(examples, pretrained, tmp_path / "teacher.ck", tmp_path / "labels.npz", minutes=0.1)
    assert known.done.any()
    assert (known.at[known.done][:, :, 0] >= 0).all()


def test_each_document_that_is_calibrated_on_can_be_read_here() -> None:
    folder = Path(__file__).parents[2] / "benchmarks" / "documents" / "docs"
    one_a_kind = {path.suffix: path for path in sorted(folder.iterdir())}
    assert ".pdf" in one_a_kind
    for path in one_a_kind.values():
        assert "".join(from_path(path).blocks()).strip(), path
