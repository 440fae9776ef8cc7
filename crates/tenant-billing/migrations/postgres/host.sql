-- The host's tables. They are created only in an empty database.

CREATE TABLE tenants (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE tenant_config (
    id                 uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id          uuid NOT NULL UNIQUE REFERENCES tenants (id) ON DELETE CASCADE,
    stripe_customer_id varchar(255) UNIQUE,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now()
);

-- So that it can be told from a table of the application's, which knows more of a tenant than its id.
COMMENT ON TABLE tenants IS 'made by tenant-billing';
