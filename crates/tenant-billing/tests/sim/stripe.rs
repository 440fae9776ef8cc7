//! Stripe behind the port: answers as the HTTP client hands them over, and a network in between.
//!
//! A creation that has left a process goes on by itself: the network carries it, Stripe executes
//! it, and only then does it matter whether anybody still waits for the answer.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::future::{Either, select};
use jiff::{SignedDuration, Timestamp};
use tenant_billing::{
    answer::{self, Answer},
    ids::{AccountId, CustomerId, InstallationId, Mode},
    ports::{Clock, Stripe},
    request::{Account, FrozenRequest},
};
use tokio::sync::oneshot;

use crate::{
    book::{Arrival, Book},
    customer::Maker,
    ops::{At, Fault, Key},
    sim::{Gate, Sim},
};

/// The client's timeout, from the first name lookup to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a request is on its way, and how long Stripe takes over it, in milliseconds.
const TRANSIT: (u64, u64) = (5, 150);
const WORK: (u64, u64) = (20, 400);
const MINUTE: Duration = Duration::from_secs(60);
/// Whatever was decided before our tables were made anew has left a process by then.
const DECIDED: SignedDuration = SignedDuration::from_secs(100);
/// What is asked for, beside single Customers.
pub(crate) const ACCOUNT: &str = "its account";
pub(crate) const LIST: &str = "the list";
pub(crate) const SEARCH: &str = "a search";
pub(crate) const EVENTS: &str = "events";
const CREATION: &str = "cus_9999";

/// Headers as some machine in between may set or spell them. The first ones come with a 429, and
/// the others take the place of what an answer says.
pub(crate) const HEADERS: &[(&str, &str)] = &[
    ("Retry-After", "18446744073709551615"),
    ("Retry-After", "100000000000000000000000000000"),
    ("Retry-After", "-5"),
    ("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT"),
    ("Request-Id", ""),
    ("Request-Id", LONG),
    ("Idempotent-Replayed", "TRUE"),
    ("Idempotent-Replayed", " true"),
    ("Idempotent-Replayed", "1"),
    ("Idempotent-Replayed", ""),
];
const LONG: &str = match std::str::from_utf8(&[b'r'; 10_000]) {
    Ok(text) => text,
    Err(_) => "",
};

pub(crate) struct SimStripe {
    pub(crate) sim: Arc<Sim>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) key: Key,
}

/// How a creation fares between its process and Stripe.
struct Passage {
    transit: Duration,
    work: Duration,
    stored_500: Option<Option<u8>>,
}

impl SimStripe {
    /// A GET for `what`: an id, or a list of such.
    async fn ask(&self, what: &str, answer: impl FnOnce(&mut Book, Timestamp) -> Answer) -> Answer {
        let fault = self.gate.enter(&self.sim, At::Ask, TRANSIT).await;
        self.sim.sleep(self.sim.between(WORK.0, WORK.1)).await;
        let now = self.sim.now();
        let answer = {
            let book = &mut self.sim.state().book;
            match fault {
                Some(Fault::LoseRequest | Fault::LoseAnswer) => no_answer("timed out"),
                Some(Fault::Unstored500) => book.unstored_500(),
                Some(Fault::Limited) => book.limited(),
                Some(Fault::Mangle) => mangled(),
                Some(Fault::Odd { odd, .. }) => book.odd(odd, what),
                Some(Fault::Header(nth)) => with_header(nth, answer(book, now)),
                _ => answer(book, now),
            }
        };
        self.sim
            .trace(|| format!("p{} asks Stripe for {what}: {}", self.gate.process, say(&answer)));
        self.gate.leave(&self.sim, fault).await;
        answer
    }

    /// Nothing is sent for an installation whose tables are lost, nor for the other database's.
    fn is_of_this_database(&self, installation: &str) {
        let second = self.gate.is_of_the_second();
        let sender = *self.sim.state().senders.entry(installation.into()).or_insert(second);
        if sender != second {
            self.sim.broken(format!("two databases send keys of installation {installation}"));
        }
        if second {
            return;
        }
        let remade = self.sim.state().remade.clone();
        if let Some((at, now)) = remade
            && self.sim.now().duration_since(at) > DECIDED
            && installation != now
        {
            self.sim.broken(format!("a request of {installation} was sent, which is lost"));
        }
    }

    async fn create(&self, request: &FrozenRequest, fault: Option<Fault>) -> Answer {
        let sim = &self.sim;
        let mut passage = Passage {
            transit: sim.between(TRANSIT.0, TRANSIT.1),
            work: sim.between(WORK.0, WORK.1),
            stored_500: None,
        };
        match fault {
            Some(Fault::LoseRequest) => {
                sim.sleep(TIMEOUT).await;
                return no_answer("timed out");
            }
            Some(
                Fault::Unstored500
                | Fault::Limited
                | Fault::InFlight
                | Fault::Odd { done: false, .. },
            ) => {
                sim.sleep(passage.transit).await;
                let book = &mut sim.state().book;
                return match fault {
                    Some(Fault::Unstored500) => book.unstored_500(),
                    Some(Fault::Limited) => book.limited(),
                    Some(Fault::Odd { odd, .. }) => book.odd(odd, CREATION),
                    _ => book.in_use(),
                };
            }
            Some(Fault::Late { minutes, .. }) => passage.transit = MINUTE * u32::from(minutes),
            Some(Fault::Slow { seconds }) => passage.work = Duration::from_secs(seconds.into()),
            Some(Fault::Stored500 { effect }) => passage.stored_500 = Some(effect),
            _ => {}
        }
        let (say_it, hear) = oneshot::channel();
        let (there, request) = (Arc::clone(sim), request.clone());
        let key = request.key.as_str().to_owned();
        let second = self.gate.is_of_the_second();
        let maker = if second { Maker::Second(key) } else { Maker::Us(key) };
        tokio::spawn(async move {
            let answer = carry(&there, &request, maker, passage).await;
            // Whoever asked may be gone.
            drop(say_it.send(answer));
        });
        if let Some(Fault::Late { dies: true, .. }) = fault {
            self.gate.kill();
        }
        let answer = within(sim, async { hear.await.ok() }).await;
        match (fault, answer) {
            (Some(Fault::LoseAnswer), _) | (_, None) => no_answer("the connection ended"),
            (Some(Fault::Mangle), _) => mangled(),
            (Some(Fault::Odd { odd, .. }), _) => sim.state().book.odd(odd, CREATION),
            (Some(Fault::Header(nth)), Some(answer)) => with_header(nth, answer),
            (_, Some(answer)) => answer,
        }
    }
}

/// A creation reaches Stripe and is executed, whatever happens to its sender.
async fn carry(sim: &Arc<Sim>, request: &FrozenRequest, maker: Maker, passage: Passage) -> Answer {
    let (key, body) = (request.key.as_str(), request.body.as_str());
    let tenant = request.key.parts().map(|it| it.tenant.to_string()).unwrap_or_default();
    sim.sleep(passage.transit).await;
    let now = sim.now();
    let arrival = sim.state().book.arrive(key, body, now);
    if let Arrival::Answered(answer) = arrival {
        sim.trace(|| format!("Stripe answers {}: {}", tail(key), say(&answer)));
        return answer;
    }
    sim.sleep(passage.work).await;
    let now = sim.now();
    let stored_500 = passage.stored_500.filter(|_| Book::accepts(body));
    let answer = match stored_500 {
        None => sim.state().book.complete(maker, key, body, &tenant, now),
        Some(effect) => {
            let answer = sim.state().book.fail(key, body, now);
            if let Some(minutes) = effect {
                let (there, body) = (Arc::clone(sim), body.to_owned());
                let appear = move |now| {
                    let book = &mut there.state().book;
                    let at = book.make(maker, &tenant, &body, now, true);
                    book.customers[at].id.clone()
                };
                if minutes == 0 {
                    appear(now);
                } else {
                    let there = Arc::clone(sim);
                    tokio::spawn(async move {
                        there.sleep(MINUTE * u32::from(minutes)).await;
                        let id = appear(there.now());
                        there.trace(|| format!("what the failure left behind appears: {id}"));
                    });
                }
            }
            answer
        }
    };
    sim.trace(|| format!("Stripe executes {}: {}", tail(key), say(&answer)));
    answer
}

async fn within<T>(sim: &Sim, work: impl Future<Output = Option<T>>) -> Option<T> {
    match select(pin!(work), pin!(sim.sleep(TIMEOUT))).await {
        Either::Left((done, _)) => done,
        Either::Right(_) => None,
    }
}

#[async_trait]
impl Stripe for SimStripe {
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    fn mode(&self) -> Mode {
        match (self.sim.settings.live, self.key) {
            (live, Key::OtherMode) if live => Mode::Test,
            (_, Key::OtherMode) => Mode::Live,
            (true, _) => Mode::Live,
            (false, _) => Mode::Test,
        }
    }

    fn stripe_account(&self) -> Option<&AccountId> {
        None
    }

    fn fingerprint(&self, installation: &InstallationId, account: &Account) -> Option<String> {
        Some(format!("{installation} {account} {:?}", self.key))
    }

    async fn account(&self) -> Answer {
        let id = if self.key == Key::OtherAccount { "acct_other" } else { "acct_ours" };
        let answer = self.ask(ACCOUNT, |book, _| book.account(id)).await;
        if answer::account_id(body(&answer)).is_some_and(|it| AccountId::parse(&it).is_err()) {
            self.sim.tell(self.gate.number, "unexpected_answer");
        }
        answer
    }

    async fn create_customer(&self, request: &FrozenRequest, begin_by: Duration) -> Answer {
        let fault = self.gate.enter(&self.sim, At::Create, (1, 20)).await;
        if self.sim.uptime() > begin_by {
            // The body reads the clock when its turn comes.
            self.sim.trace(|| format!("p{} is too late to send", self.gate.process));
            return no_answer("not sent, since the time to begin had passed");
        }
        if self.key != Key::Own {
            self.sim.broken("a key of another account or mode was used to create".into());
        }
        let parts = request.key.parts().expect("a key of ours");
        self.is_of_this_database(parts.installation.as_str());
        let tenant = parts.tenant.to_string();
        let send = (self.sim.now(), self.gate.number, tenant);
        self.sim.state().sends.push(send);
        self.sim.trace(|| format!("p{} sends {}", self.gate.process, tail(request.key.as_str())));
        let answer = self.create(request, fault).await;
        self.gate.leave(&self.sim, fault).await;
        answer
    }

    async fn retrieve_customer(&self, customer: &CustomerId) -> Answer {
        let id = customer.as_str();
        self.ask(id, |book, _| match self.key {
            Key::Own => book.retrieve(id),
            Key::OtherAccount | Key::OtherMode => book.missing(id),
        })
        .await
    }

    async fn list_customers(&self, email: &str, after: Option<&CustomerId>) -> Answer {
        self.ask(LIST, |book, _| book.list(email, after.map(CustomerId::as_str))).await
    }

    async fn search_customers(&self, query: &str, page: Option<&str>) -> Answer {
        let search = self.sim.settings.search;
        self.ask(SEARCH, |book, now| match search {
            true => book.search(query, page, now),
            false => book.no_search(),
        })
        .await
    }

    async fn list_created_events(&self, since: Timestamp, after: Option<&str>) -> Answer {
        self.ask(EVENTS, |book, now| book.events(since, after, now)).await
    }
}

fn no_answer(why: &str) -> Answer {
    Answer::NoAnswer(why.into())
}

fn body(answer: &Answer) -> &[u8] {
    match answer {
        Answer::Response { body, .. } => body,
        Answer::NoAnswer(_) | Answer::Untrusted(_) => &[],
    }
}

/// The answer with one of [`HEADERS`], which stands before any other of its name.
fn with_header(nth: u8, answer: Answer) -> Answer {
    let header = HEADERS[usize::from(nth) % HEADERS.len()];
    let Answer::Response { mut status, headers, mut body } = answer else {
        return answer;
    };
    if header.0 == "Retry-After" {
        (status, body) = (429, Default::default());
    }
    let kept = ["Content-Type", "Request-Id", "Original-Request", "Idempotent-Replayed"];
    let kept = kept.into_iter().filter_map(|name| Some((name, headers.get(name)?)));
    let headers = [header].into_iter().chain(kept.filter(|_| status != 429)).collect();
    Answer::Response { status, headers, body }
}

fn mangled() -> Answer {
    let headers = [("Content-Type", "text/html")].into_iter().collect();
    Answer::Response { status: 502, headers, body: "<html>Bad Gateway</html>".into() }
}

/// A key, short enough for a line of the record: tenant and generation.
fn tail(key: &str) -> &str {
    let at = key.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at);
    &key[at + 36..]
}

fn say(answer: &Answer) -> String {
    match answer {
        Answer::NoAnswer(why) | Answer::Untrusted(why) => why.clone(),
        Answer::Response { status, body, headers } => {
            let replayed = headers.get("Idempotent-Replayed").map_or("", |_| " replayed");
            let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
            let ids = |it: &serde_json::Value| it["id"].as_str().unwrap_or_default().to_owned();
            let listed = body["data"].as_array().map(|it| it.iter().map(ids).collect::<Vec<_>>());
            let gone = if body["deleted"] == true { " deleted" } else { "" };
            match listed {
                Some(listed) => format!("{status} {listed:?}"),
                None => format!("{status}{replayed} {}{gone}{}", ids(&body), error_of(&body)),
            }
        }
    }
}

fn error_of(body: &serde_json::Value) -> String {
    let error = &body["error"];
    let word = error["code"].as_str().or_else(|| error["type"].as_str());
    word.unwrap_or_default().to_owned()
}
