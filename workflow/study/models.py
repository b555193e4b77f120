"""The short command for study.planning.models: `python -m study.models STUDY`."""

import sys

from study.planning.models import main

if __name__ == "__main__":
    sys.exit(main())
