#!/usr/bin/env bash
# Finds or installs the browser that tests/browser drives: Debian's chromium, or else Playwright's own.
set -euo pipefail

for name in chromium chromium-browser google-chrome; do
  # Ubuntu's chromium-browser can be a stub that asks for a snap: only one that answers counts.
  if command -v "$name" > /dev/null && "$name" --version > /dev/null 2>&1; then exit 0; fi
done

as_root=()
if [ "$(id -u)" != 0 ]; then as_root=(sudo -n); fi
if command -v apt-get > /dev/null && "${as_root[@]}" true 2> /dev/null; then
  echo "Installing Debian's chromium for the browser tests." >&2
  # The lists of a fresh machine are empty or old.
  "${as_root[@]}" apt-get update -qq || true
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    chromium fonts-dejavu-core > /dev/null || true
  if command -v chromium > /dev/null && chromium --version > /dev/null 2>&1; then exit 0; fi
fi

echo "Installing Playwright's chromium for the browser tests." >&2
.venv/bin/playwright install --only-shell chromium > /dev/null 2>&1 ||
  echo "There is no chromium: the browser tests are skipped. Install one that is found as chromium." >&2
