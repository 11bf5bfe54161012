#!/bin/sh
# Prints what a program is made of: each crate that is compiled into it, with version, source and licence, as SPDX 2.3
# (tag-value). cargo and awk are enough, so that the build of the images needs no other tool.
#
#   deploy/sbom.sh order-service > order-service.spdx
set -eu

program=${1:?the name of a program, such as order-service}
cd "$(dirname "$0")/.."

crates=$(mktemp)
trap 'rm -f "$crates"' EXIT
# A file in between, because a pipe would hide that cargo failed.
cargo tree --locked --package "$program" --edges normal --prefix none --format '{p}|{l}|{r}' >"$crates"

<"$crates" sed 's/ (\*)$//' | LC_ALL=C sort -u |
    awk -F'|' -v program="$program" -v created="${SOURCE_DATE_EPOCH:+$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)}" '
        BEGIN {
            print "SPDXVersion: SPDX-2.3"
            print "DataLicense: CC0-1.0"
            print "SPDXID: SPDXRef-DOCUMENT"
            print "DocumentName: " program
            print "DocumentNamespace: https://angarium.example/spdx/" program
            print "Creator: Tool: deploy/sbom.sh"
            print "Created: " (created == "" ? "1970-01-01T00:00:00Z" : created)
        }
        {
            split($1, words, " ")
            name = words[1]
            version = substr(words[2], 2)
            # In a path of this repository: ours.
            ours = $1 ~ /\(\//
            id = name "-" version
            gsub(/[^A-Za-z0-9.-]/, "-", id)
            print ""
            print "PackageName: " name
            print "SPDXID: SPDXRef-" id
            print "PackageVersion: " version
            print "PackageDownloadLocation: " (ours ? "NOASSERTION" : "https://crates.io/api/v1/crates/" name "/" version "/download")
            print "FilesAnalyzed: false"
            # An old way to write OR.
            gsub(/ *\/ */, " OR ", $2)
            print "PackageLicenseConcluded: NOASSERTION"
            print "PackageLicenseDeclared: " ($2 == "" ? "NOASSERTION" : $2)
            print "PackageCopyrightText: NOASSERTION"
            if (!ours) print "ExternalRef: PACKAGE-MANAGER purl pkg:cargo/" name "@" version
            if (name == program) print "Relationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-" id
            else contained[++count] = id
            if (name == program) top = id
        }
        END {
            for (one = 1; one <= count; one++) print "Relationship: SPDXRef-" top " CONTAINS SPDXRef-" contained[one]
        }
    '
