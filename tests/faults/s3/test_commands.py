"""The command line on folders in a bucket."""

import os
import pathlib

import pytest

import gdsim as gd
from tests.faults.s3 import files, key_of, objects
from tests.helpers import gdsim

pytestmark = pytest.mark.full


FILE = """
starts = 40
steps = 200
[problem]
type = "booth"
[[optimizer]]
type = "sgd"
lr = [0.001, 0.01]
[[optimizer]]
type = "adam"
"""


def test_the_command_line(whole, s3, url, tmp_path):
    (tmp_path / "booth.toml").write_text(FILE)
    told = gdsim("run", "booth.toml", "--out", url, "--chunk-seconds", 1e-5, folder=tmp_path)
    assert told[0] == 0, told
    assert f"results: {url}" in told[1]
    assert f"plot:    {url}/convergence.png" in told[1]
    assert os.listdir(tmp_path) == ["booth.toml"]
    assert objects(s3, url, "shards/") == files(whole, "shards")
    code, said, _ = gdsim("status", url, folder=tmp_path)
    assert (code, said.split(",")[0]) == (0, "120 of 120 runs are finished (100.0%)")
    assert gdsim("verify", url, folder=tmp_path)[0] == 0
    code, said, _ = gdsim("report", url, folder=tmp_path)
    assert (code, said.splitlines()[-1]) == (0, f"report: {url}/report.html")
    assert b"gd.open(" in objects(s3, url)["report.html"]
    assert gdsim("report", url, "--out", "here.html", folder=tmp_path)[0] == 0
    for target in ("merged", f"{url}/merged", "again"):
        source = url if target != "again" else f"{url}/merged"
        code, said, _ = gdsim("merge", target, source, folder=tmp_path)
        assert (code, said) == (0, f"{len(files(whole, 'shards'))} shards are new in {target}\n")
    assert files(tmp_path / "merged", "shards") == files(tmp_path / "again", "shards") == files(whole, "shards")
    assert gdsim("export", url, "runs.csv", folder=tmp_path)[0] == 0
    assert len((tmp_path / "runs.csv").read_text().splitlines()) == 121
    name = min(objects(s3, url, "shards/"))
    s3.put_object(**key_of(url, f"shards/{name}"), Body=b"damaged")
    assert gdsim("verify", url, folder=tmp_path)[0] == 4


@pytest.mark.parametrize(("out", "said"), [
    ("s3://nowhere/out", "there is no bucket 'nowhere'"), ("s3://tests", "is no folder of a bucket"), ("s3://", "is no folder of a bucket"),
    ("gs://bucket/out", "cannot be a folder of results: they lie in a directory, or at s3://bucket/folder"),
    (pathlib.Path("s3://tests/out"), "lacks a slash, as an address does that was made a Path"), ("s3://tests/full", "holds other files and no gdsim results"),
])  # fmt: skip
def test_folders_that_are_none(sweep, s3, out, said, tmp_path):
    s3.put_object(**key_of("s3://tests/full", "letter.txt"), Body=b"good day")
    with pytest.raises((ValueError, OSError), match=said) as caught:
        sweep.run(out=out)
    assert "\n" not in str(caught.value)
    if isinstance(out, str):
        code, _, errors = gdsim("status", out, folder=tmp_path)
        assert (code, len(errors.splitlines())) == (2, 1)
    assert os.listdir(tmp_path) == []


def test_folders_that_hold_nothing(s3, url, tmp_path):
    with pytest.raises(ValueError, match=f"there are no gdsim results in '{url}': no object lies there"):
        gd.open(url)
    with pytest.raises(ValueError, match="an address can be that of a folder of results alone"):
        gd.Data.read("s3://tests/data.csv", target="y")
    assert "an address can be" in gdsim("export", url, "s3://tests/runs.csv", folder=tmp_path)[2]
