//! The builder that starts a sandbox, with whatever is to go wrong in it from the first request on.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::chaos::Chaos;
use crate::config::{Config, Lag};
use crate::courier::settings::WebhookChaos;
use crate::fault::Fault;
use crate::http;
use crate::limits::RateLimits;
use crate::rule::Rule;
use crate::sandbox::Sandbox;

impl Sandbox {
    /// Starts a sandbox in memory on a free port of 127.0.0.1, unless [`Start`] is told otherwise.
    ///
    /// # Errors
    /// When awaited: as [`Sandbox::start_with`].
    pub fn start() -> Start {
        let setup = Setup { header_timeout: http::HEADER_TIMEOUT, ..Setup::default() };
        Start { setup, running: None }
    }
}

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
    setup: Setup,
    running: Option<Pin<Box<dyn Future<Output = io::Result<Sandbox>> + Send>>>,
}

#[derive(Debug, Default)]
struct Setup {
    config: Config,
    header_timeout: Duration,
    rules: Vec<Rule>,
    chaos: Option<Chaos>,
    webhooks: Option<WebhookChaos>,
    lag: Lag,
    limits: RateLimits,
}

impl Start {
    /// How long a client may take to send the headers of a request, or stay idle, in real time. It
    /// is 30 seconds unless set; then the connection is closed.
    pub fn header_timeout(mut self, span: Duration) -> Start {
        self.setup.header_timeout = span;
        self
    }

    /// Keeps the state in a file; see [`Config::state`].
    pub fn state(mut self, file: impl Into<PathBuf>) -> Start {
        self.setup.config.state = Some(file.into());
        self
    }

    /// The seed of all ids; see [`Config::seed`].
    pub fn seed(mut self, seed: u64) -> Start {
        self.setup.config.seed = seed;
        self
    }

    /// Arms a fault; see [`Sandbox::arm`].
    pub fn arm(mut self, rule: Rule) -> Start {
        self.setup.rules.push(rule);
        self
    }

    /// Loses the answers to the next so many POSTs, after the work is done.
    pub fn lose_answer(self, times: u64) -> Start {
        self.arm(Rule::new(Fault::AnswerLost).method("POST").times(times))
    }

    /// Loses the next so many POSTs on their way to the sandbox.
    pub fn lose_request(self, times: u64) -> Start {
        self.arm(Rule::new(Fault::RequestLost).method("POST").times(times))
    }

    /// Sets faults by chance; see [`Sandbox::chaos`].
    pub fn chaos(mut self, chaos: Chaos) -> Start {
        self.setup.chaos = Some(chaos);
        self
    }

    /// Sets chances for webhooks; see [`Sandbox::webhook_chaos`].
    pub fn webhook_chaos(mut self, chaos: WebhookChaos) -> Start {
        self.setup.webhooks = Some(chaos);
        self
    }

    /// Sets how many seconds search is behind.
    pub fn search_lag(mut self, seconds: u64) -> Start {
        self.setup.lag.search_seconds = seconds;
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
        let Start { setup, running } = &mut *self;
        let running = running.get_or_insert_with(|| Box::pin(std::mem::take(setup).start()));
        running.as_mut().poll(context)
    }
}

impl Setup {
    async fn start(self) -> io::Result<Sandbox> {
        let sandbox = Sandbox::open(self.config, self.header_timeout).await?;
        for rule in self.rules {
            sandbox.arm(rule);
        }
        sandbox.chaos(self.chaos);
        sandbox.webhook_chaos(self.webhooks);
        sandbox.set_lag(self.lag);
        sandbox.set_rate_limits(self.limits);
        Ok(sandbox)
    }
}

impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start").field("setup", &self.setup).finish_non_exhaustive()
    }
}
