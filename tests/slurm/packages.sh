#!/usr/bin/env bash
# Installs what the test cluster needs, on Debian 12, without starting a service.
set -euo pipefail

# mariadb-server-core has the binaries without the service and without its database in /var/lib.
exec "$(dirname "${BASH_SOURCE[0]}")/../apt.sh" 'the SLURM test cluster' \
	slurmctld slurmd slurm-client slurmdbd slurm-wlm-mysql-plugin munge mariadb-server-core
