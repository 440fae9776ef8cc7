-- Our tables. Times are milliseconds since 1970, in UTC. None has a foreign key to a host's table,
-- since what we know of Stripe must outlive a deleted tenant. The checks refuse every row that the
-- protocol does not write.

-- One row for each tenant that anything was begun for. Rows are never deleted.
CREATE TABLE customer_provisioning (
    tenant_id       TEXT PRIMARY KEY NOT NULL,
    version         INTEGER NOT NULL CHECK (version >= 1),
    generation      INTEGER NOT NULL CHECK (generation >= 1),
    state           TEXT NOT NULL
                    CHECK (state IN ('vacant', 'pending', 'in_doubt', 'rejected', 'provisioned')),
    -- The states pending, in_doubt and rejected: the frozen request, which every later version of
    -- the program sends verbatim. The body holds the e-mail address, so no other state keeps it.
    account_id      TEXT,
    mode            TEXT CHECK (mode IN ('test', 'live')),
    stripe_account  TEXT,
    stripe_version  TEXT,
    idempotency_key TEXT UNIQUE CHECK (length(idempotency_key) <= 255),
    body            TEXT,
    -- The state in_doubt: an inquiry that finds nothing proves that there is no Customer only if it
    -- began at conclusive_from or later; and whether this generation may have been sent.
    conclusive_from INTEGER,
    sent            INTEGER CHECK (sent IN (0, 1)),
    -- The state rejected: Stripe's error.
    rejection_code    TEXT,
    rejection_param   TEXT,
    rejection_message TEXT,
    -- The state provisioned: the Customer that the row has led to.
    customer_id     TEXT,
    opened_at       INTEGER NOT NULL,
    attempts        INTEGER NOT NULL CHECK (attempts BETWEEN 0 AND 4294967295),
    next_attempt_at INTEGER NOT NULL,
    last_error      TEXT,
    -- Times are between 1970 and the year 9000, so that spans can be added and subtracted.
    CHECK (opened_at BETWEEN 0 AND 221845392000000),
    CHECK (next_attempt_at BETWEEN 0 AND 221845392000000),
    CHECK (conclusive_from BETWEEN 0 AND 221845392000000),
    CHECK ((state IN ('pending', 'in_doubt', 'rejected')) = (body IS NOT NULL)),
    CHECK ((body IS NULL) = (account_id IS NULL)),
    CHECK ((body IS NULL) = (mode IS NULL)),
    CHECK ((body IS NULL) = (stripe_version IS NULL)),
    CHECK ((body IS NULL) = (idempotency_key IS NULL)),
    CHECK (body IS NOT NULL OR stripe_account IS NULL),
    CHECK ((state = 'in_doubt') = (conclusive_from IS NOT NULL)),
    CHECK ((state = 'in_doubt') = (sent IS NOT NULL)),
    CHECK ((state = 'rejected') = (rejection_message IS NOT NULL)),
    CHECK (state = 'rejected' OR (rejection_code IS NULL AND rejection_param IS NULL)),
    CHECK ((state = 'provisioned') = (customer_id IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX customer_provisioning_due ON customer_provisioning (next_attempt_at)
    WHERE state IN ('pending', 'in_doubt');
CREATE INDEX customer_provisioning_customer ON customer_provisioning (customer_id)
    WHERE customer_id IS NOT NULL;

-- The audit trail. Rows are only ever added.
CREATE TABLE billing_event (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id   TEXT NOT NULL,
    at          INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    generation  INTEGER NOT NULL,
    customer_id TEXT,
    request_id  TEXT,
    detail      TEXT NOT NULL
) STRICT;

CREATE INDEX billing_event_tenant ON billing_event (tenant_id, id);

CREATE TRIGGER billing_event_is_never_changed BEFORE UPDATE ON billing_event
BEGIN SELECT RAISE(ABORT, 'billing_event is append-only'); END;
CREATE TRIGGER billing_event_is_never_deleted BEFORE DELETE ON billing_event
BEGIN SELECT RAISE(ABORT, 'billing_event is append-only'); END;

-- The Customers that were deleted in Stripe.
CREATE TABLE deleted_customer (
    customer_id TEXT PRIMARY KEY NOT NULL,
    recorded_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Customers that exist in Stripe and must not. resolved_at is set once one is bound or deleted.
CREATE TABLE surplus_customer (
    customer_id TEXT PRIMARY KEY NOT NULL,
    tenant_id   TEXT NOT NULL,
    reason      TEXT NOT NULL
                CHECK (reason IN ('late', 'duplicate', 'tenant_gone', 'host_bound_another',
                                  'unbound')),
    found_at    INTEGER NOT NULL,
    resolved_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX surplus_customer_tenant ON surplus_customer (tenant_id);

-- The Stripe account and mode that this database belongs to. The table has at most one row.
CREATE TABLE stripe_account (
    only_row    INTEGER PRIMARY KEY CHECK (only_row = 1),
    account_id  TEXT NOT NULL,
    mode        TEXT NOT NULL CHECK (mode IN ('test', 'live')),
    recorded_at INTEGER NOT NULL
) STRICT;

-- The keys that are known to open that account: a keyed hash of each, from which no key can be told.
CREATE TABLE stripe_key (
    fingerprint TEXT PRIMARY KEY NOT NULL,
    recorded_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The installations that an operator has declared to be other applications on the same account.
CREATE TABLE ignored_installation (
    id          TEXT PRIMARY KEY NOT NULL,
    recorded_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- This database's own id, and the oldest version of the program that may use its schema. The table
-- has exactly one row.
CREATE TABLE installation (
    only_row       INTEGER PRIMARY KEY CHECK (only_row = 1),
    id             TEXT NOT NULL,
    oldest_program INTEGER NOT NULL,
    created_at     INTEGER NOT NULL
) STRICT;
