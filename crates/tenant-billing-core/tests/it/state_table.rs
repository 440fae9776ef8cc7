//! The table of states: every scenario in every state gives the cell that is written down for it.

use crate::scenarios::groups;

#[test]
fn every_scenario_gives_its_cells() {
    let mut wrong = Vec::new();
    for (_, scenarios) in groups() {
        for scenario in scenarios {
            for (at, cell) in &scenario.cells {
                let said = scenario.cell(*at);
                if said != *cell {
                    wrong.push(format!("{}, {at:?}: {said:?} instead of {cell:?}", scenario.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
