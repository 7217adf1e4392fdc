#!/usr/bin/env bash
# Trains on two hosts for real: two network namespaces, each with a host name and an address of its own, joined by a
# virtual cable.
#
#   tests/two_hosts.sh [--cut_at=REGEX] [--leave_secs=N] -- ARGUMENTS OF train
#
# Without --cut_at both train to the end. With it, the cable is cut once host 0 has printed a line that matches; both
# have to leave by themselves, with an error, within --leave_secs (default 120). Then the cable is mended, and the same
# command has to continue and finish. For example:
#
#   tests/two_hosts.sh --cut_at='step 20:' -- --config=quickstart --workdir=/tmp/two --config.log_every_steps=10
#
# Needs root and iproute2; where it has no right to make namespaces, it says so and ends with 0.
# TWO_HOSTS_COMMAND replaces `python launch/train.py`.
set -euo pipefail
cd "${BASH_SOURCE[0]%/*}/.."

cut_at="" leave_secs=120
while (($#)) && [[ $1 != -- ]]; do
    case $1 in
    --cut_at=*) cut_at=${1#*=} ;;
    --leave_secs=*) leave_secs=${1#*=} ;;
    *) echo "two_hosts: unknown argument $1; arguments of train go after --" >&2 && exit 2 ;;
    esac
    shift
done
(($# > 1)) || { echo "two_hosts: no arguments of train; write them after --" >&2 && exit 2; }
shift
read -ra command <<<"${TWO_HOSTS_COMMAND:-python launch/train.py}"

skip() { echo "SKIPPED: $1" && exit 0; }
command -v ip >/dev/null || skip "there is no 'ip' here; install iproute2"
((EUID == 0)) || skip "only root may make network namespaces"

name=glcic$$ logs=$(mktemp -d)
hosts=("$name-0" "$name-1") addresses=(10.213.7.1 10.213.7.2) pids=()

clean_up() {
    for host in "${hosts[@]}"; do
        ip netns pids "$host" 2>/dev/null | xargs -r kill -KILL 2>/dev/null || true
        ip netns del "$host" 2>/dev/null || true # the cable goes with it
        rm -rf "/etc/netns/${host:?}"
    done
    rmdir /etc/netns 2>/dev/null || true
    rm -rf "$logs"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

make_hosts() {
    for host in "${hosts[@]}"; do
        ip netns add "$host" || return
        mkdir -p "/etc/netns/$host" || return
        # Each finds itself and the other by name; `ip netns exec` puts this over /etc/hosts.
        printf '127.0.0.1 localhost\n%s %s\n%s %s\n' \
            "${addresses[0]}" "${hosts[0]}" "${addresses[1]}" "${hosts[1]}" >"/etc/netns/$host/hosts"
    done
    ip link add cable0 netns "${hosts[0]}" type veth peer name cable0 netns "${hosts[1]}" || return
    for i in 0 1; do
        ip -n "${hosts[i]}" address add "${addresses[i]}/30" dev cable0 || return
        ip -n "${hosts[i]}" link set lo up && ip -n "${hosts[i]}" link set cable0 up || return
    done
    ip netns exec "${hosts[0]}" unshare --uts true
}
make_hosts 2>"$logs/network" || skip "no right to make network namespaces ($(tail -n 1 "$logs/network"))"

start() { # the same command on both hosts; ports differ, since the one before may linger
    local port=$((20000 + RANDOM % 10000))
    for i in 0 1; do
        ip netns exec "${hosts[i]}" unshare --uts bash -c 'hostname "$0" && "$@"; exit $?' "${hosts[i]}" "${command[@]}" \
            "$@" --coordinator="${addresses[0]}:$port" --process_id=$i --process_count=2 >"$logs/$i" 2>&1 &
        pids[i]=$!
    done
}

fail() {
    echo "FAILED: $1"
    for i in 0 1; do echo "--- host $i, last lines" && tail -n 15 "$logs/$i"; done
    exit 1
}

reason() { # the line that says why: of train, or of a library that aborted (F and the date), else the last one
    grep -E '^(train:|F[0-9]{4} )' "$1" | tail -n 1 | grep . || tail -n 1 "$1"
}

wait_for_both() { # sets codes and seconds; $1: how long they may take, 0 for as long as they like
    local begin=$SECONDS
    codes=("" "") seconds=("" "")
    while [[ -z ${codes[0]} || -z ${codes[1]} ]]; do
        for i in 0 1; do
            if [[ -z ${codes[i]} ]] && ! kill -0 "${pids[i]}" 2>/dev/null; then
                wait "${pids[i]}" && codes[i]=0 || codes[i]=$?
                seconds[i]=$((SECONDS - begin))
            fi
        done
        if (($1 && SECONDS - begin > $1)); then fail "still running $1 s later: codes '${codes[*]}' so far"; fi
        sleep 0.2
    done
}

start "$@"
if [[ $cut_at ]]; then
    until grep -qE -- "$cut_at" "$logs/0"; do
        for pid in "${pids[@]}"; do kill -0 "$pid" 2>/dev/null || fail "ended before a line matched '$cut_at'"; done
        sleep 0.1
    done
    echo "cut after: $(grep -E -- "$cut_at" "$logs/0" | head -n 1)"
    ip -n "${hosts[0]}" link set cable0 down
    wait_for_both "$leave_secs"
    for i in 0 1; do
        echo "host $i left ${seconds[i]} s later with exit code ${codes[i]}: $(reason "$logs/$i")"
        ((codes[i])) || fail "host $i said that it was done"
    done
    ip -n "${hosts[0]}" link set cable0 up
    echo "cable mended, the same command again"
    start "$@"
fi
wait_for_both 0
for i in 0 1; do ((codes[i] == 0)) || fail "exit codes ${codes[*]}"; done
grep -m 1 '^continuing' "$logs/0" || true
echo "host 0: $(tail -n 1 "$logs/0")"
echo "PASSED"
