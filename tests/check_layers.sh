#!/bin/sh
# SPDX-License-Identifier: MIT
# Which folder of ext may include which:  check_layers.sh <ext>
#
#   base                  base alone
#   crypto, limit, check  base and itself
#   audit                 base, crypto and itself
#   archive               base, crypto, audit and itself
#   ext's own files       everything
#
# And SQLite's headers come in through base/sqlite.h alone (rustybt.c and rustybt.h excepted: the one
# defines the API table, the other is the public header). Prints every violation; exits 1 if any.
set -eu
cd "$1"

find . -name '*.[ch]' | sed 's|^\./||' | sort | xargs awk '
function allowed(layer) {
    if (layer == "base") return " base "
    if (layer == "crypto" || layer == "limit" || layer == "check") return " base " layer " "
    if (layer == "audit") return " base crypto audit "
    if (layer == "archive") return " base crypto audit archive "
    return ""
}
function layer_of(path) {
    return path ~ /\// ? substr(path, 1, index(path, "/") - 1) : "top"
}
function normal(path,    parts, kept, count, depth, i, result) {
    count = split(path, parts, "/")
    depth = 0
    for (i = 1; i <= count; i++) {
        if (parts[i] == "" || parts[i] == ".") continue
        if (parts[i] == "..") depth--
        else kept[++depth] = parts[i]
        if (depth < 0) return ""
    }
    result = kept[1]
    for (i = 2; i <= depth; i++) result = result "/" kept[i]
    return result
}
function exists(path,    line, answer) {
    answer = (path != "" && (getline line < path) >= 0)
    if (path != "") close(path)
    return answer
}
function report(message) {
    print FILENAME ":" FNR ": " message
    violations = 1
}
FNR == 1 {
    own = layer_of(FILENAME)
    if (own != "top" && allowed(own) == "") report("folder " own " has no place in the layers")
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, quoted, "\"")
    folder = FILENAME
    if (!sub(/\/[^\/]*$/, "", folder)) folder = "."
    target = normal(folder "/" quoted[2])
    if (!exists(target)) target = normal(quoted[2])
    if (!exists(target)) {
        report("includes \"" quoted[2] "\", which is not there")
        next
    }
    other = layer_of(target)
    if (own != "top" && index(allowed(own), " " other " ") == 0)
        report(own " may not include " other " (" target ")")
}
/^[ \t]*#[ \t]*include[ \t]*<sqlite3(ext)?\.h>/ {
    if (FILENAME != "base/sqlite.h" && own != "top")
        report("includes SQLite by itself; include base/sqlite.h")
}
END { exit violations }
'
