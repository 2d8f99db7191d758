#!/usr/bin/env bash
# Publishes the server to artifacts/smtp-server/ and packs it. It then runs on any Linux with glibc, without .NET.
#
#   ./build.sh              for this machine
#   ./build.sh linux-arm64  for another: linux-x64 or linux-arm64
set -euo pipefail
# shellcheck source=eng/sdk.sh
. "$(dirname "${BASH_SOURCE[0]}")/eng/sdk.sh"

runtime=${1:-}
if [ -z "$runtime" ]; then
  case "$(uname -m)" in
    x86_64) runtime=linux-x64 ;;
    aarch64) runtime=linux-arm64 ;;
    *) say "There is no native store for $(uname -m); linux-x64 and linux-arm64 can be built."; exit 1 ;;
  esac
fi

target=$repository/artifacts/smtp-server
archive=$repository/artifacts/smtp-server-$runtime.tar.gz
most_megabytes=70

say "Publishing for $runtime …"
cd "$repository"
self_contained=true
kind="runs without .NET"
if ! output=$(dotnet restore src/Quorumail.Server -p:ShippedRuntime="$runtime" -p:SelfContained=true -p:PublishReadyToRun=true --verbosity quiet 2>&1); then
  say "$output"
  say "The runtime could not be fetched to be packed along; publishing without it."
  self_contained=false
  kind="needs the ASP.NET Core 10 runtime"
fi
rm -rf "$target"
# Compiled ahead of time, it starts in two thirds of the CPU time, and half a minute of load does not go into compiling.
dotnet publish src/Quorumail.Server -c Release -p:ShippedRuntime="$runtime" -p:SelfContained=$self_contained -p:PublishReadyToRun=$self_contained \
  -p:DebugType=embedded --output "$target" "${build_options[@]}" >&2

tar -C "$repository/artifacts" -czf "$archive" smtp-server
megabytes=$(($(stat -c %s "$archive") / 1048576))
if [ "$megabytes" -gt "$most_megabytes" ]; then
  say "$archive has $megabytes MB, more than $most_megabytes."
  exit 1
fi

echo "artifacts/smtp-server/smtp-server: $("$target/smtp-server" --version 2>/dev/null || echo "for $runtime"), $kind"
echo "${archive#"$repository"/}: $megabytes MB"
