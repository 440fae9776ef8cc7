-- The host's tables. They are created only if there is no tenant_config. Ids are lower-case,
-- hyphenated UUIDs.

CREATE TABLE IF NOT EXISTS tenants (
    id         TEXT PRIMARY KEY NOT NULL
               CHECK (length(id) = 36 AND id = lower(id)
                      AND id GLOB '????????-????-????-????-????????????'),
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE tenant_config (
    id                 TEXT PRIMARY KEY NOT NULL,
    tenant_id          TEXT NOT NULL UNIQUE REFERENCES tenants (id) ON DELETE CASCADE,
    stripe_customer_id VARCHAR(255) UNIQUE CHECK (length(stripe_customer_id) <= 255),
    created_at         TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at         TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- SQLite cascades a deletion only on a connection that asks for it. This trigger cascades it on
-- every connection.
CREATE TRIGGER tenant_config_goes_with_its_tenant AFTER DELETE ON tenants
BEGIN DELETE FROM tenant_config WHERE tenant_id = old.id; END;
