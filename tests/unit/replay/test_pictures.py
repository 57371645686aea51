from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import EnvironmentFault, UsageError
from replay.pictures import blank, check, save


def test_a_picture_is_written_into_a_folder_made_for_it(tmp_path: Path) -> None:
    save(blank(1, 1), tmp_path / "new" / "a.png")
    assert (tmp_path / "new" / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_format_that_cannot_be_drawn_is_refused() -> None:
    check(Path("a.SVG"))
    with pytest.raises(UsageError, match="unknown format"):
        check(Path("a.docx"))


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match="file/a"):
        save(blank(1, 1), tmp_path / "file" / "a.png")
