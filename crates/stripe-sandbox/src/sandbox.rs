//! The handle of a running sandbox.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::chaos::Chaos;
use crate::config::{Config, Lag};
use crate::courier;
use crate::courier::settings::{WebhookChaos, WebhookOrder};
use crate::http;
use crate::limits::RateLimits;
use crate::report::{Counters, CustomerRecord, RequestRecord};
use crate::rule::Rule;
use crate::state::{State, file};
use crate::world::World;

/// A running sandbox. It stops when this is dropped: its connections end, and its state file is
/// released.
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
    /// Starts a sandbox as configured, within the caller's tokio runtime. If another sandbox has
    /// the state file, this waits until that one ends.
    ///
    /// # Errors
    /// When the address cannot be listened on, or the state file not opened, read or written.
    pub async fn start_with(config: Config) -> io::Result<Sandbox> {
        Sandbox::open(config, http::HEADER_TIMEOUT).await
    }

    /// Starts a sandbox that gives its clients so long to send the headers of a request.
    pub(crate) async fn open(config: Config, header_timeout: Duration) -> io::Result<Sandbox> {
        // The port comes first: connections that arrive while the file is read wait in its backlog.
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let state = match config.state {
            None => State::new(config.seed),
            Some(path) => {
                let (done, opened) = oneshot::channel();
                // This may wait for the lock of the file without end, so it has a thread of its
                // own: a runtime that shuts down would wait for one of its own threads.
                thread::spawn(move || {
                    done.send(file::open(&path, config.seed)).ok();
                });
                opened.await.map_err(|_| io::Error::other("opening the state file panicked"))??
            }
        };
        let (stop, stopped) = watch::channel(());
        let (world, outages) = World::new(state, stopped);
        let world = Arc::new(world);
        let server =
            tokio::spawn(http::serve(listener, Arc::clone(&world), outages, header_timeout));
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
        // If the state file cannot be written, time has still passed in this sandbox.
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

    /// Sets rate limits. At first there are none.
    pub fn set_rate_limits(&self, limits: RateLimits) {
        self.world.limiter().set(limits);
    }

    /// Refuses connections for so long, in real time. Answers that are on their way still leave.
    /// The port is closed when this returns.
    pub async fn refuse_connections(&self, span: Duration) {
        self.world.refuse(span).await;
    }

    /// Sets the chances that webhooks come twice or late, or ends them with `None`.
    pub fn webhook_chaos(&self, chaos: Option<WebhookChaos>) {
        self.world.courier.set(|settings| settings.chaos = chaos);
    }

    /// Holds webhooks back, or lets them go again.
    pub fn hold_webhooks(&self, held: bool) {
        self.world.courier.set(|settings| settings.held = held);
    }

    /// Delivers all webhooks that wait, also those that are held back or not due yet, in this order
    /// and each so many times. Returns the number of deliveries, after the last of them.
    pub async fn flush_webhooks(&self, order: WebhookOrder, copies: u32) -> usize {
        courier::flush(&self.world, order, copies).await
    }

    /// All Customers of all accounts and modes, deleted ones included. Those of one account and
    /// mode are in the order of their creation.
    #[must_use]
    pub fn customers(&self) -> Vec<CustomerRecord> {
        self.world.customers(u32::MAX)
    }

    /// The last 100,000 requests to the Stripe API, in the order in which they ended.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.world.log().last(usize::MAX)
    }

    /// The counters since the start, or the last reset.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.world.counters()
    }

    /// Deletes a Customer as the dashboard does: its event has no idempotency key. False if no live
    /// Customer has this id.
    pub fn delete_customer(&self, id: &str) -> bool {
        self.world.delete_customer(id)
    }

    /// Changes a Customer's e-mail address as the dashboard does. False if no live Customer has
    /// this id.
    pub fn edit_email(&self, id: &str, email: &str) -> bool {
        self.world.edit_email(id, email)
    }

    /// Stops it, and waits until its port and its connections are closed.
    pub async fn stop(mut self) {
        if let Some(Running { stop, server, courier }) = self.running.take() {
            drop(stop);
            // Neither was aborted, and one that panicked has stopped as well.
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
        // The file is released now, and not when the last task that shares the state is gone.
        self.world.state().close();
    }
}
