# Ends a process group after its owner, however the owner ends. Arguments: a signal, and a folder or nothing.
#
# Each line of the input is the group that runs now; an empty line means none. At the end of the input the group gets the signal.
# What is left of it after its leader has ended, or after ten seconds, is killed. Then the folder is removed.
trap '' HUP INT QUIT TERM
group=
while read -r line; do group=$line; done
if [ -n "$group" ]; then
    kill -s "$1" -- "-$group"
    for _ in $(seq 100); do
        kill -s 0 -- "$group" || break
        sleep 0.1
    done
    kill -s KILL -- "-$group"
fi
# A process that was just killed may still add a file.
[ -z "$2" ] || rm -rf -- "$2" || { sleep 1 && rm -rf -- "$2"; }
