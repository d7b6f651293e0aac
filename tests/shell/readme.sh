# SPDX-License-Identifier: MIT
# Blocks of the README, for tests that run them as they stand there; source it after tap.sh.
#
#   readme_block 'Rot' sh 1     prints the first block of sh below the heading of that text, whatever
#                               its depth, up to the next heading; fails when there is none
#
# README=file takes them from another file.

readme_block() {
    awk -v heading="$1" -v language="$2" -v wanted="$3" '
        /^```$/ { inside = 0 }
        inside && block == wanted { print; found = 1 }
        /^```/ && $0 != "```" { fenced = 1 }
        /^##+ / && !fenced { title = $0; sub(/^#+ /, "", title); ours = title == heading }
        /^```$/ { fenced = 0 }
        ours && $0 == "```" language { inside = 1; block++ }
        END { exit !found }' "${README:-README.md}"
}
