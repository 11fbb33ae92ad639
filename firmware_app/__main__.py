from __future__ import annotations

import sys

from firmware_app.cli import main

sys.exit(main())
