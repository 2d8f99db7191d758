#!/usr/bin/env bash
# The crash tests again and again: kill -9 under load, a ledger of every acknowledged message after each, and the large-mail
# memory figure. Prints the seed; the same seed repeats sizes, bodies, trouble and the numbers after which it kills.
#
#   ./torture.sh [--rounds N] [--seed S] [--large]     default: 10 rounds, a random seed, without the large mail
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
rounds=10
seed=$((RANDOM * 32768 + RANDOM))
large=
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=$2; shift ;;
    --seed) seed=$2; shift ;;
    --large) large=yes ;;
    *) sed -n '5p' "$0" >&2; exit 2 ;;
  esac
  shift
done
PATH=$PWD/.dotnet:$PATH
dotnet build -c Release --nologo -v quiet src/Quorumail.Server
dotnet build -c Release --nologo -v quiet tests/Quorumail.EndToEnd
tests=artifacts/bin/Quorumail.EndToEnd/release/Quorumail.EndToEnd
echo "torture: $rounds rounds, seed $seed"
QUORUMAIL_ROUNDS=$rounds QUORUMAIL_SEED=$seed "$tests" -showLiveOutput -class Quorumail.EndToEnd.Crash.CrashTests
[ -z "$large" ] || QUORUMAIL_LARGE=yes "$tests" -showLiveOutput -class Quorumail.EndToEnd.FirstUse.ResourceTests
