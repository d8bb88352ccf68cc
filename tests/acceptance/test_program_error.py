"""An error of the program itself: one line for the operator, the rest in a file without secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamconsole.cli import main


def test_an_unexpected_error_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("postgresql://me:hunter2@host/db")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(main.main, "invoke", broken)
    assert main.run([]) == 3
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "Traceback" not in told
    (report,) = tmp_path.glob("streamconsole-error-*.log")
    assert "ZeroDivisionError" in report.read_text()
    assert "hunter2" not in report.read_text()
    assert report.stat().st_mode & 0o077 == 0
