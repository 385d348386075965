#!/usr/bin/env bash
# nodes.sh [VITEST-ARGUMENT...]: the tests of the daemon and of the service, or those that are named, on each major version
# of Node.js that is supported and is not the one that `npm test` has used. `npm run test:nodes` builds before.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/iovad-nodes
package=node-linux-$(node -p process.arch)
tests=("$@")
((${#tests[@]})) || tests=(test/daemon/ test/service/)

for major in 20 22 24; do
  [[ $(node -p 'process.versions.node.split(".")[0]') != "$major" ]] || continue
  node=$cache/$major/node_modules/$package/bin/node
  if [[ ! -x $node ]]; then
    mkdir -p "$cache/$major"
    npm install --prefix "$cache/$major" --no-save --no-package-lock --no-audit --no-fund --loglevel error "$package@$major"
  fi
  echo "nodes: Node.js $("$node" --version)"
  # What tests start by its name, too.
  PATH=$(dirname "$node"):$PATH "$node" node_modules/vitest/vitest.mjs run --config test/vitest.config.ts "${tests[@]}"
done
