#!/usr/bin/env bash
# Bring the S3 endpoint that service tests use; they start it themselves, on loopback, each session its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=v1.8.0

if command -v versitygw >/dev/null || [ -x .cache/bin/versitygw ]; then
    echo "S3 endpoint: versitygw is here; tests start it themselves."
elif ! command -v go >/dev/null; then
    echo "S3 endpoint: neither versitygw nor Go (1.21 or newer) to build it is installed: its tests are skipped." >&2
elif GOBIN="$PWD/.cache/bin" go install "github.com/versity/versitygw/cmd/versitygw@$version"; then
    echo "S3 endpoint: versitygw $version built into .cache/bin; tests start it themselves."
else
    echo "S3 endpoint: versitygw could not be built: its tests are skipped." >&2
fi
