//! A disk that fills up in the middle of a call. Files may grow up to a limit that rises from call
//! to call, so that every write of a call fails once.

use std::process::Command;

use crate::stage::{KEY, Stage, text};

#[test]
fn a_full_disk_loses_no_customer() {
    let stage = Stage::new();
    let tenants = stage.tenants(40);
    let (mut failed, mut done) = (0, 0);
    for (kibibytes, tenant) in (4..).step_by(4).zip(&tenants) {
        let mut command = Command::new("sh");
        // With the signal ignored, a write beyond the limit fails as on a full disk.
        let script = "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"";
        // POSIX counts the limit in blocks of 512 bytes.
        command.args(["-c", script, "sh", &(kibibytes * 2).to_string()]);
        command.arg(env!("CARGO_BIN_EXE_tenant-billing"));
        command.args(["get-or-create", tenant, "owner@example.com", "--deadline", "1"]);
        command.env("DATABASE_URL", stage.url()).env("STRIPE_SECRET_KEY", KEY);
        command.env("STRIPE_API_BASE", stage.sandbox.url());
        let (code, id, error) = text(&command.output().unwrap());
        match code {
            0 => done += 1,
            5 => failed += 1,
            _ => panic!("with {kibibytes} KiB: {code} {id}{error}"),
        }
    }
    assert!(failed > 5 && done > 5, "{failed} failed, {done} did not");
    let created = stage.customers().len();
    assert!(created > done, "every Customer that was created could also be saved");
    for tenant in &tenants {
        let arguments = ["get-or-create", tenant, "owner@example.com"];
        let (code, _, error) = text(&stage.binary(&arguments).output().unwrap());
        assert_eq!(code, 0, "{error}");
    }
    assert_eq!(stage.customers().len(), tenants.len());
    stage.assert_all_bound();
}
