#!/usr/bin/env bash
# The units of service/ in a booted system: a Debian with systemd as process 1, in namespaces of its own.
#
#   sudo stress/booted.sh .venv [MIRROR]
#
# It installs a Debian into a temporary folder (debootstrap), puts what is in the environment .venv there, boots it, and
# has systemd start edgeqa when it is asked, reload it, start it again after SIGKILL, stop it, and end it when it hangs
# (WatchdogSec=). It ends with 1 at the first thing that is not so. The environment has to be of Debian's own version of
# Python. The network is the machine's own: port 8423 has to be free. A machine with control groups of version 2 alone
# would need other mounts: it was run where both versions are.
set -euo pipefail
environment=$(realpath "$1") mirror=${2:-http://deb.debian.org/debian} here=$(realpath "$(dirname "$0")/..")
root=$(mktemp -d /var/tmp/edgeqa-booted.XXXXXX) groups=/sys/fs/cgroup pid=
kinds="memory pids cpu cpuacct devices freezer blkio"

finish() {
    [ -z "$pid" ] || kill -9 "$pid" || true  # of namespaces: all in them end with it
    wait "$pid" 2> /dev/null || sleep 1
    find "$groups"/*/edgeqa-booted -depth -type d -exec rmdir {} + 2> /dev/null || true
    rm -rf "$root"
}
trap finish EXIT

included=systemd,systemd-sysv,dbus,python3,python3-venv,curl
debootstrap --variant=minbase --include="$included" bookworm "$root" "$mirror" > /dev/null
chroot "$root" python3 -m venv --without-pip /opt/edgeqa
packages=$(echo "$root"/opt/edgeqa/lib/python3*/site-packages)
cp -r "$environment"/lib/python3*/site-packages/. "$here/edgeqa" "$packages/"
rm -f "$packages"/_editable_impl_edgeqa.pth "$packages"/a1_coverage.pth
program=$root/opt/edgeqa/bin/edgeqa
printf '#!/opt/edgeqa/bin/python\nimport sys\nfrom edgeqa.cli import run\nsys.exit(run())\n' > "$program"
chmod +x "$program"
cp "$here"/service/edgeqa.{service,socket} "$root/etc/systemd/system/"
mkdir "$root/srv/manuals"
cp "$here/examples/pump-manual.txt" "$root/srv/manuals/"
for unit in networkd.service networkd.socket firstboot.service machine-id-commit.service; do
    ln -sf /dev/null "$root/etc/systemd/system/systemd-$unit"  # the network is not this system's own
done

# shellcheck disable=SC2016 - it is expanded within
(
for kind in $kinds systemd unified; do
    mkdir -p "$groups/$kind/edgeqa-booted"
    echo "$BASHPID" > "$groups/$kind/edgeqa-booted/cgroup.procs"
done
exec unshare --pid --fork --mount --uts --ipc --cgroup --kill-child bash -c '
    cd "$0"
    mount --bind . . && cd "$0"
    mount -t proc proc proc && mount -t sysfs sysfs sys && mount -t tmpfs tmpfs sys/fs/cgroup
    for kind in $1; do mkdir "sys/fs/cgroup/$kind" && mount -t cgroup -o "$kind" cgroup "sys/fs/cgroup/$kind"; done
    mkdir sys/fs/cgroup/systemd && mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
    mkdir sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
    mount -t tmpfs tmpfs dev && mkdir dev/pts dev/shm
    for one in null zero full random urandom tty; do touch dev/$one && mount --bind /dev/$one dev/$one; done
    mount -t devpts devpts dev/pts -o newinstance,ptmxmode=0666 && ln -s pts/ptmx dev/ptmx
    mount -t tmpfs tmpfs dev/shm && mount -t tmpfs tmpfs run && mount -t tmpfs tmpfs tmp
    hostname edgeqa-booted
    exec chroot . /usr/bin/env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
' "$root" "$kinds" < /dev/null > /dev/null 2>&1
) &
pid=$!

within() {
    nsenter -t "$(pgrep -P "$pid")" -m -p -u -i -C -r -w /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}
not_so() {  # a check of its own line: set -e lets what stands before && pass
    echo "not so: $1"
    within journalctl -u edgeqa -o cat | tail -40 || true
    exit 1
}
said() { within systemctl show edgeqa.service -p "$1" --value; }
until_is() {  # PROPERTY VALUE
    for _ in $(seq 300); do
        [ "$(said "$1" 2> /dev/null)" = "$2" ] && return
        sleep 0.5
    done
    not_so "$1 is $2: it is $(said "$1")"
}
asked() {
    within curl -sf -m 60 --retry 20 --retry-all-errors -d '{"question": "To what depth may the pump be submerged?"}' \
        -H 'Content-Type: application/json' http://127.0.0.1:8423/v1/ask | grep -q '"answer":"12 metres"'
}

for _ in $(seq 120); do
    within systemctl is-system-running 2> /dev/null | grep -qE 'running|degraded' && break
    sleep 1
done
within systemctl start edgeqa.socket
within curl -sf -m 60 http://127.0.0.1:8423/readyz
echo
echo "started by the first who asks"
until_is ActiveState active
for _ in $(seq 60); do within journalctl -u edgeqa -o cat | grep -q '1 files read' && break; sleep 1; done
asked || not_so "answers from /srv/manuals"
echo "answers from /srv/manuals"
uid=$(said UID)
[ "$(said DynamicUser)" = yes ] || not_so "as a user of its own"
[ "$uid" -gt 60000 ] || not_so "as a user of its own: as $uid"
echo "as user $uid"
within systemctl reload edgeqa.service || not_so "reloaded"
echo "reloaded"
within systemctl kill -s KILL edgeqa.service
until_is NRestarts 1
until_is ActiveState active
asked || not_so "killed, started again, answers"
echo "killed, started again, answers"
within systemctl kill -s STOP edgeqa.service
until_is NRestarts 2
until_is ActiveState active
asked || not_so "ended by the watchdog, started again, answers"
echo "ended by the watchdog, started again, answers"
within systemctl stop edgeqa.service 2> /dev/null
until_is ActiveState inactive
ended=$(said Result)\ $(said ExecMainStatus)
[ "$ended" = "success 0" ] || not_so "stopped, ended with 0: $ended"
echo "stopped, ended with 0"
within journalctl -u edgeqa -o cat
