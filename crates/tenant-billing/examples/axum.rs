//! A small SaaS that has its own tables, its own pool and its own sign-up, and embeds tenant-billing:
//! `cargo run -p tenant-billing --example axum`.
//!
//! It wants DATABASE_URL (a PostgreSQL database, which may be empty), STRIPE_SECRET_KEY, and
//! STRIPE_API_BASE where Stripe is a sandbox. Then:
//!
//!     curl -s localhost:3000/tenants -H 'Content-Type: application/json' -d '{"email": "a@example.com"}'
//!     curl -s localhost:3000/tenants/ID/customer

use std::{env, error::Error, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use tenant_billing::{
    Advice, Billing, PostgresStore, SecretKey, StripeClient, SystemClock,
    deadpool_postgres::{Config, Pool, Runtime},
    ports::Store,
    tokio_postgres::NoTls,
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
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Config { url: Some(env::var("DATABASE_URL")?), ..Config::default() };
    let pool = config.create_pool(Some(Runtime::Tokio1), NoTls)?;
    let clock = SystemClock::shared();
    let mut stripe =
        StripeClient::new(SecretKey::parse(&env::var("STRIPE_SECRET_KEY")?)?, clock.clone());
    if let Ok(base) = env::var("STRIPE_API_BASE") {
        stripe = stripe.with_base(&base)?;
    }
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, pool, stripe).await
}

/// Runs the whole of it.
pub(crate) async fn serve(
    listener: TcpListener,
    pool: Pool,
    stripe: StripeClient,
) -> Result<(), Box<dyn Error>> {
    pool.get().await?.batch_execute(TABLES).await?;
    // Ours beside yours. In production, `tenant-billing migrate` does this as part of a deploy.
    let clock = SystemClock::shared();
    let store = PostgresStore::from_pool(pool.clone(), clock.clone());
    store.migrate().await?;
    let billing = Billing::new(Arc::new(store), Arc::new(stripe), clock);

    // Whatever a crash or a lost answer leaves behind is finished here.
    let recovery = billing.clone();
    tokio::spawn(async move { recovery.run_recovery(std::future::pending()).await });

    let routes = Router::new()
        .route("/tenants", post(sign_up))
        .route("/tenants/{id}/customer", get(customer))
        .with_state(App { pool, billing });
    Ok(axum::serve(listener, routes).await?)
}

#[derive(Deserialize)]
struct SignUp {
    email: String,
}

#[derive(Serialize)]
struct Tenant {
    tenant_id: Uuid,
    stripe_customer_id: Option<String>,
}

/// Registers a tenant and its first user, and only when that has committed asks for the Customer. If
/// Stripe is away just then, the sign-up stands all the same, and recovery or the next call goes on.
async fn sign_up(State(app): State<App>, Json(asked): Json<SignUp>) -> Result<Response, Failure> {
    let mut client = app.pool.get().await?;
    let transaction = client.transaction().await?;
    let row = transaction.query_one("INSERT INTO tenants DEFAULT VALUES RETURNING id", &[]).await?;
    let tenant_id: Uuid = row.get(0);
    let user = "INSERT INTO users (email, tenant_id) VALUES ($1, $2)";
    transaction.execute(user, &[&asked.email, &tenant_id]).await?;
    transaction.commit().await?;
    // The pool is small, and Stripe takes its time.
    drop(client);

    let name = tenant_id.to_string();
    let customer = app.billing.get_or_create_stripe_customer(&name, &asked.email).await;
    let stripe_customer_id = customer.ok().map(|customer| customer.as_str().to_owned());
    Ok((StatusCode::CREATED, Json(Tenant { tenant_id, stripe_customer_id })).into_response())
}

/// The tenant's Customer, wherever money is about to move.
async fn customer(
    State(app): State<App>,
    Path(tenant_id): Path<Uuid>,
) -> Result<Response, Failure> {
    let client = app.pool.get().await?;
    let owner = "SELECT email FROM users WHERE tenant_id = $1 LIMIT 1";
    let Some(row) = client.query_opt(owner, &[&tenant_id]).await? else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    let email: String = row.get(0);
    drop(client);
    let customer =
        app.billing.get_or_create_stripe_customer(&tenant_id.to_string(), &email).await?;
    let stripe_customer_id = Some(customer.as_str().to_owned());
    Ok(Json(Tenant { tenant_id, stripe_customer_id }).into_response())
}

/// What a browser is told; the log says more.
struct Failure(Response);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.0
    }
}

impl From<tenant_billing::Error> for Failure {
    fn from(error: tenant_billing::Error) -> Self {
        let status = match error.advice() {
            Advice::CorrectInput | Advice::GiveUp => StatusCode::UNPROCESSABLE_ENTITY,
            Advice::RegisterTenant => StatusCode::NOT_FOUND,
            Advice::TryAgain(after) => {
                let seconds = after.as_secs_f64().ceil().to_string();
                let retry = [(RETRY_AFTER, seconds)];
                return Self((StatusCode::SERVICE_UNAVAILABLE, retry).into_response());
            }
            Advice::CallOperator => StatusCode::INTERNAL_SERVER_ERROR,
        };
        eprintln!("{error}");
        Self(status.into_response())
    }
}

macro_rules! unavailable {
    ($($error:ty),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                eprintln!("{error}");
                Self(StatusCode::SERVICE_UNAVAILABLE.into_response())
            }
        })*
    };
}

unavailable!(tenant_billing::tokio_postgres::Error, tenant_billing::deadpool_postgres::PoolError);
