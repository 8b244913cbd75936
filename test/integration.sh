#!/usr/bin/env bash
# Runs the integration tests: those in files with the build tag "integration", not
# the others of their packages once more.
set -euo pipefail
cd "$(dirname "$0")/.."

test/need.sh skopeo
test/need.sh podman
test/need.sh docker docker.io

mapfile -t files < <(grep -rl --include='*_test.go' '^//go:build integration' . | sort)
if ((${#files[@]} == 0)); then
	echo "there are no integration tests" >&2
	exit 1
fi
tests=$(sed -nE 's/^func (Test[A-Za-z0-9_]+)\(t \*testing\.T\).*/\1/p' "${files[@]}" | paste -sd '|')
mapfile -t packages < <(dirname "${files[@]}" | sort -u)
set -x
go test -tags=integration -count=1 -run="^($tests)\$" "${packages[@]}"
