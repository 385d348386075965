set -x
Q=$(cat /run/lab/qemu)
mkdir /run/qemu; mount --bind $Q /run/qemu
touch /run/node; mount --bind $NODE /run/node
mkdir -p /run/iovad; chown 0:4242 /run/iovad; chmod 2750 /run/iovad
$NODE /run/checkout/dist/main.js --control-group 4242 2>/tmp/log &
D=$!
S=/run/iovad/iovad.sock
while [ ! -S $S ]; do sleep 0.3; done
ask() { echo "$1" | socat -t5 - UNIX-CONNECT:$S | tail -n +2; }
setpriv --reuid=65534 --regid=65534 --groups=4242 -- /run/node /run/checkout/dist/run/main.js --context vm1 --device 0000:00:05.0 -- /run/qemu/bin/qemu-system-x86_64 -L /usr/share/seabios -L /run/qemu/share/qemu -machine q35 -m 4M -S -nodefaults -display none -qmp unix:/tmp/qmp.sock,server=on,wait=off -object iommufd,id=iommufd0,fd={iommufd} -device vfio-pci,iommufd=iommufd0,fd={device:0000:00:05.0} &
R=$!
while [ ! -S /tmp/qmp.sock ]; do sleep 0.5; done
sleep 1
echo '{"execute":"qmp_capabilities"}{"execute":"query-status"}' | socat -t2 - UNIX-CONNECT:/tmp/qmp.sock
ask '{"jsonrpc":"2.0","id":1,"method":"query-devices","params":{"device":"0000:00:05.0"}}'
ask '{"jsonrpc":"2.0","id":2,"method":"query-contexts"}'
ask '{"jsonrpc":"2.0","id":3,"method":"query-ioas","params":{"context":"vm1"}}'
I=$(ask '{"jsonrpc":"2.0","id":3,"method":"query-ioas","params":{"context":"vm1"}}' | grep -o '"ioas":[0-9]*' | head -1 | cut -d: -f2)
ask '{"jsonrpc":"2.0","id":4,"method":"query-allowed-ranges","params":{"context":"vm1","ioas":'$I'}}'
ask '{"jsonrpc":"2.0","id":5,"method":"hold-device","params":{"device":"0000:00:05.0"}}'
ls -l /proc/$(pgrep -f run/qemu/bin/qemu-system | tail -1)/fd | grep dev/
cat /sys/bus/pci/devices/0000:00:05.0/enable
grep -h "Vm[LP]\|VmPin" /proc/$(pgrep -f ^/run/qemu/bin/qemu-system | tail -1)/status
kill -TERM $R; wait $R; echo "status $?"
ask '{"jsonrpc":"2.0","id":6,"method":"query-devices","params":{"device":"0000:00:05.0"}}'
echo '{"jsonrpc":"2.0","id":7,"method":"create-context","params":{"context":"x"}}
{"jsonrpc":"2.0","id":8,"method":"hand-over-device","params":{"device":"0000:00:06.0","context":"x"}}' | socat -t5 - UNIX-CONNECT:$S
kill $D; wait $D; cat /tmp/log
