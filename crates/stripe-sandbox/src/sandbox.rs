//! The handle of a running sandbox.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::config::{Config, Lag};
use crate::fault::{Chaos, Rule};
use crate::http;
use crate::report::{Counters, CustomerRecord, RequestRecord};
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
/// sandbox.arm(Rule::new(Fault::AnswerLost).method("POST"));
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
}

impl Sandbox {
    /// Starts one on a free port of 127.0.0.1, in memory.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> io::Result<Sandbox> {
        Sandbox::start_with(Config::default()).await
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
            None => State::default(),
            Some(path) => {
                let (done, opened) = oneshot::channel();
                // A thread of its own and not one of the runtime's: a runtime that shuts down would
                // wait for it, and it may itself wait for a file lock as long as there is time.
                thread::spawn(move || {
                    done.send(journal::open(&path, Clock::default().now_ms())).ok();
                });
                opened.await.map_err(|_| io::Error::other("opening the state file panicked"))??
            }
        };
        let (stop, stopped) = watch::channel(());
        let world = Arc::new(World::new(state, config.seed, stopped));
        let server = tokio::spawn(http::serve(listener, Arc::clone(&world)));
        Ok(Sandbox { address, world, running: Some(Running { stop, server }) })
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

    /// All Customers of all accounts and modes, deleted ones included; those of one account and mode
    /// in the order of their creation.
    #[must_use]
    pub fn customers(&self) -> Vec<CustomerRecord> {
        self.world.customers()
    }

    /// The last 100,000 requests to the Stripe API, in the order they ended.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.world.log().requests.iter().cloned().collect()
    }

    /// What happened since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.world.log().counters.clone()
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
        if let Some(Running { stop, server }) = self.running.take() {
            drop(stop);
            // It was not aborted, and if it panicked there is nothing left to stop.
            let _ = server.await;
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.server.abort();
        }
        // Now, and not when the last task that shares the state is gone.
        self.world.state().close();
    }
}
