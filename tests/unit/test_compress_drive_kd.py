"""Drive-KD items: what is written is read again to the last pixel, and whatever is wrong is said by item."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from test_compress_samples import rows
from typer.testing import CliRunner

from simdrive.agents.language.questions import PHRASINGS
from simdrive.cli import app
from simdrive.compress.drive_kd import ObjectTag, check_items, read_items
from simdrive.compress.drive_kd_export import ExportRequest, chosen_rows, export_items
from simdrive.compress.lessons import Lesson, turns_of
from simdrive.compress.samples import Pictured, Samples, pack, read_samples, write_shard
from simdrive.errors import ParameterError, SimdriveError, UnknownNameError
from simdrive.types import CameraSpec

PICTURED = Pictured((CameraSpec("narrow", 32, 16, 50.0), CameraSpec("wide-left", 32, 16, 120.0)), (-300_000, 0))


def sampled(folder: Path, count: int = 12) -> Samples:
    """Rows with two cameras, the older frame first, in all three splits."""
    made, rng = rows(count), np.random.default_rng(3)
    for k, row in enumerate(made):
        row["split"] = ("train", "validation", "test", "train")[k % 4]
        row["frames"] = pack(rng.integers(0, 255, PICTURED.shape, dtype=np.uint8))
        row["perception"], row["drive"] = f"car lane {k} stands", f"speed -{k} 0 0 side 0m 0m"
    folder.mkdir()
    write_shard(folder / "a.parquet", made, PICTURED)
    return read_samples([folder])


@pytest.mark.parametrize("frames", ["newest", "all"])
def test_what_is_exported_comes_back_word_for_word_and_pixel_for_pixel(tmp_path: Path, frames: Any) -> None:
    samples = sampled(tmp_path / "in")
    counts = export_items([tmp_path / "in"], tmp_path / "out", ExportRequest(frames, style="reason_plan"))
    assert counts == {"train": 24, "validation": 12, "test": 12}
    for split, count in counts.items():
        items = list(read_items(tmp_path / "out" / f"{split}.json"))
        assert len(items) == count
        source = np.flatnonzero(samples.split == split).tolist()
        for place, item in enumerate(items):
            row, part = source[place // 4], place % 4
            topic = ("perception", "reasoning", "planning", "planning")[part]
            lesson = Lesson("reason_plan") if part == 3 else Lesson(topic=topic)
            question, answer = turns_of(samples, row, lesson, row % PHRASINGS)[0]
            assert (item.question, item.turns[0][1], item.question_type) == (question, answer, topic)
            pixels = samples.frames([row])[0][:, ::-1] if frames == "all" else samples.frames([row])[0][:, 1:]
            assert np.array_equal(np.stack(item.pictures()), pixels.reshape(-1, 16, 32, 3))
            each = len(item.images) // 2
            assert item.cameras == ("CAM_NARROW",) * each + ("CAM_WIDE_LEFT",) * each


def test_a_cap_takes_the_same_rows_every_time(tmp_path: Path) -> None:
    sampled(tmp_path / "in")
    for out in ("one", "two"):
        assert export_items([tmp_path / "in"], tmp_path / out, ExportRequest(rows=2)) == {
            "train": 8, "validation": 8, "test": 8,
        }  # fmt: skip
    assert (tmp_path / "one/train.json").read_bytes() == (tmp_path / "two/train.json").read_bytes()
    assert chosen_rows(1000, 10, "train").tolist() == sorted(chosen_rows(1000, 10, "train").tolist())
    assert set(chosen_rows(1000, 10, "train")) < set(chosen_rows(1000, 20, "train"))
    with pytest.raises(ParameterError, match=r"already holds train\.json"):
        export_items([tmp_path / "in"], tmp_path / "one", ExportRequest())


def entry(**changes: Any) -> dict[str, Any]:
    says = [{"role": "user", "content": "<image>what?"}, {"role": "assistant", "content": "that"}]
    return {"messages": says, "images": ["CAM_FRONT/a.png"], "question_type": "perception"} | changes


def asked(text: str) -> dict[str, Any]:
    return entry(messages=[{"role": "user", "content": text}, {"role": "assistant", "content": "that"}])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("items")
    (made / "CAM_FRONT").mkdir()
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(made / "CAM_FRONT/a.png")
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(made / "plain.png")
    (made / "cut.png").write_bytes((made / "plain.png").read_bytes()[:40])
    return made


def written(folder: Path, content: Any) -> Path:
    path = folder / "items.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("root", ["data", "items", "samples", "dataset", "records"])
def test_items_may_lie_in_an_object(folder: Path, root: str) -> None:
    assert len(check_items(written(folder, {"version": 1, root: [entry()]})).items) == 1


@pytest.mark.parametrize(
    ("field", "said", "topic"),
    [
        ("question_type", "Perception", "perception"), ("type", "p", "perception"), ("capability", "r", "reasoning"),
        ("type", "pl", "planning"), ("type", "d", "planning"), ("question_type", "logical-reasoning", "reasoning"),
        ("question_type", " Motion Planning ", "planning"),
    ],
)  # fmt: skip
def test_types_have_other_names(folder: Path, field: str, said: str, topic: str) -> None:
    item = entry()
    del item["question_type"]
    assert next(read_items(written(folder, [item | {field: said}]))).question_type == topic


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (entry(question_type="poem"), "unknown question_type 'poem'"),
        (entry(question_type=None), "unknown question_type None"),
        (entry(question_type=["p"]), "unknown question_type"),
        (3, "item 0 is int, not an object"),
        (entry(messages=[]), "no list of messages"),
        (entry(messages=[{"role": "user", "content": 4}]), "role or content"),
        (entry(messages=entry()["messages"][::-1]), "user and assistant in turn"),
        (entry(messages=entry()["messages"][:1]), "user and assistant in turn"),
        (asked("what?"), "0 <image> marks for 1 images"),
        (asked("<image><image>what?"), "2 <image> marks for 1 images"),
        (entry(images="CAM_FRONT/a.png"), "list of paths"),
        (entry(images=["CAM_FRONT/b.png"]), r"CAM_FRONT/b\.png' does not exist"),
        (entry(images=["\0"]), "does not exist"),
        (entry(images=["x" * 5000]), "does not exist"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_item_is_said(folder: Path, item: Any, message: str) -> None:
    path = written(folder, [item])
    with pytest.raises(SimdriveError, match=message):
        read_items(path)
    found = check_items(path)
    assert [fault.severity for fault in found.faults] == ["error"]
    assert not found.items


def test_unknown_types_may_be_left_out(folder: Path) -> None:
    path = written(folder, [entry(question_type="poem"), entry()])
    found = check_items(path, unknown="skip")
    assert (found.skipped, found.total, len(found.items), found.faults) == (1, 2, 1, ())
    assert found.items[0].number == 1
    with pytest.raises(ParameterError, match="error or skip"):
        check_items(path, unknown="ignore")


def test_damaged_images_are_found_when_they_are_opened(folder: Path) -> None:
    path = written(folder, [entry(images=["cut.png"])])
    assert "damaged" in check_items(path).faults[0].message
    item = next(read_items(path))
    with pytest.raises(SimdriveError, match="item 0: image .*damaged"):
        item.pictures()


@pytest.mark.parametrize("content", ["", '[{"messages": [', "{}", "3", '{"data": 3}', "[" * 100_000, "\ud800"])
def test_files_that_are_none_are_named(folder: Path, content: str) -> None:
    path = folder / "items.json"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(SimdriveError, match=r"items\.json"):
        check_items(path)
    with pytest.raises(SimdriveError, match="does not exist"):
        check_items(folder / "none.json")


def test_object_tags_go_by_camera_and_stay_within_their_picture(folder: Path) -> None:
    text = "<image><c1,CAM_FRONT,0.4678,0.6772> <c2,CAM_FRONT,4.32,0.85> <c3,CAM_BACK,0.1,0.2> <c4,CAM_FRONT,nan,0> <b>"
    found = check_items(written(folder, [asked(text)]))
    assert found.items[0].tags == (ObjectTag("c1", "CAM_FRONT", 0.4678, 0.6772),)
    doubts = [fault.message for fault in found.faults]
    assert [fault.severity for fault in found.faults] == ["doubt"] * 3
    assert "<c2,CAM_FRONT,4.32,0.85> lies outside" in doubts[0]
    assert "without an image here (CAM_FRONT)" in doubts[1]
    assert "<c4,CAM_FRONT,nan,0> is not" in doubts[2]
    # A picture of which nobody says the camera may be any.
    item = asked("<image><c3,CAM_BACK,0.1,0.2>") | {"images": ["plain.png"]}
    assert check_items(written(folder, [item])).items[0].tags[0].camera == "CAM_BACK"


def test_cameras_are_known_by_the_names_of_published_files(folder: Path) -> None:
    name = "n015-2018-08-03-15-00-36+0800__CAM_FRONT_LEFT__1533279665104844.png"
    (folder / name).write_bytes((folder / "plain.png").read_bytes())
    several = entry(
        messages=[{"role": "user", "content": "<image><image>"}, {"role": "assistant", "content": ""}],
        images=[name, "plain.png"],
    )
    assert check_items(written(folder, [several])).cameras() == {"-": 1, "CAM_FRONT_LEFT": 1}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["user", "assistant", "<image>", "p"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["messages", "images", "question_type", "role", "content", "data", "question"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON | st.lists(st.builds(entry, messages=JSON, images=JSON, question_type=JSON), max_size=2))
def test_no_json_is_too_strange_to_check(folder: Path, content: Any) -> None:
    path = written(folder, content)
    try:
        found = check_items(path)
    except SimdriveError:
        return
    assert len(found.items) + sum(fault.severity == "error" for fault in found.faults) == found.total


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text("<c1,CAM_FRONT0.5>- nae", max_size=40) | st.text(max_size=40))
def test_no_text_is_too_strange_for_tags(folder: Path, text: str) -> None:
    found = check_items(written(folder, [asked("<image>" + text.replace("<image>", ""))]), decode=False)
    assert all(0.0 <= tag.x <= 1.0 and 0.0 <= tag.y <= 1.0 for item in found.items for tag in item.tags)


def test_the_commands_export_and_check(tmp_path: Path) -> None:
    sampled(tmp_path / "in")
    run = CliRunner()
    out = tmp_path / "out"
    done = run.invoke(
        app, ["data", "export", f"data=[{tmp_path / 'in'}]", f"out={out}", "frames=all", "rows=2", "--json"]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.splitlines()[-1])["items"] == {"train": 8, "validation": 8, "test": 8}
    checked = run.invoke(app, ["data", "check", str(out / "train.json"), "--json"])
    assert checked.exit_code == 0
    told = json.loads(checked.stdout.splitlines()[-1])
    assert told["types"] == {"perception": 2, "reasoning": 2, "planning": 4}
    assert told["cameras"] == {"CAM_NARROW": 16, "CAM_WIDE_LEFT": 16}
    assert told["faults"] == []
    next((out / "images/train/CAM_NARROW").iterdir()).unlink()
    broken = run.invoke(app, ["data", "check", str(out / "train.json")])
    assert broken.exit_code == 2
    assert "does not exist" in broken.stdout
    for words in (["check"], ["check", "a", "b"], ["export", "out=x"], ["export", "data=x", "out=y", "format=coco"]):
        assert run.invoke(app, ["data", *words]).exit_code == 2


def test_wrong_requests_say_what_is_wrong() -> None:
    with pytest.raises(UnknownNameError, match="newest"):
        ExportRequest(frames="oldest")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="reason_plan"):
        ExportRequest(style="poem")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="rows must be"):
        ExportRequest(rows=0)
