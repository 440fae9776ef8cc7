//! The README's lines as a program: `cargo run -p tenant-billing --features sqlite --example embed`.
//!
//! It wants STRIPE_SECRET_KEY, and STRIPE_API_BASE where Stripe is a sandbox.

use std::{env, sync::Arc};

use tenant_billing::{
    Billing, SecretKey, SqliteStore, StripeClient, SystemClock, ids::TenantId, ports::Store,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = SystemClock::shared();
    let store = Arc::new(SqliteStore::open("embed.db", clock.clone())?);
    store.migrate().await?;
    let mut stripe =
        StripeClient::new(SecretKey::parse(&env::var("STRIPE_SECRET_KEY")?)?, clock.clone());
    if let Ok(base) = env::var("STRIPE_API_BASE") {
        stripe = stripe.with_base(&base)?;
    }
    let billing = Billing::new(store.clone(), Arc::new(stripe), clock);

    // In your application the tenant is registered by its sign-up, whose transaction has committed.
    let tenant = TenantId::parse("7c9e6679-7425-40de-944b-e07fc1f90ae7")?;
    store.add_tenant(&tenant).await?;
    let customer =
        billing.get_or_create_stripe_customer(tenant.as_str(), "owner@example.com").await?;
    println!("{customer}");
    Ok(())
}
