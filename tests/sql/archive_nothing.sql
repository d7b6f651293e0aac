-- SPDX-License-Identifier: MIT
-- A database in which nothing can be archived: cron's call says so and does not fail.
-- test: without any log
SELECT audit_archive('*');
-- expect: nothing to archive: no log declares archive and archive_after
SELECT audit_prune('*');
-- expect: nothing to prune: no log declares an archive
SELECT audit_verify('*');
-- error: audit_verify: the database has no audit log
SELECT * FROM audit_logs;
-- nothing
SELECT * FROM audit_verify('*');
-- expect: error|missing|NULL|the database has no audit log
-- test: with a log that declares no archive
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, seal=no);
SELECT audit_archive('*');
-- expect: nothing to archive: no log declares archive and archive_after
SELECT audit_prune('*');
-- expect: nothing to prune: no log declares an archive
