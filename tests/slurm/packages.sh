#!/usr/bin/env bash
# Installs what the test cluster needs, on Debian 12, without starting a service.
set -euo pipefail

# mariadb-server-core has the binaries without the service and without its database in /var/lib.
packages=(slurmctld slurmd slurm-client slurmdbd slurm-wlm-mysql-plugin munge mariadb-server-core)
if dpkg-query --show --showformat='${db:Status-Status}\n' "${packages[@]}" 2>/dev/null \
	| sort --unique | cmp --quiet - <(echo installed); then
	exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "packages.sh: run it as root: sudo ${BASH_SOURCE[0]}" >&2
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
echo 'Installing the packages of the SLURM test cluster' >&2
if ! { apt-get update && apt-get install --yes --no-install-recommends "${packages[@]}"; } \
	</dev/null >"$log" 2>&1; then
	cat "$log" >&2
	echo 'packages.sh: apt-get failed; its output is above' >&2
	exit 1
fi
rm -f "$log"
