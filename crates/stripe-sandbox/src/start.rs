//! Starting a sandbox, with whatever is to go wrong in it from the first request on.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::chaos::Chaos;
use crate::config::{Config, Lag};
use crate::courier::WebhookChaos;
use crate::fault::{Fault, When};
use crate::limits::RateLimits;
use crate::rule::Rule;
use crate::sandbox::Sandbox;

/// A sandbox that is about to start. Await it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use stripe_sandbox::Sandbox;
///
/// // The answer to the first creation gets lost, and search is an hour behind.
/// let sandbox = Sandbox::start().lose_answer(1).search_lag(3600).seed(7).await?;
/// # let _ = sandbox;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing starts until it is awaited"]
pub struct Start {
    config: Config,
    setup: Setup,
    running: Option<Pin<Box<dyn Future<Output = io::Result<Sandbox>> + Send>>>,
}

#[derive(Debug, Default)]
struct Setup {
    rules: Vec<Rule>,
    chaos: Option<Chaos>,
    webhooks: Option<WebhookChaos>,
    lag: Lag,
    limits: RateLimits,
}

impl Start {
    pub(crate) fn new() -> Start {
        Start { config: Config::default(), setup: Setup::default(), running: None }
    }

    /// Where it listens, instead of on a free port of 127.0.0.1.
    pub fn listen(mut self, address: SocketAddr) -> Start {
        self.config.listen = address;
        self
    }

    /// Keeps the state in a file; see [`Config::state`].
    pub fn state(mut self, file: impl Into<PathBuf>) -> Start {
        self.config.state = Some(file.into());
        self
    }

    /// Where ids come from; see [`Config::seed`].
    pub fn seed(mut self, seed: u64) -> Start {
        self.config.seed = seed;
        self
    }

    /// Arms a fault; see [`Sandbox::arm`].
    pub fn arm(mut self, rule: Rule) -> Start {
        self.setup.rules.push(rule);
        self
    }

    /// The next so many POSTs are worked on, and their answers get lost.
    pub fn lose_answer(self, times: u64) -> Start {
        self.arm(Rule::new(Fault::AnswerLost).method("POST").times(times))
    }

    /// The next so many POSTs get lost on their way here.
    pub fn lose_request(self, times: u64) -> Start {
        self.arm(Rule::new(Fault::RequestLost).method("POST").times(times))
    }

    /// The next so many POSTs end in a 500 that is saved under their keys, with their effect or
    /// without.
    pub fn store_error(self, times: u64, side_effect: bool) -> Start {
        self.arm(Rule::new(Fault::StoredError { side_effect }).method("POST").times(times))
    }

    /// The next so many POSTs are answered so many milliseconds of real time later; their keys are
    /// in flight meanwhile.
    pub fn delay(self, times: u64, ms: u64) -> Start {
        self.arm(Rule::new(Fault::Delay { ms, when: When::Before }).method("POST").times(times))
    }

    /// Faults by chance; see [`Sandbox::chaos`].
    pub fn chaos(mut self, chaos: Chaos) -> Start {
        self.setup.chaos = Some(chaos);
        self
    }

    /// Chances for webhooks; see [`Sandbox::webhook_chaos`].
    pub fn webhook_chaos(mut self, chaos: WebhookChaos) -> Start {
        self.setup.webhooks = Some(chaos);
        self
    }

    /// How many seconds search is behind.
    pub fn search_lag(mut self, seconds: u64) -> Start {
        self.setup.lag.search_seconds = seconds;
        self
    }

    /// How many seconds events are behind.
    pub fn events_lag(mut self, seconds: u64) -> Start {
        self.setup.lag.events_seconds = seconds;
        self
    }

    /// Sets rate limits; see [`Sandbox::set_rate_limits`].
    pub fn rate_limits(mut self, limits: RateLimits) -> Start {
        self.setup.limits = limits;
        self
    }
}

impl Future for Start {
    type Output = io::Result<Sandbox>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<Sandbox>> {
        let Start { config, setup, running } = &mut *self;
        let running =
            running.get_or_insert_with(|| Box::pin(start(config.clone(), std::mem::take(setup))));
        running.as_mut().poll(context)
    }
}

async fn start(config: Config, setup: Setup) -> io::Result<Sandbox> {
    let sandbox = Sandbox::start_with(config).await?;
    for rule in setup.rules {
        sandbox.arm(rule);
    }
    sandbox.chaos(setup.chaos);
    sandbox.webhook_chaos(setup.webhooks);
    sandbox.set_lag(setup.lag);
    sandbox.set_rate_limits(setup.limits);
    Ok(sandbox)
}

impl std::fmt::Debug for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Start").field("config", &self.config).field("setup", &self.setup).finish()
    }
}
