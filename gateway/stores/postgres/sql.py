"""The tables and statements of the PostgreSQL store.

All names begin with `gateway_`, which `named` replaces with the prefix of a store. Times are
compared with the clock of the server, so that the clocks of nodes need not agree.
"""

from gateway.stores.base import EXPIRED_KEYS_KEPT_S
from gateway.stores.rows import KEY, TOKEN

PREFIX = "gateway_"

NOW = "extract(epoch FROM clock_timestamp())::float8"
_KEPT = f"(expires_at_s IS NULL OR expires_at_s > {NOW} - {EXPIRED_KEYS_KEPT_S})"

LAST_TABLE = "gateway_counters"
"""The table that is created last: where it exists, all exist."""

# The content of an unlogged table is lost if the server crashes, and costs no write-ahead log:
# right for counters (postgresql.org/docs, CREATE TABLE).
TABLES = """
CREATE TABLE IF NOT EXISTS gateway_tokens (
  digest bytea PRIMARY KEY, kind text NOT NULL, family text NOT NULL, principal text NOT NULL,
  client text NOT NULL, scopes text NOT NULL, issued_at_s float8 NOT NULL,
  expires_at_s float8 NOT NULL, claims text NOT NULL, used boolean NOT NULL DEFAULT false
);
CREATE INDEX IF NOT EXISTS gateway_tokens_by_family ON gateway_tokens (family);
CREATE INDEX IF NOT EXISTS gateway_tokens_by_principal ON gateway_tokens (principal);
CREATE INDEX IF NOT EXISTS gateway_tokens_by_age ON gateway_tokens (issued_at_s, digest);
CREATE INDEX IF NOT EXISTS gateway_tokens_by_expiry ON gateway_tokens (expires_at_s);
CREATE TABLE IF NOT EXISTS gateway_api_keys (
  id text PRIMARY KEY, digest bytea NOT NULL UNIQUE, owner text NOT NULL, scopes text NOT NULL,
  created_at_s float8 NOT NULL, expires_at_s float8, networks text NOT NULL,
  last_used_at_s float8
);
CREATE TABLE IF NOT EXISTS gateway_old_secrets (
  id text PRIMARY KEY REFERENCES gateway_api_keys ON DELETE CASCADE,
  digest bytea NOT NULL UNIQUE, good_until_s float8 NOT NULL
);
CREATE UNLOGGED TABLE IF NOT EXISTS gateway_counters (
  key text PRIMARY KEY, a float8, b float8, c float8, expires_at_s float8 NOT NULL
);
CREATE INDEX IF NOT EXISTS gateway_counters_by_expiry ON gateway_counters (expires_at_s);
"""

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('gateway_' || $1, 0))"
"""Waits for other transactions that hold the lock of this name, and holds it to the end."""

ADD_TOKEN = f"""
INSERT INTO gateway_tokens ({TOKEN})
VALUES ($1, $2, $3, $4, $5, $6, {NOW}, {NOW} + ($8::float8 - $7::float8), $9)
ON CONFLICT (digest) DO NOTHING"""
FIND_TOKEN = f"""
SELECT {TOKEN} FROM gateway_tokens WHERE digest = $1 AND NOT used AND expires_at_s > {NOW}"""
FIND_REFRESH = f"""
SELECT family FROM gateway_tokens WHERE digest = $1 AND kind = 'refresh' AND expires_at_s > {NOW}"""
IS_USED = "SELECT used FROM gateway_tokens WHERE digest = $1"
USE_TOKEN = "UPDATE gateway_tokens SET used = true WHERE digest = $1"
FIND_USED = "SELECT family FROM gateway_tokens WHERE digest = $1 AND used"
# Used tokens stay: a second use must still be recognised as theft.
REVOKE_FAMILY = f"""
WITH gone AS (DELETE FROM gateway_tokens WHERE family = $1 AND NOT used RETURNING expires_at_s)
SELECT count(*) FROM gone WHERE expires_at_s > {NOW}"""
FAMILIES = "SELECT DISTINCT family FROM gateway_tokens WHERE principal = $1"
LIST_TOKENS = f"""
SELECT {TOKEN} FROM gateway_tokens
WHERE (issued_at_s, digest) > ($1, $2) AND NOT used AND expires_at_s > {NOW}
  AND ($3::text IS NULL OR principal = $3)
ORDER BY issued_at_s, digest LIMIT $4"""

FORGET_KEY = f"DELETE FROM gateway_api_keys WHERE id = $1 AND NOT {_KEPT}"
ADD_KEY = f"""
INSERT INTO gateway_api_keys ({KEY})
VALUES ($1, $2, $3, $4, {NOW}, {NOW} + ($6::float8 - $5::float8), $7, $8)
ON CONFLICT DO NOTHING RETURNING {KEY}"""
FIND_KEY = f"""
SELECT {KEY} FROM gateway_api_keys WHERE (expires_at_s IS NULL OR expires_at_s > {NOW})
  AND (digest = $1 OR id =
    (SELECT id FROM gateway_old_secrets WHERE digest = $1 AND good_until_s > {NOW}))"""
LOCK_KEY = f"SELECT {KEY} FROM gateway_api_keys WHERE id = $1 AND {_KEPT} FOR UPDATE"
FORGET_OLD_SECRET = "DELETE FROM gateway_old_secrets WHERE id = $1"
KEEP_OLD_SECRET = f"""
INSERT INTO gateway_old_secrets (id, digest, good_until_s)
VALUES ($1, $2, {NOW} + $3::float8)"""
REPLACE_SECRET = "UPDATE gateway_api_keys SET digest = $2 WHERE id = $1"
REVOKE_KEY = f"DELETE FROM gateway_api_keys WHERE id = $1 RETURNING {KEY}"
TOUCH_KEY = f"UPDATE gateway_api_keys SET last_used_at_s = {NOW} WHERE id = $1"
LIST_KEYS = f'SELECT {KEY} FROM gateway_api_keys WHERE {_KEPT} ORDER BY id COLLATE "C"'

# Rows are made and locked in the order of their keys, so that two batches never wait for each
# other (postgresql.org/docs, "Deadlocks").
MAKE_COUNTERS = f"""
INSERT INTO gateway_counters (key, expires_at_s)
SELECT key, {NOW} + 60 FROM unnest($1::text[]) AS key ORDER BY key ON CONFLICT DO NOTHING"""
LOCK_COUNTERS = """
SELECT key, a, b, c FROM gateway_counters WHERE key = ANY($1::text[]) ORDER BY key FOR UPDATE"""
READ_COUNTERS = "SELECT key, a, b, c FROM gateway_counters WHERE key = ANY($1::text[])"
CLOCK = f"SELECT {NOW}"
WRITE_COUNTERS = """
INSERT INTO gateway_counters (key, a, b, c, expires_at_s)
SELECT * FROM unnest($1::text[], $2::float8[], $3::float8[], $4::float8[], $5::float8[])
ON CONFLICT (key) DO UPDATE
SET a = excluded.a, b = excluded.b, c = excluded.c, expires_at_s = excluded.expires_at_s"""
FORGET_COUNTERS = """
DELETE FROM gateway_counters WHERE key IN (
  SELECT key FROM gateway_counters WHERE key = ANY($1::text[]) ORDER BY key FOR UPDATE)"""
FORGET_ALL_COUNTERS = """
DELETE FROM gateway_counters WHERE key IN (
  SELECT key FROM gateway_counters WHERE starts_with(key, $1) ORDER BY key LIMIT 5000 FOR UPDATE)
RETURNING 1"""

# Locked rows are skipped: another node may delete them at the same time.
SWEEPS = (
    f"DELETE FROM gateway_api_keys WHERE NOT {_KEPT}",
    f"DELETE FROM gateway_old_secrets WHERE good_until_s <= {NOW}",
    *(
        f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} "
        f"WHERE expires_at_s <= {NOW} LIMIT 5000 FOR UPDATE SKIP LOCKED)"
        for table, key in (("gateway_tokens", "digest"), ("gateway_counters", "key"))
    ),
)
"""The statements that delete expired rows, each a bounded number."""
