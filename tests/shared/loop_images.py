"""Small ext4 file systems in image files, on loop devices: disks that are full, or lose their power."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MEGABYTE = 1 << 20
PROGRAMS = ("mkfs.ext4", "mount", "umount", "losetup")


def _missing() -> str | None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "needs root, to mount an ext4 image: run it as root"
    if lacking := [program for program in PROGRAMS if shutil.which(program) is None]:
        return f"needs {', '.join(lacking)}: apt-get install e2fsprogs mount"
    if not Path("/dev/loop-control").exists():
        return "needs loop devices, to mount an ext4 image: run it where /dev/loop-control is"
    return None


MISSING = _missing()
needs_loop_devices = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")


def make(image: Path, megabytes: int, block: int) -> None:
    """A new, empty ext4 file system, in blocks of so many bytes; all of its space may be used."""
    with image.open("wb") as file:
        file.truncate(megabytes * MEGABYTE)
    _run("mkfs.ext4", "-q", "-F", "-b", str(block), "-m", "0", "-J", f"size={block // 1024}", str(image))


@contextmanager
def mounted(image: Path, *options: str) -> Iterator[Path]:
    """The file system of an image, in a folder beside it. A journal that is left over is replayed first."""
    folder = image.with_name(f"{image.name}.mounted")
    folder.mkdir()
    try:
        _run("mount", "-o", ",".join(("loop", *options)), str(image), str(folder))
    except subprocess.CalledProcessError as error:
        pytest.skip(f"needs to mount an ext4 image, which is not let here: {error.stderr.strip()}")
    try:
        yield folder
    finally:
        _unmount(folder)


def _unmount(folder: Path) -> None:
    for tries_left in reversed(range(200)):
        try:
            _run("umount", str(folder))
            break
        except subprocess.CalledProcessError:  # a process that was killed has not let go of its files yet
            if not tries_left:
                raise
            time.sleep(0.02)
    folder.rmdir()


class Power:
    """The power of the disk that the image of a mounted file system stands for."""

    def __init__(self, image: Path) -> None:
        self._image = image
        loop = _run("losetup", "-n", "-O", "NAME", "-j", str(image)).strip()
        self._statistics = Path("/sys/block", Path(loop).name, "stat")
        self._data = bytearray(image.stat().st_size)

    def cut(self, copy: Path) -> bool:
        """Copy the image as it is now: all that the file system has sent to its device, and nothing that it still has
        in memory. False where a write was completed meanwhile: then the copy would be of no one moment."""
        before = self._writes()
        with self._image.open("rb", buffering=0) as file:
            file.readinto(self._data)
        if self._writes() != before:
            return False
        copy.write_bytes(self._data)
        return True

    def _writes(self) -> list[str]:
        return self._statistics.read_text().split()[4:7]  # completed, merged, and their sectors


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
