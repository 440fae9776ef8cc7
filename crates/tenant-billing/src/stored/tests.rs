use std::collections::VecDeque;

use parser_inputs::{SECRET, check, texts};
use proptest::{
    collection::vec,
    option,
    prelude::{Strategy, any},
    prop_oneof,
    sample::select,
};

use super::*;

/// What a cell may hold.
#[derive(Debug, Clone)]
enum Cell {
    Null,
    Integer(i64),
    Flag(bool),
    Text(String),
    Time(Timestamp),
    Texts(Vec<String>),
}

/// A row, cell by cell. A cell of another type is an error, as it is with a database driver.
struct Row(VecDeque<Cell>);

impl Row {
    fn next<T>(&mut self, read: impl Fn(Cell) -> Option<T>) -> Result<Option<T>, StoreError> {
        match self.0.pop_front() {
            None | Some(Cell::Null) => Ok(None),
            Some(cell) => read(cell).map(Some).ok_or_else(|| missing("a cell")),
        }
    }
}

impl Cells for Row {
    fn integer(&mut self) -> Result<Option<i64>, StoreError> {
        self.next(|cell| if let Cell::Integer(it) = cell { Some(it) } else { None })
    }

    fn flag(&mut self) -> Result<Option<bool>, StoreError> {
        self.next(|cell| if let Cell::Flag(it) = cell { Some(it) } else { None })
    }

    fn text(&mut self) -> Result<Option<String>, StoreError> {
        self.next(|cell| if let Cell::Text(it) = cell { Some(it) } else { None })
    }

    fn time(&mut self) -> Result<Option<Timestamp>, StoreError> {
        self.next(|cell| if let Cell::Time(it) = cell { Some(it) } else { None })
    }

    fn texts(&mut self) -> Result<Vec<String>, StoreError> {
        let texts = self.next(|cell| if let Cell::Texts(it) = cell { Some(it) } else { None });
        Ok(texts?.unwrap_or_default())
    }
}

fn text(good: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    let odd = texts(select(good).prop_map(str::to_owned), good);
    let good = select(good).prop_map(str::to_owned);
    option::weighted(0.9, prop_oneof![15 => good, 1 => odd])
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![30 => 0..9_i64, 1 => any::<i64>()]
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<u32>().prop_map(|it| Timestamp::from_second(it.into()).unwrap())
}

/// Rows as the databases may hold them.
fn rows() -> impl Strategy<Value = StoredRow> {
    let states = select(&["vacant", "pending", "in_doubt", "rejected", "provisioned", "gone"][..]);
    let request = (
        text(&["acct_1"]),
        text(&["test", "live"]),
        text(&["acct_2"]),
        text(&["2026-10-28.endive"]),
        text(&["tenant-billing/0123456789abcdef/test/t/1"]),
        text(&["email=a%40b.example"]),
    );
    let rejection =
        (text(&["email_invalid"]), text(&["email"]), text(&["Invalid"]), text(&["cus_1"]));
    let times =
        (option::weighted(0.9, time()), option::weighted(0.9, any::<bool>()), time(), time());
    (states, vec(number(), 3), request, rejection, times).prop_map(
        |(
            state,
            numbers,
            request,
            rejection,
            (conclusive_from, sent, opened_at, next_attempt_at),
        )| {
            let (account_id, mode, stripe_account, stripe_version, idempotency_key, body) = request;
            let (rejection_code, rejection_param, rejection_message, customer_id) = rejection;
            StoredRow {
                version: numbers[0],
                generation: numbers[1],
                state: state.to_owned(),
                account_id,
                mode,
                stripe_account,
                stripe_version,
                idempotency_key,
                body,
                conclusive_from,
                sent,
                rejection_code,
                rejection_param,
                rejection_message,
                customer_id,
                opened_at,
                attempts: numbers[2],
                next_attempt_at,
                last_error: None,
            }
        },
    )
}

/// What was read, if the row could be read.
fn readable<T>(read: Result<T, StoreError>) -> Option<T> {
    match read {
        Ok(it) => Some(it),
        Err(StoreError::Corrupt(why)) => {
            assert!(!why.is_empty() && !why.contains(SECRET), "{why}");
            None
        }
        Err(other) => panic!("a row that cannot be read is corrupt: {other}"),
    }
}

/// A row that was read is written as it was, without the cells that its state does not need.
#[test]
fn rows_of_provisioning() {
    check("row of customer_provisioning", rows(), |stored| {
        let Some(row) = readable(stored.clone().row()) else {
            return false;
        };
        let written = StoredRow::of(&row).expect("counts that came from a database");
        assert_eq!((written.version, written.generation), (stored.version, stored.generation));
        assert_eq!((&*written.state, written.attempts), (&*stored.state, stored.attempts));
        for (now, before) in [
            (&written.account_id, &stored.account_id),
            (&written.idempotency_key, &stored.idempotency_key),
            (&written.body, &stored.body),
            (&written.customer_id, &stored.customer_id),
        ] {
            assert!(now.is_none() || now == before);
        }
        assert_eq!(written.row(), Ok(row));
        true
    });
}

#[test]
fn a_text_of_the_hosts_loses_its_addresses_and_keys() {
    let text =
        "no plan for \"Owner@example.com\",\n tenant 7 (owner%40example.com, sk_test_1)\u{1}";
    assert_eq!(super::without_personal_words(text), "no plan for […] tenant 7 […] […]");
}

/// Such a count was once read as the same count above zero.
#[test]
fn a_count_below_zero_is_corrupt() {
    let time = Timestamp::UNIX_EPOCH;
    let customer = CustomerId::parse("cus_1").unwrap();
    let row = tenant_billing_core::state::Row {
        generation: 1,
        version: 1,
        state: State::Provisioned(customer),
        opened_at: time,
        attempts: 0,
        next_attempt_at: time,
        last_error: None,
    };
    let stored = StoredRow::of(&row).unwrap();
    assert_eq!(stored.clone().row(), Ok(row));
    for broken in [
        StoredRow { generation: -1, ..stored.clone() },
        StoredRow { version: i64::MIN, ..stored.clone() },
        StoredRow { attempts: -1, ..stored },
    ] {
        assert!(matches!(broken.row(), Err(StoreError::Corrupt(_))));
    }
}

/// Some Customers, of which a view asks about the first three.
const CUSTOMERS: &[&str] = &["cus_1", "cus_2", "cus_3", "cus_4"];

/// The cells of rows of other tables, roughly in their order.
fn cells() -> impl Strategy<Value = Vec<Cell>> {
    const WORDS: &[&str] =
        &["cus_1", "opened", "surplus", "late", "unbound", "acct_1", "test", "req_1", "a"];
    let text = || prop_oneof![15 => select(WORDS).prop_map(str::to_owned), 1 => texts(select(WORDS).prop_map(str::to_owned), WORDS)];
    let text = move || prop_oneof![9 => text().prop_map(Cell::Text), 1 => select(vec![Cell::Null])];
    let number = || number().prop_map(Cell::Integer);
    let time = || prop_oneof![9 => time().prop_map(Cell::Time), 1 => select(vec![Cell::Null])];
    let flag = || any::<bool>().prop_map(Cell::Flag);
    let event =
        (time(), select(&["opened", "bound", "surplus"][..]), number(), text(), text(), text())
            .prop_map(|(at, kind, number, a, b, c)| {
                vec![at, Cell::Text(kind.to_owned()), number, a, b, c]
            });
    let surplus = (text(), select(&["late", "unbound", "lost"][..]), time(), time()).prop_map(
        |(id, reason, found, resolved)| vec![id, Cell::Text(reason.to_owned()), found, resolved],
    );
    let ids = || vec(select(CUSTOMERS).prop_map(str::to_owned), 0..4);
    let ids = move || prop_oneof![9 => ids().prop_map(Cell::Texts), 1 => select(vec![Cell::Null])];
    let view = (flag(), text(), text(), text(), [ids(), ids(), ids()], number()).prop_map(
        |(exists, bound, account, installation, [a, b, c], lost)| {
            let mode = Cell::Text("test".to_owned());
            vec![exists, bound, account, mode, installation, a, b, c, lost]
        },
    );
    prop_oneof![event, surplus, view]
}

#[test]
fn rows_of_other_tables() {
    let tenant = TenantId::parse("t").unwrap();
    let asked: Vec<_> = CUSTOMERS[..3].iter().map(|id| CustomerId::parse(id).unwrap()).collect();
    check("rows of the audit trail, surplus and view", cells(), |cells| {
        let row = || Row(cells.clone().into());
        let event = readable(row().event());
        let surplus = readable(row().surplus());
        let view = readable(row().view(&tenant, true, &asked, Timestamp::UNIX_EPOCH));
        if let Some(view) = &view {
            assert!(view.row.is_none() && view.tenant == tenant);
            assert!(view.facts.keys().eq(&asked), "the Customers that were asked about, each once");
            for (id, facts) in &view.facts {
                let is_in = |at: usize| match &cells[at] {
                    Cell::Texts(ids) => ids.iter().any(|it| it == id.as_str()),
                    _ => false,
                };
                let CustomerFacts { deleted, bound_elsewhere, unbound_by_operator } = *facts;
                assert_eq!([deleted, bound_elsewhere, unbound_by_operator], [5, 6, 7].map(is_in));
            }
        }
        event.is_some() || surplus.is_some() || view.is_some()
    });
}
