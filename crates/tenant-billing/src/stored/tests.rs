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
}

/// A row, cell by cell; one of another type is an error, as a driver has it.
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
    let states = select(&["vacant", "pending", "suspect", "rejected", "settled", "gone"][..]);
    let request = (
        text(&["acct_1"]),
        text(&["test", "live"]),
        text(&["acct_2"]),
        text(&["2026-10-28.endive"]),
        text(&["tenant-billing/0123456789abcdef/test/t/1"]),
        text(&["email=a%40b.example"]),
    );
    let refusal =
        (text(&["email_invalid"]), text(&["email"]), text(&["Invalid"]), text(&["cus_1"]));
    let times =
        (option::weighted(0.9, time()), option::weighted(0.9, any::<bool>()), time(), time());
    (states, vec(number(), 3), request, refusal, times).prop_map(
        |(state, numbers, request, refusal, (quiet_until, sent, opened_at, next_attempt_at))| {
            let (account_id, mode, stripe_account, stripe_version, idempotency_key, body) = request;
            let (refusal_code, refusal_param, refusal_message, customer_id) = refusal;
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
                quiet_until,
                sent,
                refusal_code,
                refusal_param,
                refusal_message,
                customer_id,
                opened_at,
                attempts: numbers[2],
                next_attempt_at,
                last_error: None,
            }
        },
    )
}

fn told<T>(read: Result<T, StoreError>) -> Option<T> {
    match read {
        Ok(it) => Some(it),
        Err(StoreError::Corrupt(why)) => {
            assert!(!why.is_empty() && !why.contains(SECRET), "{why}");
            None
        }
        Err(other) => panic!("a row that cannot be read is the database's fault: {other}"),
    }
}

/// A row that is read is written as it was, but for what its state does not ask for.
#[test]
fn rows_of_provisioning() {
    check("row of customer_provisioning", rows(), |stored| {
        let Some(row) = told(stored.clone().row()) else {
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

/// It was taken for the same count above zero.
#[test]
fn a_count_below_zero_is_no_count() {
    let time = Timestamp::UNIX_EPOCH;
    let customer = CustomerId::parse("cus_1").unwrap();
    let row = tenant_billing_core::state::Row {
        generation: 1,
        version: 1,
        state: State::Settled(customer),
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

/// The cells of rows of other tables, in about their order.
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
    let view = (flag(), text(), text(), [flag(), flag(), flag()], number()).prop_map(
        |(exists, bound, account, [a, b, c], lost)| {
            let mode = Cell::Text("test".to_owned());
            vec![exists, bound, account, mode, a, b, c, lost]
        },
    );
    prop_oneof![event, surplus, view]
}

#[test]
fn rows_of_other_tables() {
    let tenant = TenantId::parse("t").unwrap();
    check("rows of the trail, surplus and view", cells(), |cells| {
        let row = || Row(cells.clone().into());
        let event = told(row().event());
        let surplus = told(row().surplus());
        let view = told(row().view(&tenant, Timestamp::UNIX_EPOCH));
        assert!(view.as_ref().is_none_or(|view| view.row.is_none() && view.tenant == tenant));
        event.is_some() || surplus.is_some() || view.is_some()
    });
}
