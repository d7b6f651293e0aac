#!/bin/sh
# SPDX-License-Identifier: MIT
# make bench runs this: ratios of the audit log and the credentials against plain baselines.
exec /usr/bin/python3 "$(dirname "$0")/ratios.py" "$@"
