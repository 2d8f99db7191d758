#!/usr/bin/env bash
# Builds the server if anything has changed and runs it in the current folder. Arguments go to smtp-server.
set -euo pipefail
# shellcheck source=eng/sdk.sh
. "$(dirname "${BASH_SOURCE[0]}")/eng/sdk.sh"

binary=$repository/artifacts/bin/Quorumail.Server/release/smtp-server
stamp=$repository/artifacts/run.stamp

# Asking the compiler costs seconds; asking the file system does not.
changed() {
  [ -x "$binary" ] && [ -e "$stamp" ] || return 0
  [ -n "$(find "$repository/src" "$repository"/Directory.* "$repository/global.json" -newer "$stamp" \
    -not -path '*/bin/*' -not -path '*/obj/*' -print -quit)" ]
}

if changed; then
  say "Building the server (the first time takes a minute or two) …"
  mkdir -p "$repository/artifacts"
  touch "$stamp.new"
  if ! output=$(cd "$repository" && dotnet build src/Quorumail.Server -c Release "${build_options[@]}" 2>&1); then
    say "$output"
    say "The build failed; nothing was started."
    exit 1
  fi
  mv "$stamp.new" "$stamp"
fi

# The server takes this process's place, so that signals reach it.
exec "$binary" "$@"
