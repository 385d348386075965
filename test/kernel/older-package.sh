#!/usr/bin/env bash
# older-package.sh FOLDER: puts the Debian package of the first commit that took over from an earlier process into FOLDER,
# to upgrade from. Nothing where the history does not go back so far.
set -euo pipefail
checkout=$(cd "$(dirname "$0")/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/iovad-lab
commit=abb020604cee5c78f9d385e18e94af8defa7c0f8
entry=$cache/older-package-${commit:0:16}

if [[ ! -e $entry ]]; then
  git -C "$checkout" cat-file -e "$commit^{commit}" 2>/dev/null || {
    echo "lab: no older package: the history of this checkout does not have $commit" >&2
    exit 0
  }
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/older.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mkdir "$work/source" "$work/package"
  git -C "$checkout" archive "$commit" | tar -x -C "$work/source"
  # What it was built with is what is used today, but for what has been added.
  ln -s "$checkout/node_modules" "$work/source/node_modules"
  (cd "$work/source" && npm run --silent build && node dist/package/deb.js "$work/package") >&2
  mv "$work/package" "$entry"
fi
mkdir -p "$1"
cp "$entry"/*.deb "$1"
