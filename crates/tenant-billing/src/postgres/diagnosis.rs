//! Why a call has failed, where the server's own words do not say it: a schema or a table of the
//! host's that has changed, or a setting that makes what looks passing last.

use tenant_billing_core::ports::StoreError;

use super::{
    cells::SqlCells,
    connection::{self, Connections},
    host::Tenants,
    layout::Layout,
    primary, schema,
    statement::Statement,
};
use crate::stored::Cells;

/// How often the server is asked for a setting, if that is too short for the question itself.
const ATTEMPTS: usize = 10;

/// Finds out what is behind an error, and returns the better one, or else the same. `used` is the
/// layout that the call relied upon, if it came so far.
pub(super) async fn explain(
    connections: &Connections,
    tenants: &Tenants,
    used: Option<&Layout>,
    error: StoreError,
) -> StoreError {
    let found = match &error {
        StoreError::Unavailable(text) if is_timeout(text) => short_timeout(connections).await,
        StoreError::Unavailable(text) if primary::is_read_only(text) => {
            read_only_role(connections).await
        }
        StoreError::Unavailable(_) | StoreError::Tls(_) | StoreError::Invalid(_) => None,
        StoreError::SchemaMissing
        | StoreError::SchemaTooOld
        | StoreError::SchemaTooNew
        | StoreError::SchemaMismatch(_)
        | StoreError::Refused(_)
        | StoreError::Corrupt(_) => match used {
            Some(used) => change(connections, tenants, used).await,
            None => None,
        },
    };
    found.unwrap_or(error)
}

/// Reads again what a call relied upon. If our schema or a table of the host's is not as it must
/// be, this says so; if the host's tables have only changed, the next call will use them as they
/// are now.
async fn change(connections: &Connections, tenants: &Tenants, used: &Layout) -> Option<StoreError> {
    let read = async {
        let lease = connections.lease().await?;
        schema::check(&lease).await?;
        let layout = Layout::read(&lease, tenants).await?;
        lease.give_back();
        Ok::<_, StoreError>(layout)
    };
    match read.await {
        Ok(layout) if layout == *used => None,
        Ok(_) => Some(StoreError::Unavailable("the host's tables have just changed".into())),
        // The server cannot be asked now, and what it said first was more than that.
        Err(StoreError::Unavailable(_)) => None,
        Err(error) => Some(error),
    }
}

/// Whether a text of ours ends with the code of a statement that was cancelled, or of a transaction
/// that took too long.
fn is_timeout(text: &str) -> bool {
    text.ends_with("(57014)") || text.ends_with("(25P04)")
}

/// Names a timeout that is too short for anything to work.
async fn short_timeout(connections: &Connections) -> Option<StoreError> {
    for _ in 0..ATTEMPTS {
        let read = async {
            let lease = connections.lease().await?;
            // Unlike a read of pg_settings, this takes next to no time.
            let sql = "SELECT 'statement_timeout', current_setting('statement_timeout')
                       UNION ALL
                       SELECT 'transaction_timeout', current_setting('transaction_timeout', true)";
            let rows = Statement::new(sql).rows(&lease).await?;
            lease.give_back();
            let pair = |row| {
                let cells = &mut SqlCells::of(row);
                Ok::<_, StoreError>((cells.text()?, cells.text()?))
            };
            rows.iter().map(pair).collect::<Result<Vec<_>, _>>()
        };
        let Ok(settings) = read.await else { continue };
        return settings.into_iter().find_map(|(name, value)| {
            let (name, value) = (name?, value?);
            is_short(&value).then(|| {
                StoreError::SchemaMismatch(format!(
                    "{name} is {value} for this role, which is too short; set it to at least 1s \
                     (ALTER ROLE … SET {name} = '8s')"
                ))
            })
        });
    }
    None
}

/// Whether a time as PostgreSQL writes it is under a tenth of a second. With more, a statement that
/// ran into it may have waited for a lock, and the next one need not. PostgreSQL uses the largest
/// unit that fits, and 0 is no limit.
fn is_short(value: &str) -> bool {
    value.strip_suffix("ms").and_then(|number| number.parse().ok()).is_some_and(|it: u32| it < 100)
}

/// Says how to undo the setting that makes every transaction of this role read-only. On a standby,
/// and on a server whose configuration file says so (a primary that was cut off), it is no setting
/// of the role's, and another server may be the primary.
async fn read_only_role(connections: &Connections) -> Option<StoreError> {
    // One at a time, since this connection is not of the pool. Whoever else fails meanwhile is told
    // to retry.
    let _alone = connections.diagnosing.try_lock().ok()?;
    // Our pool connects to servers that take writes only.
    let connections = match &connections.target {
        Some(target) => connection::pool(&target.of_any_kind(), 1).ok()?,
        None => connections.clone(),
    };
    let lease = connections.lease().await.ok()?;
    let sql = "SELECT source, format('%I', current_user), format('%I', current_database())
               FROM pg_catalog.pg_settings
               WHERE name = 'default_transaction_read_only' AND setting = 'on'
                 AND NOT pg_is_in_recovery()";
    let rows = Statement::new(sql).rows(&lease).await.ok()?;
    lease.give_back();
    let cells = &mut SqlCells::of(rows.first()?);
    let (source, role, database) = (cells.text().ok()??, cells.text().ok()??, cells.text().ok()??);
    let setting = "default_transaction_read_only";
    let remedy = match source.as_str() {
        "user" => format!("run ALTER ROLE {role} RESET {setting}"),
        "database" => format!("run ALTER DATABASE {database} RESET {setting}"),
        "database user" => {
            format!("run ALTER ROLE {role} IN DATABASE {database} RESET {setting}")
        }
        "client" => format!("take {setting} out of the options of the database's URL"),
        _ => return None,
    };
    let why = format!("{setting} is on for this role, so that it can write nothing; {remedy}");
    Some(StoreError::SchemaMismatch(why))
}

#[cfg(test)]
mod tests {
    use super::is_short;

    #[test]
    fn times_that_are_too_short() {
        for value in ["1ms", "99ms"] {
            assert!(is_short(value), "{value}");
        }
        for value in ["0", "100ms", "1s", "1500ms", "8s", "2min", "1h", ""] {
            assert!(!is_short(value), "{value}");
        }
    }
}
