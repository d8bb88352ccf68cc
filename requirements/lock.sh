#!/usr/bin/env bash
# Resolve the locks again. Arguments go to the resolver: --upgrade, --upgrade-package NAME.
set -euo pipefail
cd "$(dirname "$0")/.."

# Settings of this machine (an index, a folder of wheels) must leave no trace in a lock.
for name in $(compgen -e | grep -E '^(PIP|UV)_' | grep -vE '_(CERT|TIMEOUT|CACHE_DIR)$'); do
    unset "$name"
done

resolve() {
    local lock="requirements/$1.lock"
    shift
    "${PY:-.venv/bin/python}" -m uv pip compile --quiet --no-config \
        --universal --python-version 3.11 --generate-hashes \
        --custom-compile-command "make lock" --output-file "$lock" "$@" >/dev/null
}

resolve runtime pyproject.toml "$@"
resolve build --group build --constraints requirements/runtime.lock "$@"
resolve dev pyproject.toml --all-extras --group dev \
    --constraints requirements/runtime.lock --constraints requirements/build.lock "$@"
