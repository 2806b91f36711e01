#!/usr/bin/env bash
# Installs the server into a copy of this system that is thrown away, boots systemd there in
# namespaces of its own, and runs the units for real. Needs root, systemd, ffmpeg, python3, openssl and haproxy.
# Prints a line for each check and fails if any of them does.
set -euo pipefail
cd "$(dirname "$0")/../../.."

units=(systemd-udevd systemd-sysctl systemd-modules-load systemd-random-seed systemd-timesyncd
    systemd-logind systemd-tmpfiles-setup-dev)

fail() {
    echo "tests/programs/systemd/boot.sh: $*" >&2
    exit 1
}

# Runs as the first process of the new namespaces: the system is the old one, with all that is
# written kept in memory, and with a /dev, /proc, /run and /sys of its own.
boot() {
    local box=$1 root=$1/root name
    mount --make-rprivate /
    mount -t tmpfs tmpfs "$box"
    mkdir "$box/upper" "$box/work" "$root"
    mount -t overlay overlay -o "lowerdir=/,upperdir=$box/upper,workdir=$box/work" "$root"
    make -s install DESTDIR="$root" >&2
    mount -t proc proc "$root/proc"
    mount --bind -o ro /proc/sys "$root/proc/sys"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
    mount -t tmpfs -o mode=755 tmpfs "$root/dev"
    for name in null zero full random urandom tty; do
        touch "$root/dev/$name"
        mount --bind "/dev/$name" "$root/dev/$name"
    done
    ln -s /proc/self/fd "$root/dev/fd"
    mkdir "$root/dev/shm" "$root/dev/pts"
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
    ln -s pts/ptmx "$root/dev/ptmx"
    rm -rf "$root"/etc/systemd/system/*.wants "$root/var/log/journal"
    for name in "${units[@]}"; do
        ln -sf /dev/null "$root/etc/systemd/system/$name.service"
    done
    mkdir "$root/run/old"
    cd "$root"
    pivot_root . run/old
    umount -l /run/old
    exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        /lib/systemd/systemd --unit=basic.target --show-status=no
}

# A command inside.
in_box() {
    nsenter -t "$init" --mount --pid --uts --ipc --net --cgroup --root --wd -- \
        env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# Waits until a shell command inside succeeds, 10 s and more at most.
eventually() {
    local tries
    for ((tries = 0; tries < 50; tries++)); do
        if in_box bash -c "$1" >/dev/null 2>&1; then
            return
        fi
        sleep 0.2
    done
    return 1
}

# check NAME COMMAND: the shell command succeeds inside, now or soon.
check() {
    if eventually "$2"; then
        echo "ok      $1"
    else
        echo "FAILED  $1: $2"
        failed=1
    fi
}

of_service() {
    in_box systemctl show rtmp-server.service --property "$1" --value
}

# Settings that replace those of before: the flags, then lines for the unit.
configure() {
    in_box bash -c 'mkdir -p /run/systemd/system/rtmp-server.service.d
        echo "RTMP_SERVER_FLAGS=$1" >/etc/default/rtmp-server
        { echo "[Service]"; shift; printf "%s\n" "$@"; } >/run/systemd/system/rtmp-server.service.d/test.conf
        systemctl daemon-reload' - "$@"
}

log_has() {
    echo "journalctl -u rtmp-server -o json | grep -F '\"PRIORITY\":\"$1\"' | grep -qF '\"MESSAGE\":\"$2'"
}

checks_of_the_service() {
    in_box bash -c 'printf "#!/bin/sh\nid -u >user && ! touch /usr/x /home/x && touch done\n" >/usr/local/bin/hook
        chmod +x /usr/local/bin/hook'
    configure "-hook-script publish_start=/usr/local/bin/hook"
    in_box systemctl start rtmp-server || true
    check "starts and says that it is ready" "systemctl is-active rtmp-server"
    check "has a status" "systemctl status rtmp-server | grep -q 'Status: \"0 streams, 0 viewers, 0 Mbit/s out\"'"
    check "logs with priorities and without times" "$(log_has 6 'listening addr=[::]:1935')"
    in_box ffmpeg -loglevel quiet -re -f lavfi -i testsrc=size=64x64 -c:v flv \
        -f flv rtmp://127.0.0.1/live/x </dev/null &
    local publisher=$!
    check "is published to" "systemctl status rtmp-server | grep -q 'Status: \"1 streams, 0 viewers, 0 Mbit/s out\"'"
    check "runs hooks in its directory, as a user without rights, who can write nowhere else" \
        "test -e /var/lib/rtmp-server/done && test \$(cat /var/lib/rtmp-server/user) -gt 60000"
    check "runs without rights" "grep -q 'CapBnd:.0000000000000000' /proc/\$(systemctl show rtmp-server -P MainPID)/status"
    check "runs behind a filter of system calls" "grep -q 'Seccomp:.2' /proc/\$(systemctl show rtmp-server -P MainPID)/status"
    check "may have as many connections as it wants" "! journalctl -u rtmp-server | grep -q 'fewer connections'"
    in_box systemctl reload rtmp-server || true
    check "reloads" "$(log_has 6 'reloaded')"
    check "goes on after that" "systemctl is-active rtmp-server"
    in_box systemctl stop rtmp-server || true
    check "stops cleanly" "systemctl show rtmp-server | grep -qx Result=success && $(log_has 6 'stopped')"
    wait "$publisher" || true
}

# Whom a TLS client of the socket is shown.
shown='openssl s_client -connect 127.0.0.1:443 </dev/null 2>/dev/null | grep -q'

make_certificate() {
    in_box bash -c 'cd /etc/ssl/rtmp && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$1" \
        -addext subjectAltName=DNS:localhost -keyout privkey.pem -out fullchain.pem 2>/dev/null
        chgrp ssl-cert privkey.pem && chmod 640 privkey.pem' - "$1"
}

checks_of_tls() {
    in_box bash -c 'mkdir /etc/ssl/rtmp && groupadd -f -r ssl-cert'
    make_certificate first
    configure "-tls-cert /etc/ssl/rtmp/fullchain.pem -tls-key /etc/ssl/rtmp/privkey.pem" \
        "SupplementaryGroups=ssl-cert"
    in_box systemctl start rtmp-server-tls.socket
    check "is started by the first who connects by TLS" "$shown 'CN = first'"
    check "runs HAProxy behind a filter of system calls, without rights" \
        "grep -q 'Seccomp:.2' /proc/\$(pgrep -x haproxy)/status && grep -q 'CapBnd:.0000000000000000' /proc/\$(pgrep -x haproxy)/status"
    in_box ffmpeg -loglevel quiet -re -f lavfi -i testsrc=size=64x64 -c:v flv \
        -f flv rtmps://127.0.0.1/live/x </dev/null &
    local publisher=$!
    check "is published to by TLS" "systemctl status rtmp-server | grep -q 'Status: \"1 streams, 0 viewers, 0 Mbit/s out\"'"
    make_certificate second
    in_box systemctl reload rtmp-server || true
    check "shows a renewed certificate after a reload" "$shown 'CN = second'"
    check "has not lost the publisher" "systemctl status rtmp-server | grep -q 'Status: \"1 streams, 0 viewers, 0 Mbit/s out\"'"
    in_box bash -c 'kill -KILL $(pgrep -n -x haproxy)'
    check "starts HAProxy again" "$(log_has 4 'TLS helper ended') && $shown 'CN = second'"
    in_box systemctl stop rtmp-server-tls.socket rtmp-server
    check "stops cleanly with HAProxy" "systemctl show rtmp-server | grep -qx Result=success && ! pgrep -x haproxy"
    wait "$publisher" || true
}

checks_of_the_file() {
    in_box bash -c 'echo "grace 5s" >/etc/rtmp-server.conf'
    configure "-config /etc/rtmp-server.conf"
    in_box systemctl start rtmp-server || true
    check "starts with a configuration file" "systemctl is-active rtmp-server"
    in_box bash -c 'echo "grace 6s" >/etc/rtmp-server.conf; systemctl reload rtmp-server' || true
    check "changes to another configuration" "$(log_has 6 'reloaded changed=grace')"
    in_box bash -c 'echo "grace six" >/etc/rtmp-server.conf; systemctl reload rtmp-server && touch /run/reloaded' 2>/dev/null || true
    check "fails to reload a wrong configuration" "! test -e /run/reloaded"
    check "says as an error what is wrong with it" "$(log_has 3 'rtmp-server: /etc/rtmp-server.conf:1: -grace')"
    check "goes on with the old one" "systemctl is-active rtmp-server && ! journalctl -u rtmp-server | grep -q 'cannot reload'"
    in_box systemctl stop rtmp-server
    in_box bash -c 'echo "-grace six" >/etc/rtmp-server.conf; systemctl start rtmp-server' 2>/dev/null || true
    check "is not started again with a wrong configuration" \
        "systemctl show rtmp-server | grep -qx NRestarts=0 && systemctl is-failed rtmp-server"
    in_box systemctl reset-failed rtmp-server
}

checks_of_failures() {
    configure "" "WatchdogSec=2" "TimeoutAbortSec=1"
    in_box systemctl start rtmp-server || true
    sleep 5
    check "is left alone while it is alive" "systemctl show rtmp-server | grep -qx NRestarts=0"
    in_box kill -STOP "$(of_service MainPID)"
    check "is started again when it hangs" "systemctl show rtmp-server | grep -qx NRestarts=1 && systemctl is-active rtmp-server"
    in_box systemctl stop rtmp-server || true
    configure "-nonsense"
    in_box systemctl start rtmp-server 2>/dev/null || true
    check "is not started again with wrong flags" "systemctl show rtmp-server | grep -qx NRestarts=0 && systemctl is-failed rtmp-server"
    check "says as an error what is wrong" "$(log_has 3 'rtmp-server: unknown flag -nonsense')"
    in_box systemctl reset-failed rtmp-server
}

# Connects until a file is there; as many as were refused.
knock='
import os, socket, time
tries = refused = 0
while not os.path.exists("/run/over"):
    tries += 1
    try: socket.create_connection(("127.0.0.1", 1935), 5).close()
    except OSError: refused += 1
    time.sleep(0.002)
open("/run/refused", "w").write(f"{refused} of {tries}\n")
'

checks_of_the_socket() {
    configure ""
    in_box systemctl start rtmp-server.socket
    check "does not run before anyone connects" "! systemctl is-active rtmp-server"
    in_box bash -c 'exec 3<>/dev/tcp/127.0.0.1/1935'
    check "is started by the first who connects" "systemctl is-active rtmp-server"
    check "listens on the socket of systemd and no other" \
        "test \$(journalctl -u rtmp-server -o cat _PID=\$(systemctl show rtmp-server -P MainPID) | grep -c listening) = 1"
    in_box python3 -c "$knock" &
    local knocking=$!
    for _ in 1 2 3 4 5; do
        in_box systemctl restart rtmp-server || true
    done
    in_box touch /run/over
    check "restarts five times and nobody is refused" "grep -qx '0 of [1-9][0-9][0-9]*' /run/refused"
    echo "        refused: $(in_box cat /run/refused)"
    in_box systemctl stop rtmp-server.socket rtmp-server
    check "stops cleanly again" "systemctl show rtmp-server | grep -qx Result=success"
    wait "$knocking"
}

if [ "${1-}" = boot ]; then
    boot "$2"
fi
[ "$(id -u)" = 0 ] || fail "needs root"
[ -x /lib/systemd/systemd ] || fail "please install systemd; with apt-get: apt-get install systemd"
groups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)/rtmp-server-test-$$
box=$(mktemp -d)
mkdir "$groups"
bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' - "$groups" \
    unshare --mount --pid --uts --ipc --net --cgroup --fork --kill-child \
    "$0" boot "$box" &
unshare=$!
finish() {
    kill -KILL "$unshare" 2>/dev/null || true
    wait "$unshare" 2>/dev/null || true
    rmdir "$box" || true
    # They are all killed, but may not be gone yet.
    for _ in 1 2 3 4 5; do
        find "$groups" -depth -type d -exec rmdir {} \; 2>/dev/null || true
        [ -e "$groups" ] || break
        sleep 0.2
    done
}
trap finish EXIT
init=
for ((tries = 0; tries < 100; tries++)); do
    init=$(cat "/proc/$unshare/task/$unshare/children" 2>/dev/null | tr -d ' ' || true)
    if [ -n "$init" ] && in_box systemctl is-active basic.target >/dev/null 2>&1; then
        break
    fi
    sleep 0.2
done
[ "$tries" -lt 100 ] || fail "systemd does not start"
failed=0
checks_of_the_service
checks_of_the_file
checks_of_failures
checks_of_the_socket
checks_of_tls
if [ "$failed" != 0 ]; then
    in_box journalctl --no-pager -n 50
fi
exit "$failed"
