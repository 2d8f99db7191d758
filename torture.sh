#!/usr/bin/env bash
# What takes longer than ./test.sh may. Each prints its seed; the same seed draws the same sizes, bodies, faults and victims.
#
#   ./torture.sh --minutes N [--seed S] [--nodes N]          shared state of a cluster in network namespaces under random faults (root)
#   ./torture.sh mail [--minutes N] [--seed S] [--nodes N]   mail through the same faults; every message is accounted for: 10 minutes
#       --faults kill-leader,power-all,...                   draws from these only (docs/reliability.md has the table)
#   ./torture.sh [--rounds N] [--seed S] [--large]           kill -9 and power cuts of a lone server under mail: 10 rounds
#   ./torture.sh large                                       50 messages of 25 MB at once through three nodes
#   ./torture.sh limits [--minutes N] [--seed S]             two connections to a next hop, for five nodes, through faults of the network, kills and restarts
#   ./torture.sh failover [--rounds N]                       kill -9 of the leader at the default keys, and how long nobody leads: 20 rounds
#   ./torture.sh takeover [--rounds N]                       kill -9 and silence of a node with mail at the default keys, and how long it waits: 10 rounds
#   ./torture.sh frames [--seed S]                           a million mutated frames to port 9000
#   ./torture.sh snapshot                                    1 GiB of state, and as much shared state as there may be, to an empty node
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
rounds=
seed=$((RANDOM * 32768 + RANDOM))
minutes=
nodes=3
large=
what=
while [ $# -gt 0 ]; do
  case $1 in
    mail | large | limits | failover | takeover | frames | snapshot) what=$1 ;;
    --minutes) minutes=$2; shift ;;
    --nodes) nodes=$2; shift ;;
    --faults) export QUORUMAIL_FAULTS=$2; shift ;;
    --rounds) rounds=$2; shift ;;
    --seed) seed=$2; shift ;;
    --large) large=yes ;;
    *) sed -n '4,13p' "$0" >&2; exit 2 ;;
  esac
  shift
done
[ -n "$what" ] || what=$([ -n "$minutes" ] && echo cluster || echo crash)
PATH=$PWD/.dotnet:$PATH
bin=artifacts/bin

build() { # project...
  for project in "$@"; do
    dotnet build -c Release --nologo -v quiet "$project"
  done
}

ends() { # arguments of the end-to-end tests
  "$bin/Quorumail.EndToEnd/release/Quorumail.EndToEnd" -showLiveOutput "$@"
}

logs() { # arguments of the cluster's tests
  "$bin/Quorumail.Cluster.Tests/release/Quorumail.Cluster.Tests" -showLiveOutput "$@"
}

case $what in
  crash)
    build src/Quorumail.Server tests/Quorumail.EndToEnd
    echo "torture: ${rounds:=10} rounds, seed $seed"
    QUORUMAIL_ROUNDS=$rounds QUORUMAIL_SEED=$seed ends -class Quorumail.EndToEnd.Crash.CrashTests
    [ -z "$large" ] || QUORUMAIL_LARGE=yes ends -class Quorumail.EndToEnd.FirstUse.ResourceTests
    ;;
  mail)
    build src/Quorumail.Server tests/Quorumail.EndToEnd
    echo "torture: ${minutes:=10} minutes, $nodes nodes, seed $seed"
    QUORUMAIL_MINUTES=$minutes QUORUMAIL_NODES=$nodes QUORUMAIL_SEED=$seed ends -explicit only -class Quorumail.EndToEnd.Cluster.Mail.MailTortureTests
    ;;
  cluster)
    build src/Quorumail.Server tests/Quorumail.EndToEnd
    echo "torture: $minutes minutes, $nodes nodes, seed $seed"
    QUORUMAIL_MINUTES=$minutes QUORUMAIL_NODES=$nodes QUORUMAIL_SEED=$seed ends -explicit only -class Quorumail.EndToEnd.Cluster.Faults.TortureTests
    ;;
  large)
    build src/Quorumail.Server tests/Quorumail.EndToEnd
    QUORUMAIL_SEED=$seed ends -explicit only -class Quorumail.EndToEnd.Cluster.Mail.LargeMailTests
    ;;
  limits)
    build src/Quorumail.Server tests/Quorumail.EndToEnd
    echo "torture: $minutes minutes, seed $seed"
    QUORUMAIL_MINUTES=$minutes QUORUMAIL_SEED=$seed ends -class Quorumail.EndToEnd.Cluster.Mail.DestinationLimitTests
    ;;
  failover)
    build src/Quorumail.Server tests/Quorumail.EndToEnd
    echo "torture: ${rounds:=20} rounds"
    QUORUMAIL_FAILOVERS=$rounds ends -class Quorumail.EndToEnd.Cluster.FailoverTests
    ;;
  takeover)
    build src/Quorumail.Server tests/Quorumail.EndToEnd
    echo "torture: ${rounds:=10} rounds, seed $seed"
    QUORUMAIL_TAKEOVERS=$rounds QUORUMAIL_SEED=$seed ends -class Quorumail.EndToEnd.Cluster.Mail.TakeoverTests
    ;;
  frames)
    build tests/Quorumail.Cluster.Tests
    echo "torture: 1000000 frames, seed $seed"
    QUORUMAIL_FRAMES=1000000 QUORUMAIL_FUZZ_SEED=$seed logs -class Quorumail.Cluster.Tests.Transport.HostileFramesTests
    ;;
  snapshot)
    build tests/Quorumail.Cluster.Tests src/Quorumail.Server tests/Quorumail.EndToEnd
    QUORUMAIL_SNAPSHOT_MB=1024 logs -class Quorumail.Cluster.Tests.Raft.LargeSnapshotTests
    ends -explicit only -class Quorumail.EndToEnd.Cluster.Faults.LargeStateTests
    ;;
esac
