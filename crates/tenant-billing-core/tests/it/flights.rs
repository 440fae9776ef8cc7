//! When the work that callers share comes off the list.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
};

use tenant_billing_core::{Billing, Error, Policy, TenantCustomer};

use crate::{
    answers::{API, response},
    fakes::{DEADLINE, world},
    scene::{DETAILS, tenant},
};

type Told = Result<TenantCustomer, Error>;
type Call = Pin<Box<dyn Future<Output = Told> + Send>>;

/// Being woken, it calls again at once, within the very wake-up: no caller can be faster.
struct Eager {
    billing: Billing,
    again: Mutex<Option<(Call, Poll<Told>)>>,
}

impl Wake for Eager {
    fn wake(self: Arc<Self>) {
        let mut again = self.again.lock().expect("nothing here panics");
        if again.is_none() {
            let billing = self.billing.clone();
            let mut call: Call =
                Box::pin(async move { billing.get_or_create(&tenant(), &DETAILS, DEADLINE).await });
            // Reading the database takes a few turns.
            let now = (0..100)
                .map(|_| call.as_mut().poll(&mut Context::from_waker(Waker::noop())))
                .find(Poll::is_ready)
                .unwrap_or(Poll::Pending);
            *again = Some((call, now));
        }
    }
}

/// The first caller's key was not accepted. Whoever knows that, and calls again, asks Stripe again,
/// and is not told the old result.
#[tokio::test(start_paused = true)]
async fn a_caller_who_knows_the_result_begins_anew() {
    let world = world(Policy::default());
    world.stripe.answer([response(401, &[], API)]);
    let mut first = pin!(world.call());
    while world.stripe.sent().is_empty() {
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        tokio::task::yield_now().await;
    }
    let eager = Arc::new(Eager { billing: world.billing.clone(), again: Mutex::default() });
    let waker = Waker::from(Arc::clone(&eager));
    assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    while eager.again.lock().expect("it does not panic").is_none() {
        tokio::task::yield_now().await;
    }
    let told = first.await.map_err(|error| error.code());
    assert_eq!(told, Err("operator_must_act"));
    let (again, now) = eager.again.lock().expect("it does not panic").take().expect("it was woken");
    assert!(now.is_pending(), "it was told the old result: {now:?}");
    let told = again.await.map(|it| it.customer.to_string());
    assert_eq!((told, world.stripe.sent().len()), (Ok("cus_new2".to_owned()), 2));
}
