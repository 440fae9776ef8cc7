//! Rows of `customer_provisioning` that the protocol writes, and some that it never would.

/// The values of a row, by column; what is not named is as in a vacant row.
type Row = Vec<(&'static str, &'static str)>;

const VACANT: [(&str, &str); 7] = [
    ("tenant_id", "'t'"),
    ("version", "1"),
    ("generation", "1"),
    ("state", "'vacant'"),
    ("opened_at", "TIME"),
    ("attempts", "0"),
    ("next_attempt_at", "TIME"),
];

const REQUEST: [(&str, &str); 5] = [
    ("account_id", "'acct_1'"),
    ("mode", "'test'"),
    ("stripe_version", "'v'"),
    ("idempotency_key", "'k'"),
    ("body", "'email=a'"),
];

/// Rows, and whether they may be written.
pub(crate) fn all() -> impl Iterator<Item = (Row, bool)> {
    let with = |state: &'static str, asked: bool, more: &[(&'static str, &'static str)]| {
        let request = REQUEST.iter().filter(|_| asked);
        [("state", state)].iter().chain(request).chain(more).copied().collect::<Row>()
    };
    let in_doubt = [("conclusive_from", "TIME"), ("sent", "FALSE")];
    let legal = [
        with("'vacant'", false, &[]),
        with("'pending'", true, &[]),
        with("'pending'", true, &[("stripe_account", "'acct_2'")]),
        with("'in_doubt'", true, &in_doubt),
        with("'rejected'", true, &[("rejection_message", "'no'")]),
        with("'provisioned'", false, &[("customer_id", "'cus_1'")]),
    ];
    let illegal = [
        with("'napping'", false, &[]),
        with("'vacant'", false, &[("customer_id", "'cus_1'")]),
        with("'vacant'", false, &[("stripe_account", "'acct_1'")]),
        with("'vacant'", false, &[("version", "0")]),
        with("'vacant'", false, &[("generation", "0")]),
        with("'vacant'", false, &[("attempts", "-1")]),
        with("'provisioned'", false, &[]),
        with("'provisioned'", true, &[("customer_id", "'cus_1'")]),
        with("'pending'", false, &[]),
        with("'pending'", false, &[("body", "'email=a'")]),
        with("'pending'", true, &[("conclusive_from", "TIME")]),
        with("'pending'", true, &[("customer_id", "'cus_1'")]),
        with("'pending'", true, &[("rejection_code", "'x'")]),
        with("'pending'", true, &[("mode", "'both'")]),
        with("'in_doubt'", true, &[]),
        with("'in_doubt'", true, &in_doubt[..1]),
        with("'in_doubt'", true, &in_doubt[1..]),
        with("'rejected'", true, &[]),
    ];
    let legal = legal.map(|row| (row, true));
    legal.into_iter().chain(illegal.map(|row| (row, false)))
}

/// The statement that writes it, in the words of a database for a time and for "no".
pub(crate) fn insert(row: &Row, time: &str, no: &str) -> String {
    let mut cells: Row = VACANT.to_vec();
    for (column, value) in row {
        cells.retain(|(name, _)| name != column);
        cells.push((*column, *value));
    }
    let (columns, values): (Vec<_>, Vec<_>) = cells.into_iter().unzip();
    let values = values.join(", ").replace("TIME", time).replace("FALSE", no);
    format!("INSERT INTO customer_provisioning ({}) VALUES ({values})", columns.join(", "))
}
