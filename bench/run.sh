#!/usr/bin/env bash
# Quorumail against Postfix, in one run on this machine: throughput, latency, CPU a message and memory, both with fsync
# before 250 and with their logs on, in turn (A B A B), each cell on a fresh spool, medians over the rounds.
#
#   bench/run.sh [--quick] [--rounds N] [--seconds S] [--only postfix|quorumail] [--sessions "N …"]
#                [--sizes "BYTES …"] [--output FILE]
#   bench/run.sh cluster-mail [the same]      three nodes of Quorumail, too: mail through a cluster, sessions spread over it;
#                                             and two of three (one is killed), and three with half a million messages queued
#   bench/run.sh cluster [ROUNDS [SECONDS]]   shared state on three processes, beside etcd (Debian's etcd-server)
#
# Prints a Markdown table and writes it to FILE (default artifacts/bench/result.md). Takes about 13 minutes, with
# --quick about 3. Needs root (Postfix) and a C compiler; fetches Postfix into .tools (tests/Quorumail.EndToEnd/peers.sh).
#
# Accept alone is measured in two ways. `accept`: mail is queued and stays there. Postfix's HOLD action leaves it in the
# hold queue, the least that Postfix can do with a message; Quorumail has a route to a next hop that never greets. `discard`:
# both accept, queue, and deliver to their discard transport. `relay`: both deliver to bench/sink over SMTP, and a run
# ends when the sink has the last message; each acknowledged id must be at the sink.
set -Eeuo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/.." && pwd)
tests=$repository/tests/Quorumail.EndToEnd
peers=$repository/.tools/peers/bin
tools=$repository/artifacts/bench
server=${QUORUMAIL_SERVER:-$repository/artifacts/smtp-server/smtp-server}

# Three nodes of each, one cluster at a time; bench/Quorumail.ClusterBench starts, loads and stops them.
cluster() {
  local etcd=$repository/.tools/etcd/usr/bin/etcd
  if [ ! -x "$etcd" ]; then
    mkdir -p "$repository/.tools/etcd"
    (cd "$repository/.tools/etcd" && apt-get -qq download etcd-server && dpkg -x etcd-server_*.deb .) >&2 ||
      { echo "bench: etcd-server can't be fetched; measuring Quorumail alone" >&2; etcd=-; }
  fi
  "$repository/build.sh" >&2
  (cd "$repository" && dotnet build -c Release --nologo -v quiet bench/Quorumail.ClusterBench) >&2
  mkdir -p "$tools"
  {
    echo "Commit $(git -C "$repository" rev-parse --short HEAD 2>/dev/null || echo unknown), $(date -u +%Y-%m-%d), $(nproc) cores shared by clients and all nodes."
    echo "Durability: fsync on a majority before the answer, on both."
    echo
    "$repository/artifacts/bin/Quorumail.ClusterBench/release/Quorumail.ClusterBench" "$repository/artifacts/smtp-server/smtp-server" "$etcd" "$@"
  } | tee "$tools/cluster.md"
}
if [ "${1:-}" = cluster ]; then
  shift
  cluster "$@"
  exit
fi

cluster_mail=
if [ "${1:-}" = cluster-mail ]; then
  shift
  cluster_mail=yes
fi

rounds=3
seconds=2.5
warm_seconds=6
session_counts="1 20 100"
sizes="4096 51200"
idle_connections=5000
queued=500000
servers="postfix quorumail"
output=$tools/result.md
if [ -n "$cluster_mail" ]; then
  servers="postfix quorumail three dead full"
  sizes=4096
  output=$tools/cluster-mail.md
fi
while [ $# -gt 0 ]; do
  case $1 in
    --quick) rounds=1 seconds=1.5 warm_seconds=4 ;;
    --rounds) rounds=$2; shift ;;
    --seconds) seconds=$2; shift ;;
    --only) servers=$2; shift ;;
    --sessions) session_counts=$2; shift ;;
    --sizes) sizes=$2; shift ;;
    --output) output=$2; shift ;;
    *) sed -n '5,8p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
  esac
  shift
done

mkdir -p "$tools"
work=$(mktemp -d "${TMPDIR:-/tmp}/quorumail-bench.XXXXXX")
chmod 755 "$work"
children=() # process ids that this run started and that must not outlive it
clean_up() {
  for pid in "${children[@]}"; do kill -KILL -- "-$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null || true; done
  { wait; } 2>/dev/null
  rm -rf "$work"
}
trap 'log "failed in line $LINENO"' ERR
trap clean_up EXIT
trap 'log "told to stop"; exit 130' INT TERM HUP
log() { echo "bench: $*" >&2; }

# ---- building ------------------------------------------------------------------------------------------------------

build() {
  "$tests/peers.sh" >&2
  for tool in load sink idle; do cc -O2 -Wall -Wextra -o "$tools/$tool" "$here/$tool.c"; done
  case $servers in *quorumail* | *three*)
    if [ -z "${QUORUMAIL_SERVER:-}" ]; then
      "$repository/build.sh" >&2
    fi
    [ -x "$server" ] || { log "$server is not there"; exit 1; }
  esac
}

# ---- processes -----------------------------------------------------------------------------------------------------

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

wait_for_port() { # port pid
  local tries=0
  until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
    kill -0 "$2" 2>/dev/null || { log "the server ended early"; tail -n 20 "$cell/server.log" >&2; exit 1; }
    [ $((tries++)) -lt 600 ] || { log "the server does not listen"; exit 1; }
    sleep 0.05
  done
}

forget() { # pid
  local kept=() pid
  for pid in "${children[@]}"; do [ "$pid" = "$1" ] || kept+=("$pid"); done
  children=("${kept[@]}")
}

start_server() { # name mode(accept|discard|relay) next-hop-port : sets server_pid, port
  port=$(free_port)
  case $1 in
    postfix)
      local settings=("default_transport=discard:")
      [ "$2" = accept ] && settings+=("smtpd_data_restrictions=check_client_access static:HOLD")
      [ "$2" = relay ] && settings=("default_transport=smtp:[127.0.0.1]:$3")
      "$tests/postfix.sh" "$cell/postfix" "$port" "${settings[@]}" >"$cell/server.log" 2>&1 &
      ;;
    quorumail)
      configure "$cell/config.toml" "$port" "$cell/data" "$2" "$3"
      (cd "$cell" && exec setsid "$server" --config "$cell/config.toml") >"$cell/server.log" 2>&1 &
      ;;
    three | dead | full)
      local node ports=() peers=()
      for node in 0 1 2; do ports[node]=$(free_port); peers[node]=$(free_port); done
      for node in 0 1 2; do
        configure "$cell/config$node.toml" "${ports[node]}" "$cell/data$node" "$2" "$3"
        cat >>"$cell/config$node.toml" <<TOML
[cluster]
enabled = true
node_id = "node$node"
bind_address = "127.0.0.1"
bind_port = ${peers[node]}
peers = ["127.0.0.1:${peers[0]}", "127.0.0.1:${peers[1]}", "127.0.0.1:${peers[2]}"]
TOML
      done
      port=${ports[0]},${ports[1]},${ports[2]}
      # One session, whose processes are counted together.
      (cd "$cell" && exec setsid bash -c 'trap "kill 0" TERM; for node in 0 1 2; do "$0" --config "$1/config$node.toml" >"$1/server$node.log" 2>&1 & done; wait' "$server" "$cell") >"$cell/server.log" 2>&1 &
      ;;
  esac
  server_pid=$!
  children+=("$server_pid")
  local each
  for each in ${port//,/ }; do wait_for_port "$each" "$server_pid"; done
}

configure() { # file port data-directory mode next-hop-port
  local route='transport = "discard"'
  if [ "$4" != discard ]; then
    route="transport = \"smtp\"
host = \"127.0.0.1\"
port = $5"
  fi
  cat >"$1" <<TOML
[server]
host = "127.0.0.1"
port = $2
hostname = "quorumail.example"
trusted_networks = ["127.0.0.0/8"]
[storage]
path = "$3"
[http]
port = $(free_port)
[[routes]]
match = "*"
$route
TOML
}

stop() { # pid
  kill -TERM "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
  kill -KILL -- "-$1" 2>/dev/null || true # what a master left behind in its process group
  forget "$1"
}

# One line of figures for each process, its name made one word; a process may end while the list is read.
all_stats() { { cat /proc/[0-9]*/stat 2>/dev/null || true; } | sed 's/^\([0-9]*\) (.*) /\1 x /'; }

# Processor time in clock ticks of all processes of a server's session, its ended children included.
server_ticks() {
  all_stats |
    awk -v session="$server_pid" '$6 == session { sum += $14 + $15; if ($1 == session) sum += $16 + $17 } END { print sum + 0 }'
}

# The same of the load (and of what this script runs) and of the sink.
own_ticks() { sed 's/^\([0-9]*\) (.*) /\1 x /' "/proc/$$/stat" | awk '{ print $16 + $17 }'; }
sink_ticks() { sed 's/^\([0-9]*\) (.*) /\1 x /' "/proc/$sink_pid/stat" | awk '{ print $14 + $15 }'; }

busy_ticks() { awk '/^cpu / { print $2 + $3 + $4 + $7 + $8 + $9 }' /proc/stat; }

# Memory of all processes of a server's session in MB, shared pages counted once (Pss).
server_megabytes() {
  local pid total=0 pss
  for pid in $(all_stats |
    awk -v session="$server_pid" '$6 == session { print $1 }'); do
    pss=$(awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup" 2>/dev/null || true)
    total=$((total + ${pss:-0}))
  done
  awk -v kb="$total" 'BEGIN { printf "%.1f", kb / 1024 }'
}

# ---- measuring -----------------------------------------------------------------------------------------------------

ticks=$(getconf CLK_TCK)
results=$work/results.tsv # cell, server, figure, value
: >"$results"
note() { printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" >>"$results"; }
json() { sed -n "s/.*\"$1\":\([-0-9.]*\).*/\1/p"; }
sink_count() { od -An -t d8 "$cell/count" | tr -d ' '; }
now() { date +%s.%N; }

wait_for_sink() { # wanted
  local last=-1 still=0 count
  while count=$(sink_count); [ "$count" -lt "$1" ]; do
    if [ "$count" = "$last" ]; then still=$((still + 1)); else still=0; fi
    last=$count
    [ $still -lt 600 ] || { log "the sink stays at $count of $1"; return 1; }
    sleep 0.05
  done
}

# Waits until the server has nothing left to do of what came before (compiling, compacting, cleaning up), but not for ever.
settle() {
  local before tries
  for ((tries = 0; tries < 6; tries++)); do
    before=$(server_ticks)
    sleep 1
    if [ $(($(server_ticks) - before)) -le $((ticks / 20)) ]; then return; fi
  done
}

# Runs COMMAND as the load, waits for the sink where there is one, and notes rate and CPU under PREFIX.
timed() { # name server prefix messages|- command...
  local name=$1 kind=$2 prefix=$3 messages=$4
  shift 4
  local begin end server_before busy_before ours_before sink_before before=0
  if [ "$mode" = relay ]; then before=$(sink_count); fi
  sink_before=$(sink_ticks)
  ours_before=$(($(own_ticks) + sink_before))
  busy_before=$(busy_ticks)
  server_before=$(server_ticks)
  begin=$(now)
  "$@" >"$cell/load.json" 2>"$cell/load.err" || { log "load failed: $(tail -n 2 "$cell/load.err")"; return 1; }
  if [ "$messages" = - ]; then messages=$(json messages <"$cell/load.json"); fi
  local accepted
  accepted=$(now)
  if [ "$mode" = relay ]; then wait_for_sink $((before + messages)); fi
  end=$(now)
  local server_used=$(($(server_ticks) - server_before)) busy=$(($(busy_ticks) - busy_before))
  local others=$((busy - server_used - $(own_ticks) - $(sink_ticks) + ours_before))
  awk -v n="$messages" -v s="$server_used" -v o="$others" -v k=$(($(sink_ticks) - sink_before)) \
    -v hz="$ticks" -v begin="$begin" -v accepted="$accepted" -v end="$end" 'BEGIN {
      printf "rate %.1f\naccept_rate %.1f\ncpu_ms %.4f\nsink_cpu_us %.1f\nother_cores %.2f\n",
        n / (end - begin), n / (accepted - begin), s * 1000 / hz / n, k * 1e6 / hz / n, (o < 0 ? 0 : o) / hz / (end - begin) }' |
    while read -r figure value; do note "$name" "$kind" "$prefix$figure" "$value"; done
}

# Starts a server with a sink of its own in a new directory, warms it, and remembers it under KEY.
open_cell() { # key server mode sessions size
  local quiet=
  cell=$work/cell.$((++cells))
  mkdir -p "$cell"
  chmod 755 "$cell"
  : >"$cell/acknowledged"
  local sink_port
  sink_port=$(free_port)
  if [ "$3" = accept ]; then quiet=-q; fi
  "$tools/sink" -p "$sink_port" -c "$cell/count" -i "$cell/ids" $quiet >"$cell/sink.json" &
  sink_pid=$!
  children+=("$sink_pid")
  start_server "$2" "$3" "$sink_port"
  open_cells[$1]="$cell $port $server_pid $sink_pid"
  # Postfix forks its processes; .NET compiles what is hot while it runs, and goes on for seconds after.
  if [ "$2" = postfix ]; then
    "$tools/load" -p "$port" -s "$4" -l "$5" -T 1 >"$cell/warm.json"
  else
    local warm=$warm_seconds
    case $2 in three | dead | full) warm=$((3 * warm_seconds)) ;; esac # each has a third of the load to learn from
    "$tools/load" -p "$port" -s 20 -l 4096 -T "$warm" >"$cell/warm.json"
    "$tools/load" -p "$port" -s 1 -l "$5" -T 1 >>"$cell/warm.json"
  fi
  if [ "$3" = relay ]; then wait_for_sink "$(json messages <"$cell/warm.json" | awk '{ n += $1 } END { print n }')"; fi
  case $2 in
    dead)
      kill -KILL "$(pgrep -s "$server_pid" -f "$cell/config2.toml" | tail -n 1)"
      port=${port%,*}
      open_cells[$1]="$cell $port $server_pid $sink_pid"
      sleep 5 # an election, if it led
      ;;
    full)
      log "queueing $queued messages"
      "$tools/load" -p "$port" -s 100 -l 512 -m "$queued" >"$cell/fill.json"
      ;;
  esac
}

# Of which cells a kind has part: a cluster with a dead node, or with a long queue, in those that ask for it.
takes_part() { # server mode sessions
  case $1 in
    dead) [ "$2" = relay ] && [ "$3" != 1 ] ;;
    full) [ "$2" = accept ] && [ "$3" != 1 ] ;;
  esac
}

# Ends what open_cell started, and looks for each acknowledged message where all must have arrived.
close_cell() { # key
  local lost kind=${1%% *}
  read -r cell port server_pid sink_pid <<<"${open_cells[$1]}"
  unset "open_cells[$1]"
  stop "$server_pid"
  stop "$sink_pid"
  case $1 in *relay*)
    lost=$(sort "$cell/acknowledged" | comm -23 - <(sort -u "$cell/ids") | wc -l)
    if [ "$lost" != 0 ]; then
      log "$kind lost $lost acknowledged messages ($1)"
      failed=1
    fi
    verified=$((verified + $(wc -l <"$cell/acknowledged")))
  esac
  rm -f "$cell/ids" "$cell/acknowledged"
}

# Postfix gets a fresh spool for each cell. Quorumail, whose code is compiled as it runs, is started once a round for
# `discard`, once for `relay`, and once for each size of `accept`, where its queue grows from cell to cell.
measure() { # server mode sessions size
  local kind=$1 sessions=$3 size=$4 key="$1 $2 $3 $4" count
  local name="$2 $3 $4"
  mode=$2
  if [ "$kind" != postfix ]; then
    key="$kind $mode"
    if [ "$mode" = accept ]; then key="$key $size"; fi
  fi
  if [ -z "${open_cells[$key]:-}" ]; then open_cell "$key" "$kind" "$mode" "$sessions" "$size"; fi
  read -r cell port server_pid sink_pid <<<"${open_cells[$key]}"

  settle
  timed "$name" "$kind" "" - "$tools/load" -p "$port" -s "$sessions" -l "$size" -T "$seconds" -a "$cell/latest"
  cat "$cell/latest" >>"$cell/acknowledged"
  for figure in p50_ms p99_ms client_cpu_us; do note "$name" "$kind" $figure "$(json $figure <"$cell/load.json")"; done
  count=$(awk -v r="$(json rate <"$cell/load.json")" -v s="$seconds" -v n="$sessions" \
    'BEGIN { m = int(r * s); print m < n ? n : m }')
  case $kind in postfix | quorumail) # smtp-source talks to one server
    settle
    timed "$name" "$kind" source_ "$count" "$peers/smtp-source" -d -s "$sessions" -m "$count" -l "$size" \
      -f sender@load.example -t recipient@sink.example "127.0.0.1:$port"
  esac
  if [ "$kind" = postfix ]; then close_cell "$key"; fi
}

# Memory idle and with idle connections; Postfix has a process for each and stops at its limit of 100.
measure_idle() { # server
  local kind=$1 wanted=$idle_connections idle_pid
  [ "$kind" = postfix ] && wanted=90
  cell=$work/cell.$((++cells))
  mkdir -p "$cell"
  chmod 755 "$cell"
  start_server "$kind" discard 1
  "$tools/load" -p "$port" -s 20 -T 1 >/dev/null
  sleep 2
  note idle "$kind" megabytes "$(server_megabytes)"
  "$tools/idle" -p "$port" -n "$wanted" >"$cell/idle.json" &
  idle_pid=$!
  children+=("$idle_pid")
  until [ -s "$cell/idle.json" ]; do sleep 0.1; done
  sleep 1
  note idle "$kind" connections "$(json idle <"$cell/idle.json")"
  note idle "$kind" connected_megabytes "$(server_megabytes)"
  stop "$idle_pid"
  stop "$server_pid"
}

# ---- reporting -----------------------------------------------------------------------------------------------------

report() {
  local commit
  commit=$(git -C "$repository" rev-parse --short HEAD 2>/dev/null || echo unknown)
  echo "Commit $commit, $(date -u +%Y-%m-%d), $(nproc) cores $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), \
$(findmnt -no FSTYPE --target "$work" 2>/dev/null || echo unknown) file system, Linux $(uname -r), rounds: $rounds of $seconds s, medians."
  case $servers in *three*)
    echo "three: three nodes of Quorumail on this machine, sessions spread over them; 250 means fsynced on two of the three."
    echo "dead: the same after kill -9 of one, sessions spread over the two that are left. full: the same with $queued messages queued."
    ;;
  esac
  echo "Durability: Quorumail fsyncs body and log before 250 (its default); Postfix $("$peers/postconf" -dh mail_version 2>/dev/null) fsyncs the queue file before 250 (its default)."
  echo "$verified acknowledged messages of the relay runs were looked for at the sink by their ids: $([ "$failed" = 0 ] && echo all were there || echo SOME WERE LOST)."
  echo
  awk -F '\t' '
    { value[$1, $2, $3, ++n[$1, $2, $3]] = $4; if (!(($1) in seen)) { seen[$1]; order[++cells] = $1 } }
    function median(cell, kind, figure,   m, i, j, t, a) {
      m = n[cell, kind, figure]
      if (!m) return ""
      for (i = 1; i <= m; i++) a[i] = value[cell, kind, figure, i] + 0
      for (i = 2; i <= m; i++) for (j = i; j > 1 && a[j - 1] > a[j]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
      return m % 2 ? a[(m + 1) / 2] : (a[m / 2] + a[m / 2 + 1]) / 2
    }
    function show(format, number) { return number == "" ? "–" : sprintf(format, number) }
    END {
      print "| mode | sessions | bytes | server | smtp-source msg/s | load msg/s | p50 ms | p99 ms | CPU ms/msg | CPU ms/msg (smtp-source) | client / sink CPU µs/msg | other processes, cores |"
      print "|---|---|---|---|---|---|---|---|---|---|---|---|"
      for (c = 1; c <= cells; c++) {
        if (order[c] == "idle") continue
        split("postfix quorumail three dead full", kinds, " ")
        for (k = 1; k <= 5; k++) if (n[order[c], kinds[k], "rate"]) {
          split(order[c], part, " ")
          sinkcpu = median(order[c], kinds[k], "sink_cpu_us")
          printf "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s / %s | %s |\n", part[1], part[2], part[3], kinds[k],
            show("%.0f", median(order[c], kinds[k], "source_rate")), show("%.0f", median(order[c], kinds[k], "rate")),
            show("%.2f", median(order[c], kinds[k], "p50_ms")), show("%.2f", median(order[c], kinds[k], "p99_ms")),
            show("%.3f", median(order[c], kinds[k], "cpu_ms")), show("%.3f", median(order[c], kinds[k], "source_cpu_ms")),
            show("%.0f", median(order[c], kinds[k], "client_cpu_us")), show("%.0f", sinkcpu),
            show("%.2f", median(order[c], kinds[k], "other_cores"))
        }
      }
      print ""
      print "| mode | sessions | bytes | | ÷ Postfix, smtp-source | load | p50 | CPU |"
      print "|---|---|---|---|---|---|---|---|"
      for (c = 1; c <= cells; c++) for (k = 2; k <= 5; k++) {
        cell = order[c]
        if (cell == "idle" || !n[cell, "postfix", "rate"] || !n[cell, kinds[k], "rate"]) continue
        split(cell, part, " ")
        printf "| %s | %s | %s | %s | %s | %.2f | %.2f | %.2f |\n", part[1], part[2], part[3], kinds[k],
          n[cell, kinds[k], "source_rate"] ? sprintf("%.2f", median(cell, kinds[k], "source_rate") / median(cell, "postfix", "source_rate")) : "–",
          median(cell, kinds[k], "rate") / median(cell, "postfix", "rate"),
          median(cell, kinds[k], "p50_ms") / median(cell, "postfix", "p50_ms"),
          median(cell, kinds[k], "cpu_ms") / median(cell, "postfix", "cpu_ms")
      }
      print ""
      print "| server | idle MB | idle connections | MB with them | MB above idle |"
      print "|---|---|---|---|---|"
      for (k = 1; k <= 3; k++) if (n["idle", kinds[k], "megabytes"])
        printf "| %s | %.0f | %d | %.0f | %.0f |\n", kinds[k], median("idle", kinds[k], "megabytes"),
          median("idle", kinds[k], "connections"), median("idle", kinds[k], "connected_megabytes"),
          median("idle", kinds[k], "connected_megabytes") - median("idle", kinds[k], "megabytes")
    }' "$results"
}

failed=0
cells=0
verified=0
declare -A open_cells
build
[ "$(id -u)" = 0 ] || case $servers in *postfix*) log "Postfix needs root; measuring Quorumail alone"; servers=quorumail ;; esac
cases=("discard 20 4096")
for size in $sizes; do
  for mode in accept relay; do
    for sessions in $session_counts; do cases+=("$mode $sessions $size"); done
  done
done
for ((round = 1; round <= rounds; round++)); do
  for case in "${cases[@]}"; do
    for kind in $servers; do
      # shellcheck disable=SC2086
      takes_part "$kind" $case || continue
      log "round $round: $kind, $case"
      # shellcheck disable=SC2086
      measure "$kind" $case
    done
  done
  for key in "${!open_cells[@]}"; do close_cell "$key"; done
done
for kind in $servers; do
  case $kind in dead | full) ;; *) measure_idle "$kind" ;; esac
done
report | tee "$output"
exit "$failed"
