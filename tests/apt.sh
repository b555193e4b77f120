#!/usr/bin/env bash
# Installs Debian packages for tests, without starting a service: tests/apt.sh WHAT-FOR PACKAGE...
set -euo pipefail

what=$1
packages=("${@:2}")
if dpkg-query --show --showformat='${db:Status-Status}\n' "${packages[@]}" 2>/dev/null \
	| sort --unique | cmp --quiet - <(echo installed); then
	exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "apt.sh: ${packages[*]} are missing: as root, apt-get install ${packages[*]}" >&2
	exit 1
fi

policy=/usr/sbin/policy-rc.d # where packages ask whether they may start a service
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod +x "$policy"
	trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
echo "Installing the packages of $what" >&2
if ! { apt-get update && apt-get install --yes --no-install-recommends "${packages[@]}"; } \
	</dev/null >"$log" 2>&1; then
	cat "$log" >&2
	echo 'apt.sh: apt-get failed; its output is above' >&2
	exit 1
fi
rm -f "$log"
