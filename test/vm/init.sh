#!/bin/sh
# Process 1 of the virtual machine that tools/vm.mjs starts. The root is the host's file system, read-only. EXCHANGE is a
# folder of the host that both may write: the script `command` in it is run, `status` is written, then the power is off.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir /run/tmp /run/home /run/exchange /run/kernel /run/kernel/lib
mount -t hostfs none /run/exchange -o "$EXCHANGE"
export HOME=/run/home TMPDIR=/run/tmp

# The kernel's own calls of modprobe must look where its modules are, too.
ln -s "$MODULES" /run/kernel/lib/modules
printf '#!/bin/sh\nexec modprobe -d /run/kernel "$@"\n' >/run/modprobe
chmod +x /run/modprobe
echo /run/modprobe >/proc/sys/kernel/modprobe
/run/modprobe -a ip_vs dummy ip_set xt_set veth bridge nf_conntrack_netlink

# This kernel has no nf_tables for IPv4 and IPv6: the other variant of iptables works.
mkdir /run/bin
for name in iptables ip6tables; do
  for part in '' -save -restore; do ln -s "$(command -v $name-legacy$part)" /run/bin/$name$part; done
done
export PATH=/run/bin:$PATH

ip link set lo up

# Not a terminal for what runs: no colours, no carriage returns.
stty -onlcr 2>/dev/null
{
  sh /run/exchange/command </dev/null 2>&1
  echo $? >/run/exchange/status
} | cat
sync
echo o >/proc/sysrq-trigger
# It takes a moment, and process 1 must not end before.
sleep 60
