#!/usr/bin/env bash
# Finds or installs the PostgreSQL server that tests of shared ledgers start: Debian's.
set -euo pipefail

if command -v initdb > /dev/null || compgen -G "/usr/lib/postgresql/*/bin/initdb" > /dev/null; then exit 0; fi

as_root=()
if [ "$(id -u)" != 0 ]; then as_root=(sudo -n); fi
if command -v apt-get > /dev/null && "${as_root[@]}" true 2> /dev/null; then
  echo "Installing Debian's PostgreSQL for the tests of shared ledgers." >&2
  # The lists of a fresh machine are empty or old.
  "${as_root[@]}" apt-get update -qq || true
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    postgresql > /dev/null || true
fi

if ! compgen -G "/usr/lib/postgresql/*/bin/initdb" > /dev/null; then
  echo "There is no PostgreSQL: tests of shared ledgers are skipped. Install one whose initdb is found." >&2
fi
