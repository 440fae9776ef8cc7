//! Everything that can happen to a tenant, as one list of named scenarios.
//!
//! The tests in `state_table.rs` check each cell here, and `docs/states.md` is printed from the
//! same list. Columns: no row, vacant, pending, in doubt, rejected, provisioned. Every row that
//! exists is of generation 3 and version 7, and the cells are explained in `summary.rs`.

mod answers;
mod asking;
mod inquiries;
mod others;

pub(crate) use self::asking::in_doubt_view;
use tenant_billing_core::{
    decide::{deletion, next, unbinding},
    ids::CustomerId,
    provisioning::{Asker, Context, Decision, Observation, Step},
    request::CustomerDetails,
    state::{State, View},
};

use crate::{
    scene::{At, COLUMNS, X, caller, context, cus, reason, view},
    summary::{decisions, step, summary},
};

pub(crate) struct Scenario {
    /// What happens, as `docs/states.md` says it.
    pub(crate) name: &'static str,
    /// The same in a few words, as a label of an edge.
    pub(crate) cause: &'static str,
    /// Who brings it about.
    pub(crate) by: &'static str,
    pub(crate) happening: Happening,
    pub(crate) cells: Vec<(At, &'static str)>,
    context: Context,
    but: fn(View) -> View,
}

pub(crate) enum Happening {
    Asked(Asker<'static>),
    Observed(Box<Observation>),
    Deleted(CustomerId),
    Unbound(CustomerId),
}

/// What follows in one state: the step, or what is written, and what the row is afterwards.
pub(crate) enum Follows {
    Step(Box<View>, Step),
    Decisions(Vec<(View, Decision)>),
}

/// The scenarios in groups, each with its title.
pub(crate) fn groups() -> [(&'static str, Vec<Scenario>); 4] {
    [
        ("A caller or the recovery worker asks what to do", asking::scenarios()),
        ("Stripe answers a request, or a webhook names its Customer", answers::scenarios()),
        ("An inquiry ends", inquiries::scenarios()),
        ("A Customer is deleted, unbound, or retrieved", others::scenarios()),
    ]
}

fn asked(name: &'static str, by: &'static str, asker: Asker<'static>) -> Scenario {
    scenario(name, by, Happening::Asked(asker))
}

fn calls(name: &'static str, details: &'static CustomerDetails) -> Scenario {
    asked(name, "a caller", caller(details)).cause("a caller asks")
}

fn works(name: &'static str) -> Scenario {
    asked(name, "recovery", Asker::Worker)
}

fn observed(name: &'static str, by: &'static str, observation: Observation) -> Scenario {
    scenario(name, by, Happening::Observed(Box::new(observation)))
}

fn scenario(name: &'static str, by: &'static str, happening: Happening) -> Scenario {
    let (cells, context) = (Vec::new(), context());
    Scenario { name, cause: name, by, happening, cells, context, but: |view| view }
}

impl Scenario {
    fn cause(self, cause: &'static str) -> Self {
        Self { cause, ..self }
    }

    fn within(self, context: Context) -> Self {
        Self { context, ..self }
    }

    /// The tenant differs from the plain columns in this.
    fn but(self, but: fn(View) -> View) -> Self {
        Self { but, ..self }
    }

    fn cells(self, cells: [&'static str; 6]) -> Self {
        Self { cells: COLUMNS.into_iter().zip(cells).collect(), ..self }
    }

    /// The scenario is about one state only.
    fn only(self, at: At, cell: &'static str) -> Self {
        Self { cells: vec![(at, cell)], ..self }
    }

    pub(crate) fn follows(&self, at: At) -> Follows {
        let view = (self.but)(view(at));
        match &self.happening {
            Happening::Asked(asker) => {
                let step = next(&view, *asker, &self.context);
                Follows::Step(Box::new(view), step)
            }
            Happening::Observed(observation) => {
                Follows::Decisions(decisions(&view, observation, &self.context))
            }
            Happening::Deleted(customer) => {
                let change = deletion(&view, customer);
                Follows::Decisions(vec![(view, Decision { change, problem: None })])
            }
            Happening::Unbound(customer) => {
                let decision = unbinding(&view, customer, &reason());
                Follows::Decisions(vec![(view, decision)])
            }
        }
    }

    /// What follows in one state, as a cell says it.
    pub(crate) fn cell(&self, at: At) -> String {
        if let Happening::Asked(asker) = self.happening {
            return step(&(self.but)(view(at)), asker, &self.context);
        }
        match self.follows(at) {
            Follows::Step(..) => unreachable!("only who asks gets a step"),
            Follows::Decisions(decisions) => {
                let said = decisions.iter().map(|(view, decision)| summary(view, decision));
                said.collect::<Vec<_>>().join(", then ")
            }
        }
    }
}

/// A row that is provisioned with [`X`].
pub(crate) fn provisioned_with_x(mut view: View) -> View {
    if let Some(row) = &mut view.row
        && let State::Provisioned(customer) = &mut row.state
    {
        *customer = cus(X);
    }
    view
}
