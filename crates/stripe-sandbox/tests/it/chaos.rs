//! Faults by chance: the same seed and the same requests fail in the same places.

use stripe_sandbox::{Chaos, FaultKind, Sandbox};

use crate::client::{create, get};

fn chaos(seed: u64) -> Chaos {
    FaultKind::ALL
        .into_iter()
        .fold(Chaos::new(seed), |chaos, kind| chaos.with(kind, 0.09))
        .max_delay_ms(1)
}

/// The statuses of requests that were sent `times` times with each of `keys`, with 0 for no answer.
async fn fates(chaos: Chaos, keys: &[u32], times: usize) -> Vec<Vec<u16>> {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.chaos(Some(chaos));
    let mut senders = Vec::new();
    for key in keys {
        let request = create(&sandbox, &[]).key(&format!("key-{key}"));
        senders.push(tokio::spawn(async move {
            let mut statuses = Vec::new();
            for _ in 0..times {
                statuses.push(request.try_send().await.map_or(0, |answer| answer.status));
            }
            statuses
        }));
    }
    let mut fates = Vec::new();
    for sender in senders {
        fates.push(sender.await.unwrap());
    }
    fates
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seed_decides_whatever_the_order() {
    let keys: Vec<u32> = (0..40).collect();
    let mut turned = keys.clone();
    turned.reverse();
    let one = fates(chaos(7), &keys, 3).await;
    let mut two = fates(chaos(7), &turned, 3).await;
    two.reverse();
    assert_eq!(one, two);
    assert_ne!(one, fates(chaos(8), &keys, 3).await);
    for status in [0, 200, 429, 500, 502] {
        assert!(one.iter().flatten().any(|s| *s == status), "no {status} in {one:?}");
    }
}

#[tokio::test]
async fn a_probability_is_kept() {
    // Of 400 requests, with the odds at three standard deviations.
    for (probability, least, most) in [(0.0, 0, 0), (0.2, 56, 104), (1.0, 400, 400)] {
        let sandbox = Sandbox::start().await.unwrap();
        sandbox.chaos(Some(Chaos::new(1).with(FaultKind::RateLimited, probability)));
        for key in 0..400 {
            create(&sandbox, &[]).key(&key.to_string()).send().await;
        }
        let struck = sandbox.counters().faults.get("rate_limited").copied().unwrap_or(0);
        assert!((least..=most).contains(&struck), "{struck} at {probability}");
    }
}

#[tokio::test]
async fn only_the_named_methods_are_struck() {
    for (methods, create_fails, list_fails) in [
        (None, true, false),
        (Some(vec!["GET"]), false, true),
        (Some(vec!["get", "post"]), true, true),
    ] {
        let sandbox = Sandbox::start().await.unwrap();
        let mut chaos = Chaos::new(1).with(FaultKind::RequestLost, 1.0);
        if let Some(methods) = &methods {
            chaos = chaos.methods(methods);
        }
        sandbox.chaos(Some(chaos));
        assert_eq!(create(&sandbox, &[]).try_send().await.is_err(), create_fails, "{methods:?}");
        assert_eq!(get(&sandbox, "/v1/customers").try_send().await.is_err(), list_fails);
        sandbox.chaos(None);
        assert_eq!(create(&sandbox, &[]).send().await.status, 200);
    }
}
