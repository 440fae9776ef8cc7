//! Waits for a signal that asks this process to end.

/// Completes at Ctrl-C (SIGINT) or SIGTERM. Where this process cannot listen for them, it never
/// completes, and the signals end the process by themselves.
pub(crate) async fn told_to_stop() {
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => {}
        () = terminated() => {}
        else => std::future::pending().await,
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            terminate.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}
