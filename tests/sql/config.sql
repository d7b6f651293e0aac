-- SPDX-License-Identifier: MIT
-- config_get: the environment, then the dotenv file, of which there are three; never a key.
-- test: what nobody sets is NULL, or the default with its type
SELECT config_get('LOG_LEVEL'), config_get('LOG_LEVEL', 'INFO'), config_get('LIMIT', 7), config_get('LIMIT', NULL);
-- expect: NULL|INFO|7|NULL
-- test: the environment counts first
-- env: LOG_LEVEL=DEBUG
SELECT config_get('LOG_LEVEL'), config_get('LOG_LEVEL', 'INFO');
-- expect: DEBUG|DEBUG
-- test: a variable that is empty is set
-- env: LOG_LEVEL=
SELECT quote(config_get('LOG_LEVEL', 'INFO'));
-- expect: ''
-- env: LOG_LEVEL

-- test: names
SELECT config_get('_a9'), config_get('Z');
-- expect: NULL|NULL
SELECT config_get('9a');
-- error: config_get: name must be made of letters, digits and _, and not begin with a digit
SELECT config_get('');
-- error: config_get: name must be made of letters, digits and _, and not begin with a digit
SELECT config_get('A=B');
-- error: config_get: name must be made of letters, digits and _, and not begin with a digit
SELECT config_get('PRÜF', 'x');
-- error: config_get: name must be made of letters, digits and _, and not begin with a digit
SELECT config_get(NULL, 'x');
-- error: config_get: name must be TEXT, not NULL
SELECT config_get(1);
-- error: config_get: name must be TEXT, not INTEGER
SELECT config_get('A' || char(0));
-- error: config_get: name must not contain a NUL

-- test: keys are refused, set or not, wherever they stand
SELECT config_get('RUSTYBT_ENCRYPTION_KEY', 'none');
-- error: config_get: RUSTYBT_ENCRYPTION_KEY is a key, and keys are not shown; key_id() names the one in use
-- run: umask 077; printf 'RUSTYBT_SIGNING_KEY=x\n' > .env
SELECT config_get('RUSTYBT_SIGNING_KEY');
-- error: config_get: RUSTYBT_SIGNING_KEY is a key, and keys are not shown; key_id() names the one in use
-- test: where they come from is none
-- env: RUSTYBT_SIGNING_KEY_COMMAND=cat key
SELECT config_get('RUSTYBT_SIGNING_KEY_COMMAND');
-- expect: cat key
-- env: RUSTYBT_SIGNING_KEY_COMMAND

-- test: .env in the working directory
-- run: printf 'LOG_LEVEL=WARNING\nDATABASE_URL="sqlite:///a b.db"\nEMPTY=\n' > .env
SELECT config_get('LOG_LEVEL', 'INFO'), config_get('DATABASE_URL'), quote(config_get('EMPTY', 'x')), config_get('OTHER');
-- expect: WARNING|sqlite:///a b.db|''|NULL
-- test: the environment stands above it
-- env: LOG_LEVEL=DEBUG
SELECT config_get('LOG_LEVEL');
-- expect: DEBUG
-- env: LOG_LEVEL
-- test: it is read anew every time
-- run: echo LOG_LEVEL=ERROR > .env
SELECT config_get('LOG_LEVEL');
-- expect: ERROR
-- test: an empty one says nothing
-- run: : > .env
SELECT config_get('LOG_LEVEL');
-- expect: NULL
-- test: one that others may read is refused, whatever is asked for
-- run: chmod 644 .env
SELECT config_get('LOG_LEVEL', 'INFO');
-- error: config_get: .env has mode 0644, expected 0600; chmod 600 it
-- test: unless the environment answers
-- env: LOG_LEVEL=DEBUG
SELECT config_get('LOG_LEVEL', 'INFO');
-- expect: DEBUG
-- env: LOG_LEVEL
-- test: a link that leads nowhere counts as no file
-- run: rm .env; ln -s nowhere .env
SELECT config_get('LOG_LEVEL', 'INFO');
-- expect: INFO
-- run: rm .env; mkdir .env
SELECT config_get('LOG_LEVEL', 'INFO');
-- error: config_get: cannot open '.env': not a regular file
-- run: rmdir .env; umask 077; head -c 65537 /dev/zero > .env
SELECT config_get('LOG_LEVEL', 'INFO');
-- error: config_get: .env has 65537 bytes, expected 1 to 65536
-- run: printf 'A=\0' > .env
SELECT config_get('LOG_LEVEL', 'INFO');
-- error: config_get: .env is not text

-- test: values of several lines are refused, on whichever line
-- run: printf '# first\n\nA="one\ntwo"\nLOG_LEVEL=INFO\n' > .env
SELECT config_get('LOG_LEVEL');
-- error: config_get: line 3 of .env opens a quotation that it does not close; close it on that line, for values of several lines are not read
-- test: so is what follows a quotation
-- run: echo "A='it''s' or not" > .env
SELECT config_get('LOG_LEVEL');
-- error: config_get: line 1 of .env goes on after its closing quotation mark; put the whole value between quotation marks
-- test: a value that is not UTF-8
-- run: printf 'A=\377\nB=\303\274\n' > .env
SELECT config_get('B');
-- expect: ü
SELECT config_get('A');
-- error: config_get: the value of A is not UTF-8

-- test: a key file of dotenv form stands above .env
-- run: echo LOG_LEVEL=from-env > .env
-- run: umask 077; printf 'RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\nLOG_LEVEL=from-keys\n' > keys
-- env: RUSTYBT_ENCRYPTION_KEY_FILE=keys
SELECT config_get('LOG_LEVEL'), key_id();
-- expect: from-keys|fe6b3e115b099239
-- test: one that holds the key alone does not
-- run: echo AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= > keys
SELECT config_get('LOG_LEVEL');
-- expect: from-env
-- test: a key file that cannot be read is an error here too
-- run: rm keys
SELECT config_get('LOG_LEVEL');
-- error: config_get: cannot open 'keys': No such file or directory
-- test: RUSTYBT_ENV_FILE stands above both
-- env: RUSTYBT_ENV_FILE=settings
SELECT config_get('LOG_LEVEL', 'INFO');
-- error: config_get: cannot open 'settings': No such file or directory
-- run: echo LOG_LEVEL=from-settings > settings; chmod 604 settings
SELECT config_get('LOG_LEVEL');
-- error: config_get: settings, the file that RUSTYBT_ENV_FILE names, has mode 0604, expected 0600; chmod 600 it
-- run: chmod 600 settings
SELECT config_get('LOG_LEVEL'), config_get('OTHER', 'default');
-- expect: from-settings|default
-- env: RUSTYBT_ENCRYPTION_KEY_FILE

-- test: a view of the schema cannot ask
CREATE VIEW v AS SELECT config_get('LOG_LEVEL');
SELECT * FROM v;
-- error: unsafe use of config_get()
CREATE TEMP VIEW t AS SELECT config_get('LOG_LEVEL');
SELECT * FROM t;
-- expect: from-settings
