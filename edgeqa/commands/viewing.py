"""Opening the document of an answer with the program that the system has for it: `edgeqa ask --view`.

Only a file that is there under its own name, of an ending that documents have, and that cannot be run: neither a link
nor a program. It opens nothing that is named by what stands in a document.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from edgeqa.errors import OptionError

# Of what edgeqa reads, what no system runs: neither scripts and settings nor documents with macros.
_DOCUMENTS = frozenset(
    ".txt .text .md .markdown .html .htm .xhtml .pdf .docx .odt .ods .odp .epub .rtf .xlsx .pptx .csv .tsv".split()  # noqa: SIM905 - read more easily without quotes
)
_OPENERS = ("open",) if sys.platform == "darwin" else ("xdg-open", "termux-open")


def view(source: str) -> None:
    """Opens a document in the viewer that the system has for it, and does not wait for it.

    Raises:
        OptionError: if it is no document of its own, or the system has no such program.
    """
    try:
        mode = os.lstat(source).st_mode
    except (OSError, ValueError):
        mode = 0
    if not stat.S_ISREG(mode) or Path(source).suffix.lower() not in _DOCUMENTS or mode & 0o111:
        raise OptionError(name="--view", value=source, expected="for documents of known endings, no links or programs")
    opener = next((found for name in _OPENERS if (found := shutil.which(name))), None)
    if opener is None:
        raise OptionError(name="--view", value=source, expected=f"for systems that have {' or '.join(_OPENERS)}")
    subprocess.Popen(  # noqa: S603 - the opener's absolute path, and a file that was looked at
        [opener, os.path.abspath(source)],  # noqa: PTH100 - an absolute name is no option, whatever it begins with
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
