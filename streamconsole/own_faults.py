"""What becomes of an error of this program: a file for its developers, a line for the operator."""

from __future__ import annotations

import traceback
from contextlib import suppress
from pathlib import Path

from streamconsole.engines import private_files
from streamconsole.engines.secrets import mask


def kept(error: Exception, path: Path) -> str:
    """Keep what a developer needs to know in a file; gives what the operator needs to know."""
    with suppress(OSError):
        # Nowhere to write it to; the line that follows must come all the same.
        private_files.append(path, mask("".join(traceback.format_exception(error))))
    return f"the console stopped by an error of this program ({type(error).__name__}): details in {path}"
