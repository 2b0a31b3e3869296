"""Trees made without any privilege: what could not be applied is recorded, and comes out as if it had been."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from img.files.trees import scan
from img.oci.apply import apply_tar

SCRIPT = """
import json, os, sys
from img.files.trees import scan
from img.files.view import View
from img.oci.apply import unpack
from img.oci.diff import digest_tree, make_tree
tar, dest, listing = sys.argv[1:]
unpack(dest, [], fds=[os.open(tar, os.O_RDONLY)])
view = View([dest])
paths = ["a", "d", "d/f", "d/l", "cap", "hard"]
seen = {path: list(view.lstat(path)[2:5]) for path in paths}
from img.files.listing import write_listing
write_listing(listing, scan(dest))
os.mkdir(dest + "-again")
make_tree(listing, dest + "-again")
print(json.dumps([digest_tree(dest)["id"], seen, digest_tree(dest + "-again")["id"], view.lstat("cap").xattrs[0][0]]))
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Owners, modes that shut everybody out, a file capability, a hard link to a closed file."""
    source = tmp_path / "source"
    (source / "d").mkdir(parents=True)
    for name in ("a", "d/f", "cap"):
        (source / name).write_text(name)
    (source / "d/l").symlink_to("f")
    os.link(source / "d/f", source / "hard")
    subprocess.run(["chown", "-hR", "33:44", str(source / "d")], check=True)
    subprocess.run(["setcap", "cap_net_raw+ep", str(source / "cap")], check=True)
    os.chmod(source / "a", 0o4755)
    os.chmod(source / "d/f", 0)
    os.chmod(source / "d", 0)
    tar = tmp_path / "layer.tar"
    flags = ["--xattrs", "--xattrs-include=*", "--numeric-owner", "--sort=name"]
    subprocess.run(["tar", *flags, "-C", str(source), "-cf", str(tar), "."], check=True)
    return tar


def test_without_privilege_the_layer_is_the_same(tmp_path: Path, archive: Path) -> None:
    from img.oci.diff import digest_tree

    whole = tmp_path / "whole"
    whole.mkdir()
    with archive.open("rb") as stream:
        apply_tar(stream.read, str(whole))
    open_to_all = Path(tempfile.mkdtemp(dir="/var/tmp"))
    open_to_all.chmod(0o777)
    dest = open_to_all / "tree"
    archive = archive.rename(open_to_all / "layer.tar")
    argv = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--no-new-privs", sys.executable, "-c"]
    program = f"import os, sys; os.mkdir(sys.argv[2]); sys.path[:0] = {[p for p in sys.path if p]!r}\n{SCRIPT}"
    done = subprocess.run(
        [*argv, program, str(archive), str(dest), str(open_to_all / "listing")],
        capture_output=True,
        text=True,
        check=False,
    )
    shutil.rmtree(open_to_all)
    assert done.returncode == 0, done.stderr
    id, seen, again, attribute = json.loads(done.stdout)
    assert id == again == digest_tree(str(whole))["id"]
    assert attribute == "security.capability"
    assert seen == {
        "a": [0o4755, 0, 0],
        "d": [0, 33, 44],
        "d/f": [0, 33, 44],
        "d/l": [0o777, 33, 44],
        "cap": [0o644, 0, 0],
        "hard": [0, 33, 44],
    }
    assert len(list(scan(str(whole)))) == 7
