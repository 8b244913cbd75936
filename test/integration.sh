#!/usr/bin/env bash
# Runs the integration tests: those in files with the build tag "integration", not
# the others of their packages once more. Each module's run in that module.
set -euo pipefail
cd "$(dirname "$0")/.."

test/need.sh skopeo
test/need.sh podman
test/need.sh docker docker.io
test/need.sh dockerd docker.io
test/need.sh ctr containerd
test/need.sh nginx
test/need.sh caddy
# moto is in no registry that need.sh knows, so it is used where it is there.
if ! command -v moto_server >/dev/null && [[ ${REGCRED_NEED_MOTO:-} != 1 ]]; then
	echo "LEFT OUT: provider ecr against moto's server, which is not installed (pip install 'moto[server]')"
fi

# module prints the directory of the module that a file is in.
module() {
	local dir
	dir=$(dirname "$1")
	while [[ ! -f $dir/go.mod ]]; do dir=$(dirname "$dir"); done
	echo "$dir"
}

declare -A files
while read -r file; do
	files[$(module "$file")]+="$file "
done < <(grep -rl --include='*_test.go' '^//go:build integration' . | sort)
if ((${#files[@]} == 0)); then
	echo "there are no integration tests" >&2
	exit 1
fi

for module in $(printf '%s\n' "${!files[@]}" | sort); do
	read -ra list <<<"${files[$module]}"
	tests=$(sed -nE 's/^func (Test[A-Za-z0-9_]+)\(t \*testing\.T\).*/\1/p' "${list[@]}" | paste -sd '|')
	mapfile -t packages < <(dirname "${list[@]}" | sort -u | sed "s|^$module|.|")
	(
		set -x
		go -C "$module" test -tags=integration -timeout="${PATIENCE:-40m}" -count=1 -run="^($tests)\$" "${packages[@]}"
	)
done
