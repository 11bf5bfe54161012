#!/bin/sh
# Prints the texts of the licences of all crates that are compiled into a program, each text once, below the names of its crates:
# what their licences ask of a copy. It reads the crates in cargo's registry, so build or fetch first.
#
#   deploy/licenses.sh order-service > order-service.licenses
set -eu

program=${1:?the name of a program, such as order-service}
cd "$(dirname "$0")/.."
registry=${CARGO_HOME:-$HOME/.cargo}/registry/src

crates=$(mktemp)
texts=$(mktemp)
trap 'rm -f "$crates" "$texts"' EXIT
# A file in between, because a pipe would hide that cargo failed.
cargo tree --locked --package "$program" --edges normal --prefix none --format '{p}|{l}' >"$crates"

# CHECKSUM FILE CRATE LICENCE, sorted so that equal texts follow each other.
<"$crates" sed 's/ (\*)$//' | grep -v ' (/' | LC_ALL=C sort -u |
    while IFS='|' read -r package licence; do
        name=${package%% *}
        version=${package#* v}
        version=${version%% *}
        found=
        for file in "$registry"/*/"$name-$version"/*; do
            case ${file##*/} in
            *[Ll][Ii][Cc][Ee][Nn][Ss][Ee]* | *[Ll][Ii][Cc][Ee][Nn][Cc][Ee]* | COPYING* | COPYRIGHT* | NOTICE*) [ -f "$file" ] || continue ;;
            *) continue ;;
            esac
            found=yes
            printf '%s\t%s\t%s %s (%s)\n' "$(cksum <"$file" | tr ' ' -)" "$file" "$name" "$version" "$licence"
        done
        [ -n "$found" ] || printf -- '-\t-\t%s %s (%s)\n' "$name" "$version" "$licence"
    done | LC_ALL=C sort >"$texts"

awk -F'\t' '
    function print_text(    line) {
        if (file == "-") print "\nWithout a text of their own: the licence in brackets applies."
        else {
            print ""
            while ((getline line < file) > 0) print line
            close(file)
        }
    }
    $1 != sum {
        if (sum != "") print_text()
        print "\n================================================================================\n"
        sum = $1
        file = $2
    }
    { print $3 }
    END { if (sum != "") print_text() }
' "$texts"
