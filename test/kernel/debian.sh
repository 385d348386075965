#!/usr/bin/env bash
# debian.sh SUITES ARCHITECTURE COMMAND...: runs a command whose apt knows the packages of these suites of Debian (a list
# in one argument) and no others, from this machine's own mirror. What apt knows otherwise stays as it is, and nothing
# is installed. A suite that the mirror does not have is passed over.
set -euo pipefail
suites=$1 architecture=$2
shift 2

# shellcheck source=/dev/null
source /etc/os-release
mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
  sed -n "s/^$VERSION_CODENAME main //p" | head -n 1)
[[ $mirror ]] || { echo "lab: apt has no source for $VERSION_CODENAME main (try apt-get update)" >&2; exit 1; }
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
options="[arch=$architecture"
[[ ! -e $keyring ]] || options+=" signed-by=$keyring"

own=$(mktemp -d)
trap 'rm -rf "$own"' EXIT
mkdir -p "$own"/{lists,archives}/partial "$own/parts"
for suite in $suites; do echo "deb $options] $mirror $suite main"; done >"$own/sources.list"
cat >"$own/apt.conf" <<END
Dir::Etc::SourceList "$own/sources.list";
Dir::Etc::SourceParts "$own/parts";
Dir::State::Lists "$own/lists";
Dir::Cache "$own";
APT::Sandbox::User "";
APT::Architecture "$architecture";
Dir::State::Status "/dev/null";
END
export APT_CONFIG=$own/apt.conf
apt-get --quiet --quiet update >"$own/log" 2>&1 || true
"$@" 2>>"$own/log" || { status=$?; cat "$own/log" >&2; exit "$status"; }
