# SPDX-License-Identifier: MIT
# The built library is what the README promises: self-contained, one symbol, hardened, and found by
# `.load rustybt` once installed.
. tests/shell/tap.sh
library=$TEST_EXTENSION.so
case $TEST_BUILD in *sanitize) skip_all 'a library with sanitizers is not for installing' ;; esac
[ "${TEST_LINK:-static}" = static ] || skip_all 'LINK=shared needs shared libraries by intent'
plan 12

is 'the library exports its entry point alone' \
    "$(nm -D --defined-only "$library" | awk '{ print $NF }')" sqlite3_rustybt_init
needed=$(readelf -dW "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
is 'it needs no library but libc and libm' \
    "$(printf '%s\n' "$needed" | grep -vE '^(libc|libm)\.' | tr '\n' ' ' | sed 's/ $//')" ''
is 'its stack is not executable' \
    "$(readelf -lW "$library" | awk '$1 == "GNU_STACK" { print $7 }')" RW
is 'its relocations are read-only and bound at once' \
    "$(readelf -ldW "$library" | grep -cE 'GNU_RELRO|BIND_NOW|FLAGS.* NOW')" 3
is 'it has no relocation in its code' "$(readelf -dW "$library" | grep -c TEXTREL)" 0
is 'it calls SQLite through the table alone' "$(nm -D --undefined-only "$library" | grep -c sqlite3)" 0

version=$(sed -n 's/^#define RUSTYBT_VERSION "\(.*\)"/\1/p' ext/rustybt.h)
is 'it loads by path and tells its version' \
    "$(sqlite3 :memory: ".load $TEST_EXTENSION" 'SELECT rustybt_version()' 2>&1)" "$version"

# The test may itself run under make: this make is another one.
unset MAKEFLAGS MAKELEVEL MFLAGS
install() {
    make --no-print-directory "$1" B="$TEST_BUILD" DESTDIR="$scratch/root" LIBDIR=/lib/somewhere 2>&1
}
is 'make install says what to type' "$(install install | tail -n 1)" \
    'In sqlite3, from any folder, type: .load rustybt'
ok 'make install puts the library under DESTDIR' test -f "$scratch/root/lib/somewhere/rustybt.so"
# The folder of the loader's own, as the default LIBDIR is, stood in for by LD_LIBRARY_PATH.
is 'the installed library loads by its bare name, from any folder' \
    "$(cd / && LD_LIBRARY_PATH=$scratch/root/lib/somewhere sqlite3 :memory: '.load rustybt' \
        'SELECT rustybt_version()' 2>&1)" "$version"
triplet=$(${CC:-cc} -print-multiarch)
is 'LIBDIR is a folder that the loader searches' \
    "$(make --no-print-directory -n install V=1 | grep -c "^install -m.* /usr/lib/$triplet/rustybt.so\$")" 1
install uninstall >/dev/null
fails 'make uninstall removes it' test -e "$scratch/root/lib/somewhere/rustybt.so"
done_testing
