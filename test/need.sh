#!/usr/bin/env bash
# need.sh PROGRAM [PACKAGE]: sees that a program is there which some tests need.
#
# A missing one is installed from Debian's PACKAGE, by default that of the same name, by
# root on Debian. Otherwise this fails, so that no test is left out in silence. Who cannot
# have the program says so: REGCRED_WITHOUT="skopeo gcc" leaves out what needs it.
set -euo pipefail

program=$1
package=${2:-$program}

if command -v "$program" >/dev/null; then
	exit 0
fi
if [[ " ${REGCRED_WITHOUT:-} " == *" $program "* ]]; then
	echo "LEFT OUT: what needs $program, as REGCRED_WITHOUT says"
	exit 0
fi
if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
	echo "$program is missing: installing it with apt-get"
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	export DEBIAN_FRONTEND=noninteractive
	if { apt-get update && apt-get install --yes --no-install-recommends "$package"; } >"$log" 2>&1 </dev/null; then
		exit 0
	fi
	tail -n 20 "$log" >&2
fi
echo "$program is missing and cannot be installed here: install it, or set REGCRED_WITHOUT=$program to go without what needs it" >&2
exit 1
