//! What every store must do, as a suite that a new store's own tests run.
//!
//! Implement [`Bench`] for your database and call [`run`]; each check is given a fresh database.
//! The checks know the port and [`Database`](crate::Database) alone, so what passes here is what
//! the protocol relies upon.

mod bench;
mod changes;
mod deletions;
mod facts;
mod installation;
mod listings;
mod recovery;

use std::future::Future;

use self::bench::Check;
pub use self::bench::{Bench, SteppedClock, register};

/// Runs every check, each on a database that `fresh` makes.
///
/// # Panics
/// With the name of the first check that fails, and why.
pub async fn run<B: Bench, F: Future<Output = B>>(fresh: impl Fn() -> F) {
    let suites: [&[(&str, Check)]; 6] = [
        changes::CHECKS,
        deletions::CHECKS,
        facts::CHECKS,
        installation::CHECKS,
        listings::CHECKS,
        recovery::CHECKS,
    ];
    for (name, check) in suites.into_iter().flatten() {
        let bench = fresh().await;
        eprintln!("conformance: {name}");
        check(&bench).await;
    }
}
