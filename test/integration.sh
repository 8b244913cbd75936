#!/usr/bin/env bash
# Runs the integration tests: those named TestIntegration... in files with the
# build tag "integration". A package that has such files and runs none fails.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t packages < <(grep -rl --include='*_test.go' '^//go:build integration' . | xargs -r dirname | sort -u)
if ((${#packages[@]} == 0)); then
	echo "there are no integration tests" >&2
	exit 1
fi
out=$(mktemp)
trap 'rm -f "$out"' EXIT
go test -tags=integration -count=1 -run='^TestIntegration' "${packages[@]}" | tee "$out"
if grep 'no tests to run' "$out"; then
	echo "an integration test is named TestIntegration..." >&2
	exit 1
fi
