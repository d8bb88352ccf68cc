#!/usr/bin/env bash
# Bring the servers that service tests use; they start them themselves, on loopback, each session its own.
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

if command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
    echo "PostgreSQL is here; tests start it themselves."
elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    # Without a server of its own that runs all the time.
    mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
    { apt-get update -qq && apt-get install -y -qq postgresql; } </dev/null >/dev/null ||
        echo "PostgreSQL could not be installed: its tests are skipped." >&2
else
    echo "PostgreSQL is not installed, and this is not root on Debian: its tests are skipped." >&2
fi
