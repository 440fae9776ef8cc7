//! The README's lines as a program: `cargo run -p tenant-billing --features sqlite --example
//! embed`.
//!
//! It needs STRIPE_SECRET_KEY, and STRIPE_API_BASE if Stripe is a sandbox.

use std::env;

use tenant_billing::{Billing, Database, SecretKey, SqliteStore, StripeClient, ids::TenantId};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = SqliteStore::open("embed.db")?;
    store.migrate().await?;
    // In your application the sign-up registers the tenant, and has committed that by now.
    let tenant = TenantId::parse("7c9e6679-7425-40de-944b-e07fc1f90ae7")?;
    store.add_tenant(&tenant).await?;

    let mut stripe = StripeClient::new(SecretKey::parse(&env::var("STRIPE_SECRET_KEY")?)?);
    if let Ok(base) = env::var("STRIPE_API_BASE") {
        stripe = stripe.with_base(&base)?;
    }
    let billing = Billing::new(store, stripe);
    let email = "owner@example.com";
    println!("{}", billing.get_or_create_stripe_customer(tenant.as_str(), email).await?);
    Ok(())
}
