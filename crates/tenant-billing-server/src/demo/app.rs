//! What the three programs have in common.

use async_trait::async_trait;

/// A program that can be asked for a tenant's Customer.
#[async_trait]
pub(super) trait App: Send + Sync + 'static {
    /// `get_or_create_stripe_customer(tenant_id, user_email)`.
    async fn customer_of(&self, tenant: &str, email: &str) -> Result<String, String>;

    /// The work that the program does in the background.
    async fn background_work(&self) {}
}
