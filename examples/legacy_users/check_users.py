"""Lets users pass whose address looks like one, and refuses the others: one line in, one line out."""

import json
import sys

for line in sys.stdin:
    user = json.loads(line)
    if "@" not in (user["email"] or ""):
        line = json.dumps({"$reject": {"column": "email", "reason": "no e-mail address"}}) + "\n"
    sys.stdout.write(line)
