-- Ours. Times are milliseconds since 1970, UTC. None has a foreign key to tenants: what we know of
-- Stripe outlives a deleted tenant. Every row that the protocol would not write is refused here.

CREATE TABLE customer_provisioning (
    tenant_id       TEXT PRIMARY KEY NOT NULL,
    version         INTEGER NOT NULL CHECK (version >= 1),
    generation      INTEGER NOT NULL CHECK (generation >= 1),
    state           TEXT NOT NULL
                    CHECK (state IN ('vacant', 'pending', 'suspect', 'rejected', 'settled')),
    -- The frozen request, sent verbatim by every later version of the program. The body holds the
    -- e-mail address, so it goes when the matter is settled.
    account_id      TEXT,
    mode            TEXT CHECK (mode IN ('test', 'live')),
    stripe_account  TEXT,
    stripe_version  TEXT,
    idempotency_key TEXT UNIQUE CHECK (length(idempotency_key) <= 255),
    body            TEXT,
    -- suspect
    quiet_until     INTEGER,
    sent            INTEGER CHECK (sent IN (0, 1)),
    -- rejected
    refusal_code    TEXT,
    refusal_param   TEXT,
    refusal_message TEXT,
    -- settled
    customer_id     TEXT,
    opened_at       INTEGER NOT NULL,
    attempts        INTEGER NOT NULL CHECK (attempts >= 0),
    next_attempt_at INTEGER NOT NULL,
    last_error      TEXT,
    -- From 1970 to the year 9000: with room to reckon on both sides.
    CHECK (opened_at BETWEEN 0 AND 221845392000000),
    CHECK (next_attempt_at BETWEEN 0 AND 221845392000000),
    CHECK (quiet_until BETWEEN 0 AND 221845392000000),
    CHECK ((state IN ('pending', 'suspect', 'rejected')) = (body IS NOT NULL)),
    CHECK ((body IS NULL) = (account_id IS NULL)),
    CHECK ((body IS NULL) = (mode IS NULL)),
    CHECK ((body IS NULL) = (stripe_version IS NULL)),
    CHECK ((body IS NULL) = (idempotency_key IS NULL)),
    CHECK (body IS NOT NULL OR stripe_account IS NULL),
    CHECK ((state = 'suspect') = (quiet_until IS NOT NULL)),
    CHECK ((state = 'suspect') = (sent IS NOT NULL)),
    CHECK ((state = 'rejected') = (refusal_message IS NOT NULL)),
    CHECK (state = 'rejected' OR (refusal_code IS NULL AND refusal_param IS NULL)),
    CHECK ((state = 'settled') = (customer_id IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX customer_provisioning_due ON customer_provisioning (next_attempt_at)
    WHERE state IN ('pending', 'suspect');
CREATE INDEX customer_provisioning_customer ON customer_provisioning (customer_id)
    WHERE customer_id IS NOT NULL;

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

CREATE TABLE deleted_customer (
    customer_id TEXT PRIMARY KEY NOT NULL,
    recorded_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE surplus_customer (
    customer_id TEXT PRIMARY KEY NOT NULL,
    tenant_id   TEXT NOT NULL,
    reason      TEXT NOT NULL
                CHECK (reason IN ('late', 'duplicate', 'tenant_gone', 'host_bound_another', 'unbound')),
    found_at    INTEGER NOT NULL,
    resolved_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX surplus_customer_tenant ON surplus_customer (tenant_id);

-- Which Stripe account and mode this database belongs to.
CREATE TABLE stripe_account (
    only_row    INTEGER PRIMARY KEY CHECK (only_row = 1),
    account_id  TEXT NOT NULL,
    mode        TEXT NOT NULL CHECK (mode IN ('test', 'live')),
    recorded_at INTEGER NOT NULL
) STRICT;

-- This database's own id, and the oldest program that may still use its schema.
CREATE TABLE installation (
    only_row       INTEGER PRIMARY KEY CHECK (only_row = 1),
    id             TEXT NOT NULL,
    oldest_program INTEGER NOT NULL,
    created_at     INTEGER NOT NULL
) STRICT;
