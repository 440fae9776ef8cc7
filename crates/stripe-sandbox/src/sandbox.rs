//! The handle of a running sandbox.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::chaos::Chaos;
use crate::clock::Clock;
use crate::config::{Config, Lag};
use crate::courier::{self, WebhookChaos, WebhookOrder};
use crate::http;
use crate::limits::RateLimits;
use crate::report::{Counters, CustomerRecord, RequestRecord};
use crate::rule::Rule;
use crate::start::Start;
use crate::state::{State, journal};
use crate::world::World;

/// A running sandbox. It stops when this is dropped: its connections end, and its state file is free.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use stripe_sandbox::{Fault, Rule, Sandbox};
///
/// let sandbox = Sandbox::start().await?;
/// sandbox.arm(Rule::new(Fault::AnswerLost).method("POST").tenant("t1"));
/// // … point a Stripe client at `sandbox.url()`, and let it create a Customer …
/// assert!(sandbox.url().starts_with("http://127.0.0.1:"));
/// assert!(sandbox.customers().is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a sandbox stops when it is dropped"]
pub struct Sandbox {
    address: SocketAddr,
    world: Arc<World>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    /// Dropping it tells everything to stop.
    stop: watch::Sender<()>,
    server: JoinHandle<()>,
    courier: JoinHandle<()>,
}

impl Sandbox {
    /// Starts one on a free port of 127.0.0.1, in memory, unless [`Start`] is told otherwise.
    ///
    /// # Errors
    /// When awaited: as [`Sandbox::start_with`].
    pub fn start() -> Start {
        Start::new()
    }

    /// Starts one as configured, within the caller's tokio runtime. If another sandbox has the state
    /// file, this waits until that one ends.
    ///
    /// # Errors
    /// When the address cannot be listened on, or the state file not opened, read or written.
    pub async fn start_with(config: Config) -> io::Result<Sandbox> {
        // Bound first: what comes to the port while the file is read waits in its backlog.
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let state = match config.state {
            None => State::new(config.seed),
            Some(path) => {
                let (done, opened) = oneshot::channel();
                // A thread of its own and not one of the runtime's: a runtime that shuts down would
                // wait for it, and it may itself wait for a file lock as long as there is time.
                thread::spawn(move || {
                    done.send(journal::open(&path, config.seed, Clock::default().now_ms())).ok();
                });
                opened.await.map_err(|_| io::Error::other("opening the state file panicked"))??
            }
        };
        let (stop, stopped) = watch::channel(());
        let (world, outages) = World::new(state, stopped);
        let world = Arc::new(world);
        let server = tokio::spawn(http::serve(listener, Arc::clone(&world), outages));
        let courier = tokio::spawn(courier::run(Arc::clone(&world)));
        Ok(Sandbox { address, world, running: Some(Running { stop, server, courier }) })
    }

    /// Where it listens, such as `http://127.0.0.1:40123`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Moves the sandbox's clock forward. Keys, events and lags grow older by that much.
    pub fn advance(&self, by: Duration) {
        // Should the state file not take it, time has passed in this sandbox nevertheless.
        let _ = self.world.advance(by);
    }

    /// Arms a fault.
    pub fn arm(&self, rule: Rule) {
        self.world.arsenal().arm(rule);
    }

    /// Sets faults by chance, or ends them with `None`.
    pub fn chaos(&self, chaos: Option<Chaos>) {
        self.world.arsenal().set_chaos(chaos);
    }

    /// Disarms every rule, and ends chaos.
    pub fn disarm(&self) {
        self.world.arsenal().disarm();
    }

    /// Sets how far search and events are behind.
    pub fn set_lag(&self, lag: Lag) {
        self.world.set_lag(lag);
    }

    /// Sets rate limits, which there are none of at first.
    pub fn set_rate_limits(&self, limits: RateLimits) {
        self.world.limiter().set(limits);
    }

    /// Refuses connections for so long, in real time. Answers that are on their way still leave, and
    /// when this returns the port is closed.
    pub async fn refuse_connections(&self, span: Duration) {
        self.world.refuse(span).await;
    }

    /// Sets chances that webhooks come twice or late, or ends them with `None`.
    pub fn webhook_chaos(&self, chaos: Option<WebhookChaos>) {
        self.world.courier.set(|settings| settings.chaos = chaos);
    }

    /// Holds webhooks back, or lets them go again.
    pub fn hold_webhooks(&self, held: bool) {
        self.world.courier.set(|settings| settings.held = held);
    }

    /// Delivers all webhooks that wait, held back or not due yet, in this order and each so many
    /// times; returns how many deliveries were made once all were.
    pub async fn flush_webhooks(&self, order: WebhookOrder, copies: u32) -> usize {
        courier::flush(&self.world, order, copies).await
    }

    /// All Customers of all accounts and modes, deleted ones included; those of one account and mode
    /// in the order of their creation.
    #[must_use]
    pub fn customers(&self) -> Vec<CustomerRecord> {
        self.world.customers()
    }

    /// The last 100,000 requests to the Stripe API, in the order they ended.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.world.log().last(usize::MAX, self.world.base)
    }

    /// What happened since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.world.counters()
    }

    /// Deletes a Customer as the dashboard does: its event has no idempotency key. False if no live
    /// Customer has this id.
    pub fn delete_customer(&self, id: &str) -> bool {
        self.world.delete_customer(id)
    }

    /// Changes a Customer's e-mail address as the dashboard does. False if no live Customer has this
    /// id.
    pub fn edit_email(&self, id: &str, email: &str) -> bool {
        self.world.edit_email(id, email)
    }

    /// Stops it, and waits until its port and its connections are closed.
    pub async fn stop(mut self) {
        if let Some(Running { stop, server, courier }) = self.running.take() {
            drop(stop);
            // They were not aborted, and if one panicked there is nothing left to stop.
            let _ = server.await;
            let _ = courier.await;
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.server.abort();
            running.courier.abort();
        }
        // Now, and not when the last task that shares the state is gone.
        self.world.state().close();
    }
}
