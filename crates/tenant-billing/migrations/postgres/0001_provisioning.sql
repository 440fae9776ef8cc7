-- Ours, in a schema of their own, so that a host's schema tool never offers to drop them. None has a
-- foreign key to a host's table: what we know of Stripe outlives a deleted tenant. Every row that the
-- protocol would not write is refused here.

-- The database's clock: every age in the protocol counts by this function, on the primary. (A test that
-- lets a day pass replaces it.)
CREATE FUNCTION tenant_billing.clock() RETURNS timestamptz
    LANGUAGE sql VOLATILE PARALLEL SAFE
    AS 'SELECT pg_catalog.clock_timestamp()';

CREATE TABLE tenant_billing.customer_provisioning (
    tenant_id       text PRIMARY KEY,
    version         bigint NOT NULL CHECK (version >= 1),
    generation      bigint NOT NULL CHECK (generation >= 1),
    state           text NOT NULL
                    CHECK (state IN ('vacant', 'pending', 'suspect', 'rejected', 'settled')),
    -- The frozen request, sent verbatim by every later version of the program. The body holds the
    -- e-mail address, so it goes when the matter is settled.
    account_id      text,
    mode            text CHECK (mode IN ('test', 'live')),
    stripe_account  text,
    stripe_version  text,
    idempotency_key text UNIQUE CHECK (length(idempotency_key) <= 255),
    body            text,
    -- suspect
    quiet_until     timestamptz,
    sent            boolean,
    -- rejected
    refusal_code    text,
    refusal_param   text,
    refusal_message text,
    -- settled
    customer_id     text,
    opened_at       timestamptz NOT NULL,
    attempts        bigint NOT NULL CHECK (attempts BETWEEN 0 AND 4294967295),
    next_attempt_at timestamptz NOT NULL,
    last_error      text,
    -- From 1970 to the year 9000: with room to reckon on both sides.
    CHECK (opened_at >= '1970-01-01 00:00:00+00' AND opened_at < '9000-01-01 00:00:00+00'),
    CHECK (next_attempt_at >= '1970-01-01 00:00:00+00' AND next_attempt_at < '9000-01-01 00:00:00+00'),
    CHECK (quiet_until >= '1970-01-01 00:00:00+00' AND quiet_until < '9000-01-01 00:00:00+00'),
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
);

CREATE INDEX customer_provisioning_due ON tenant_billing.customer_provisioning (next_attempt_at)
    WHERE state IN ('pending', 'suspect');
CREATE INDEX customer_provisioning_customer ON tenant_billing.customer_provisioning (customer_id)
    WHERE customer_id IS NOT NULL;

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

CREATE TABLE tenant_billing.deleted_customer (
    customer_id text PRIMARY KEY,
    recorded_at timestamptz NOT NULL
);

CREATE TABLE tenant_billing.surplus_customer (
    customer_id text PRIMARY KEY,
    tenant_id   text NOT NULL,
    reason      text NOT NULL
                CHECK (reason IN ('late', 'duplicate', 'tenant_gone', 'host_bound_another', 'unbound')),
    found_at    timestamptz NOT NULL,
    resolved_at timestamptz
);

CREATE INDEX surplus_customer_tenant ON tenant_billing.surplus_customer (tenant_id);

-- Which Stripe account and mode this database belongs to.
CREATE TABLE tenant_billing.stripe_account (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    account_id  text NOT NULL,
    mode        text NOT NULL CHECK (mode IN ('test', 'live')),
    recorded_at timestamptz NOT NULL
);

-- This database's own id, and the oldest program that may still use its schema.
CREATE TABLE tenant_billing.installation (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    id             text NOT NULL,
    oldest_program bigint NOT NULL,
    created_at     timestamptz NOT NULL
);
