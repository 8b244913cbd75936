#!/usr/bin/env bash
# fuzz.sh TIME: runs every fuzz target of the main module for TIME each. A failing
# input is left under testdata/fuzz of its package, to be committed with the fix.
set -euo pipefail
cd "$(dirname "$0")/.."

time=${1:?a Go duration, such as 20s}
count=0
while IFS=: read -r file target; do
	echo "==> $target in $(dirname "$file")"
	go test -run='^$' -fuzz="^$target\$" -fuzztime="$time" "./$(dirname "$file")" </dev/null
	count=$((count + 1))
done < <(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed 's/:func /:/; s#^\./##' | sort)
echo "fuzzed $count targets for $time each"
((count > 0))
