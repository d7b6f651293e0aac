-- SPDX-License-Identifier: MIT
-- What prune drops from the tree, segments give back: every earlier root can still be computed.
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
CREATE VIRTUAL TABLE l USING audit_log(a TEXT, n INTEGER, r REAL, j JSON, salt=on);
WITH RECURSIVE s(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM s LIMIT 1000)
    INSERT INTO l(a, n, r, j) SELECT 'x' || v, v, v / 3.0, json_object('v', v) FROM s;
CREATE TABLE noted(size, root);
WITH RECURSIVE s(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM s LIMIT 1001)
    INSERT INTO noted SELECT v, audit_root('l', v) FROM s;
SELECT audit_archive('l', 'cold', 'now') IS NOT NULL;
SELECT audit_prune('l') IS NOT NULL;
INSERT INTO l(a) VALUES('hot');
-- test: all 1001 roots are as they were noted
SELECT count(*), sum(root = audit_root('l', size)) FROM noted;
-- expect: 1001|1001
