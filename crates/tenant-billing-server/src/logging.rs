//! The log on standard error, from our own crates only.
//!
//! A library below us may log a URL, and a URL of Stripe's may contain an e-mail address. So
//! whatever `RUST_LOG` says, only our own crates can log, and they log no personal data.

use std::io;

use tracing::Metadata;
use tracing_subscriber::{
    filter::{Targets, filter_fn},
    fmt,
    layer::{Layer, SubscriberExt},
    util::SubscriberInitExt,
};

pub(crate) use tracing_subscriber::filter::LevelFilter;

use crate::output;

/// Where the library logs that a creation has failed. The commands print that themselves, so it is
/// logged only if `RUST_LOG` asks for it.
const CREATION_FAILED: &str = "tenant_billing_core::error";
/// How the names of our own crates begin.
const OURS: [&str; 2] = ["tenant_billing", "stripe_sandbox"];

/// Starts the log with the levels in `RUST_LOG`, or with this level if it is not set.
pub(crate) fn start(level: LevelFilter) {
    let wanted = match std::env::var("RUST_LOG") {
        Err(_) => {
            let targets = Targets::new().with_default(level);
            targets.with_target(CREATION_FAILED, level.min(LevelFilter::ERROR))
        }
        Ok(text) => text.parse().unwrap_or_else(|_| {
            output::say(
                "warning: RUST_LOG is not valid and is ignored; set it to a level such as `debug`",
            );
            Targets::new().with_default(level)
        }),
    };
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(false);
    let lines = lines.with_filter(wanted).with_filter(filter_fn(is_ours));
    // This fails only if there is a logger already, which then writes the log.
    let _ = tracing_subscriber::registry().with(lines).try_init();
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    OURS.iter().any(|ours| metadata.target().starts_with(ours))
}

#[cfg(test)]
mod tests {
    use parser_inputs::{check, texts};
    use proptest::{prelude::Strategy, sample::select};

    use super::Targets;

    #[test]
    fn levels() {
        const WORDS: &[&str] =
            &["debug", "warn", "=", ",", "tenant_billing", "::", "[", "]", "off", "5", " "];
        let good = ["debug", "warn,tenant_billing=trace", "tenant_billing::driver=info,off", "3"];
        check("RUST_LOG", texts(select(good.to_vec()).prop_map(str::to_owned), WORDS), |text| {
            text.parse::<Targets>().is_ok()
        });
    }
}
