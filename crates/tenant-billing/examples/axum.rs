//! A small SaaS that has its own tables, its own pool and its own sign-up, and embeds
//! tenant-billing: `cargo run -p tenant-billing --example axum`.
//!
//! It needs DATABASE_URL (a PostgreSQL database, which may be empty), STRIPE_SECRET_KEY, and
//! STRIPE_API_BASE if Stripe is a sandbox. With STRIPE_WEBHOOK_SECRET it takes Stripe's webhooks
//! too. Then:
//!
//!     curl -s localhost:3000/tenants -H 'Content-Type: application/json' -d '{"email": "a@example.com"}'
//!     curl -s localhost:3000/tenants/ID/customer
//!     curl -s localhost:3000/tenants/ID/billing-history

use std::{env, error::Error, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use tenant_billing::{
    Billing, PostgresStore, SecretKey, StripeClient, SystemClock,
    audit::History,
    deadpool_postgres::{Config, Pool, Runtime},
    ids::{CustomerId, TenantId},
    tokio_postgres::NoTls,
    webhook::{self, WebhookSecret},
};
use tokio::net::TcpListener;
use uuid::Uuid;

/// The host's own tables, as its own migrations would make them.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS tenants (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE IF NOT EXISTS tenant_config (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        tenant_id uuid NOT NULL UNIQUE REFERENCES tenants (id) ON DELETE CASCADE,
        stripe_customer_id varchar(255) UNIQUE,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE IF NOT EXISTS users (
        email text PRIMARY KEY,
        tenant_id uuid NOT NULL REFERENCES tenants (id)
    );";

#[derive(Clone)]
struct App {
    pool: Pool,
    billing: Billing,
    webhook_secrets: Arc<[WebhookSecret]>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Config { url: Some(env::var("DATABASE_URL")?), ..Config::default() };
    let pool = config.create_pool(Some(Runtime::Tokio1), NoTls)?;
    let mut stripe = StripeClient::new(SecretKey::parse(&env::var("STRIPE_SECRET_KEY")?)?);
    if let Ok(base) = env::var("STRIPE_API_BASE") {
        stripe = stripe.with_base(&base)?;
    }
    let secret = env::var("STRIPE_WEBHOOK_SECRET").ok().map(|it| WebhookSecret::parse(&it));
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, pool, stripe, secret.transpose()?.into_iter().collect()).await
}

/// Runs the whole program.
pub(crate) async fn serve(
    listener: TcpListener,
    pool: Pool,
    stripe: StripeClient,
    webhook_secrets: Arc<[WebhookSecret]>,
) -> Result<(), Box<dyn Error>> {
    pool.get().await?.batch_execute(TABLES).await?;
    let store = PostgresStore::from_pool(pool.clone());
    // Our tables beside yours. In production, `tenant-billing migrate` does this as part of a
    // deploy.
    store.migrate().await?;
    let billing = Billing::new(store, stripe);

    // This finishes whatever a crash or a lost answer has left behind.
    let recovery = billing.clone();
    tokio::spawn(async move { recovery.run_recovery(std::future::pending()).await });

    let routes = Router::new()
        .route("/tenants", post(sign_up))
        .route("/tenants/{id}/customer", get(customer))
        .route("/tenants/{id}/billing-history", get(history))
        .route("/stripe/webhook", post(stripe_webhook))
        .with_state(App { pool, billing, webhook_secrets });
    Ok(axum::serve(listener, routes).await?)
}

#[derive(Deserialize)]
struct SignUp {
    email: String,
}

#[derive(Serialize)]
struct Tenant {
    tenant_id: Uuid,
    stripe_customer_id: Option<CustomerId>,
}

/// Registers a tenant and its first user, commits that, and only then asks for the Customer. If
/// Stripe is unavailable, the sign-up stands all the same, and recovery or the next call goes on.
async fn sign_up(
    State(app): State<App>,
    Json(SignUp { email }): Json<SignUp>,
) -> Result<(StatusCode, Json<Tenant>), Failure> {
    let tenant_id = {
        let mut client = app.pool.get().await?;
        let transaction = client.transaction().await?;
        let insert = "INSERT INTO tenants DEFAULT VALUES RETURNING id";
        let tenant_id: Uuid = transaction.query_one(insert, &[]).await?.get(0);
        let insert = "INSERT INTO users (email, tenant_id) VALUES ($1, $2)";
        transaction.execute(insert, &[&email, &tenant_id]).await?;
        transaction.commit().await?;
        tenant_id
        // Here the connection goes back to the pool, which is small, while Stripe takes its time.
    };
    let id = tenant_id.to_string();
    let stripe_customer_id = app.billing.get_or_create_stripe_customer(&id, &email).await.ok();
    Ok((StatusCode::CREATED, Json(Tenant { tenant_id, stripe_customer_id })))
}

/// The tenant's Customer, wherever money is about to move.
async fn customer(
    State(app): State<App>,
    Path(tenant_id): Path<Uuid>,
) -> Result<Json<Tenant>, Failure> {
    let owner = "SELECT email FROM users WHERE tenant_id = $1 LIMIT 1";
    let row = app.pool.get().await?.query_opt(owner, &[&tenant_id]).await?;
    let id = tenant_id.to_string();
    let email: String = row.ok_or_else(no_such_tenant)?.get(0);
    let customer = app.billing.get_or_create_stripe_customer(&id, &email).await?;
    Ok(Json(Tenant { tenant_id, stripe_customer_id: Some(customer) }))
}

/// All that is on record of the tenant, for a support page.
async fn history(
    State(app): State<App>,
    Path(tenant_id): Path<Uuid>,
) -> Result<Json<History>, Failure> {
    let tenant = TenantId::parse(&tenant_id.to_string())?;
    Ok(Json(app.billing.history(&tenant).await?))
}

/// Stripe's webhooks. A status of 2xx ends an event's delivery; after any other Stripe delivers it
/// again.
async fn stripe_webhook(
    State(app): State<App>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Failure> {
    let signature = headers.get("Stripe-Signature").and_then(|it| it.to_str().ok());
    let now = SystemClock::shared().now();
    let Ok(event) =
        webhook::verify(&app.webhook_secrets, signature.unwrap_or_default(), &body, now)
    else {
        return Ok(StatusCode::BAD_REQUEST);
    };
    event.apply(&app.billing).await?;
    Ok(StatusCode::OK)
}

fn no_such_tenant() -> Failure {
    Failure(StatusCode::NOT_FOUND.into_response())
}

/// What a browser is told; the log says more.
struct Failure(Response);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.0
    }
}

/// Of tenant-billing an error has its own status; any other one is the database's.
impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        eprintln!("{error}");
        let Some(error) = error.downcast_ref::<tenant_billing::Error>() else {
            return Self(StatusCode::SERVICE_UNAVAILABLE.into_response());
        };
        let after = error.retry_after().map(|it| it.as_secs_f64().ceil().to_string());
        let headers = after.map(|seconds| [(RETRY_AFTER, seconds)]);
        let status = StatusCode::from_u16(error.http_status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self((status, headers, ()).into_response())
    }
}
