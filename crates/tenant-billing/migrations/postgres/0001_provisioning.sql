-- Our tables. They are in a schema of their own, so that a host's schema tool never offers to drop
-- them. None has a foreign key to a host's table, since what we know of Stripe must outlive a
-- deleted tenant. The checks refuse every row that the protocol does not write.

-- The database's clock. Every time in our tables is taken from it, on the primary. (A test that
-- lets a day pass replaces this function.)
CREATE FUNCTION tenant_billing.clock() RETURNS timestamptz
    LANGUAGE sql VOLATILE PARALLEL SAFE
    AS 'SELECT pg_catalog.clock_timestamp()';

-- One row for each tenant that anything was begun for. Rows are never deleted.
CREATE TABLE tenant_billing.customer_provisioning (
    tenant_id       text PRIMARY KEY,
    version         bigint NOT NULL CHECK (version >= 1),
    generation      bigint NOT NULL CHECK (generation >= 1),
    state           text NOT NULL
                    CHECK (state IN ('vacant', 'pending', 'in_doubt', 'rejected', 'provisioned')),
    -- The states pending, in_doubt and rejected: the frozen request, which every later version of
    -- the program sends verbatim. The body holds the e-mail address, so no other state keeps it.
    account_id      text,
    mode            text CHECK (mode IN ('test', 'live')),
    stripe_account  text,
    stripe_version  text,
    idempotency_key text UNIQUE CHECK (length(idempotency_key) <= 255),
    body            text,
    -- The state in_doubt: an inquiry that finds nothing proves that there is no Customer only if it
    -- began at conclusive_from or later; and whether this generation may have been sent.
    conclusive_from timestamptz,
    sent            boolean,
    -- The state rejected: Stripe's error.
    rejection_code    text,
    rejection_param   text,
    rejection_message text,
    -- The state provisioned: the Customer that the row has led to.
    customer_id     text,
    opened_at       timestamptz NOT NULL,
    attempts        bigint NOT NULL CHECK (attempts BETWEEN 0 AND 4294967295),
    next_attempt_at timestamptz NOT NULL,
    last_error      text,
    -- Times are between 1970 and the year 9000, so that spans can be added and subtracted.
    CHECK (opened_at >= '1970-01-01 00:00:00+00'
           AND opened_at < '9000-01-01 00:00:00+00'),
    CHECK (next_attempt_at >= '1970-01-01 00:00:00+00'
           AND next_attempt_at < '9000-01-01 00:00:00+00'),
    CHECK (conclusive_from >= '1970-01-01 00:00:00+00'
           AND conclusive_from < '9000-01-01 00:00:00+00'),
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
);

CREATE INDEX customer_provisioning_due ON tenant_billing.customer_provisioning (next_attempt_at)
    WHERE state IN ('pending', 'in_doubt');
CREATE INDEX customer_provisioning_customer ON tenant_billing.customer_provisioning (customer_id)
    WHERE customer_id IS NOT NULL;

-- The audit trail. Rows are only ever added.
CREATE TABLE tenant_billing.billing_event (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id   text NOT NULL,
    at          timestamptz NOT NULL,
    kind        text NOT NULL,
    generation  bigint NOT NULL,
    customer_id text,
    request_id  text,
    detail      text NOT NULL
);

CREATE INDEX billing_event_tenant ON tenant_billing.billing_event (tenant_id, id);

CREATE FUNCTION tenant_billing.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS 'BEGIN RAISE EXCEPTION ''billing_event is append-only''; END';

CREATE TRIGGER billing_event_is_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON tenant_billing.billing_event
    FOR EACH STATEMENT EXECUTE FUNCTION tenant_billing.refuse_change();

-- The Customers that were deleted in Stripe.
CREATE TABLE tenant_billing.deleted_customer (
    customer_id text PRIMARY KEY,
    recorded_at timestamptz NOT NULL
);

-- Customers that exist in Stripe and must not. resolved_at is set once one is bound or deleted.
CREATE TABLE tenant_billing.surplus_customer (
    customer_id text PRIMARY KEY,
    tenant_id   text NOT NULL,
    reason      text NOT NULL
                CHECK (reason IN ('late', 'duplicate', 'tenant_gone', 'host_bound_another',
                                  'unbound')),
    found_at    timestamptz NOT NULL,
    resolved_at timestamptz
);

CREATE INDEX surplus_customer_tenant ON tenant_billing.surplus_customer (tenant_id);

-- The Stripe account and mode that this database belongs to. The table has at most one row.
CREATE TABLE tenant_billing.stripe_account (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    account_id  text NOT NULL,
    mode        text NOT NULL CHECK (mode IN ('test', 'live')),
    recorded_at timestamptz NOT NULL
);

-- The keys that are known to open that account: a keyed hash of each, from which no key can be told.
CREATE TABLE tenant_billing.stripe_key (
    fingerprint text PRIMARY KEY,
    recorded_at timestamptz NOT NULL
);

-- The installations that an operator has declared to be other applications on the same account.
CREATE TABLE tenant_billing.ignored_installation (
    id          text PRIMARY KEY,
    recorded_at timestamptz NOT NULL
);

-- This database's own id; which database it was given to, so that a copy is noticed (null: this
-- cannot be told here); and the oldest version of the program that may use its schema. The table has
-- exactly one row.
CREATE TABLE tenant_billing.installation (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    id             text NOT NULL,
    fingerprint    text,
    oldest_program bigint NOT NULL,
    created_at     timestamptz NOT NULL
);

-- Which of the host's tables and columns this database was migrated with, and the type of the
-- tenants' keys. With others, a tenant's id in our tables would mean another tenant. The table has
-- exactly one row.
CREATE TABLE tenant_billing.host_layout (
    only_row        boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- Names have their schemas and are quoted where necessary. Without a table of tenants, every
    -- tenant exists.
    tenants_table   text,
    tenants_oid     bigint,
    config_table    text NOT NULL,
    config_oid      bigint NOT NULL,
    tenant_column   text NOT NULL,
    tenant_number   bigint NOT NULL,
    customer_column text NOT NULL,
    customer_number bigint NOT NULL,
    key_type        text NOT NULL,
    -- The oid of this table itself. If it has another one now, the database was restored from a
    -- dump, and none of the oids and column numbers here mean anything any more.
    own_oid         bigint NOT NULL,
    -- Whoever has read another record than this one must read it again.
    recorded_at     timestamptz NOT NULL,
    CHECK ((tenants_table IS NULL) = (tenants_oid IS NULL))
);
