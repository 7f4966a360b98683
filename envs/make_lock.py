"""Turn `pip freeze` (standard input) into envs/lock.txt.

GPU libraries are marked as Linux-only, and index addresses never appear.
"""

import re
import sys

LINUX_ONLY = re.compile(r"^(nvidia-|cuda-|triton)")

HEAD = """\
# Exact versions of everything, as tested. Made by `make lock`; installed by `make install` with pip --no-deps.
# torch and torchvision come from the same (default) index: segment-anything imports torchvision, and a torch build
# from elsewhere does not match it.
"""


def main() -> None:
    """Filter standard input to standard output."""
    lines = sorted((line.strip() for line in sys.stdin if re.match(r"^[A-Za-z0-9_.-]+==", line)), key=str.lower)
    print(HEAD + "\n".join(f'{line}; sys_platform == "linux"' if LINUX_ONLY.match(line) else line for line in lines))


if __name__ == "__main__":
    main()
